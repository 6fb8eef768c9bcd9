/** Pools and leases for tests of what is shown of them: complete ones, of which a test names only what matters to it. */
import type { LeaseAnswer, PoolAnswer } from "../../src/driver/ipam/answers.ts";
import type { LeaseView, PoolView } from "../../src/driver/ipam/views.ts";
import { idOf } from "./values.ts";

export const poolViewOf = (values: Partial<PoolView> = {}): PoolView => ({
  ...{ id: "tsnet-local/172.18.0.0/24", addressSpace: "tsnet-local", family: 4, subnet: "172.18.0.0/24" },
  ...{ subPool: null, network: idOf("a1"), hosts: [] },
  ...{ size: 256n, reserved: 2n, used: 3n, resting: 1n, free: 250n, lastRequest: 0 },
  ...values,
});

export const poolAnswerOf = (values: Partial<PoolAnswer> = {}): PoolAnswer => ({
  ...{ id: "tsnet-local/172.18.0.0/24", addressSpace: "tsnet-local", family: 4, subnet: "172.18.0.0/24" },
  ...{ subPool: null, network: idOf("a1"), hosts: [] },
  ...{ size: "256", reserved: "2", used: "3", resting: "1", free: "250", usePercent: 1.25 },
  ...values,
});

export const leaseViewOf = (values: Partial<LeaseView> = {}): LeaseView => ({
  ...{ pool: "tsnet-local/172.18.0.0/24", address: "172.18.0.2", grant: "g1", role: "endpoint", identity: null },
  ...{ sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678), hosts: [], restsUntilMs: null },
  ...values,
});

export const leaseAnswerOf = (values: Partial<LeaseAnswer> = {}): LeaseAnswer => ({
  ...{ address: "172.18.0.2", role: "endpoint", identity: null, endpoint: idOf("e1") },
  ...{ since: "2026-01-02T03:04:05.678Z", hosts: [], restsUntil: null },
  ...values,
});
