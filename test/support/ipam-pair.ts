/** Address management and its model, side by side. */
import { Ipam } from "../../src/driver/ipam/ipam.ts";
import { parseCidr } from "../../src/net/cidr.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { IpamModel } from "./ipam-model.ts";
import type { ModelLease } from "./ipam-model-parts.ts";
import { spanOf, textOf } from "./ipam-spans.ts";
import { anyForms, forms, type Space, spaces } from "./ipam-steps.ts";

/** What a subnet is chosen from, as the candidates' prefix and first addresses. */
const defaults: Readonly<Record<Space, readonly [string, string]>> = {
  "tsnet-local": ["10.0.0.32/28", "fd00::10/124"],
  "tsnet-global": ["10.0.0.8/29", "fd00::8/125"],
};
const poolsOf = (space: Space) => {
  const [v4, v6] = defaults[space];
  return [
    { base: parseCidr(v4), prefix: 30 },
    { base: parseCidr(v6), prefix: 126 },
  ];
};
const defaultPools = { "tsnet-local": poolsOf("tsnet-local"), "tsnet-global": poolsOf("tsnet-global") };

/** The subnets of a size, lowest first. */
export function candidates(space: Space, { v6, prefix }: (typeof anyForms)[number]): string[] {
  const { first, last } = spanOf(defaults[space][v6 ? 1 : 0]);
  const size = 2 ** ((v6 ? 128 : 32) - prefix);
  return Array.from({ length: (last + 1 - first) / size }, (_, n) => `${textOf(first + n * size)}/${prefix}`);
}

/** IDs of pools that there may be. */
const poolIds = spaces.flatMap((space) => [
  ...forms.map((parts) => [space, ...parts].join("/")),
  ...anyForms.flatMap((form) => candidates(space, form).map((subnet) => `${space}/${subnet}`)),
]);

/** Leases that were there at some time. */
interface Note {
  readonly network: string;
  readonly addresses: readonly string[];
  readonly grants: readonly string[];
  readonly leases: readonly ModelLease[];
}

export class Both {
  readonly model = new IpamModel();
  readonly notes: Note[] = [];
  readonly #store = new MemoryStore();
  ipam = this.#open();

  #open(): Ipam {
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    return new Ipam({
      ...{ records: this.#store, hostId: "host-1", hostName: "host-1", excluded: async () => [], log, defaultPools },
      now: () => this.model.now,
    });
  }

  async restart(): Promise<void> {
    this.ipam = this.#open();
    await this.ipam.restore();
    this.model.newEpoch();
  }

  /** Mostly a pool that exists, now and then one that may not. */
  pool(n: number): string {
    const existing = n % 7 === 0 ? undefined : this.model.pools[n % Math.max(this.model.pools.length, 1)];
    return existing?.id ?? poolIds[n % poolIds.length] ?? "";
  }

  /** Mostly an address of this pool, or next to it. */
  address(id: string, n: number): number {
    const pool = this.model.pools.find((one) => one.id === id);
    if (pool === undefined || n % 11 === 0) return n % 4 === 0 ? 256 + (n % 17) : n % 41;
    const { first, last } = spanOf(pool.subnet);
    return Math.max(0, first + (n % (last - first + 3)) - 1);
  }
}
