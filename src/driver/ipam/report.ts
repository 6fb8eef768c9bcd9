import { TsnetError } from "../../errors.ts";
import type { State } from "../state.ts";
import { Turn } from "../turn.ts";
import type { CheckAnswer, FindingAnswer, IpamAnswer, LeaseAnswer, PoolAnswer, RepairAnswer } from "./answers.ts";
import type { IpamView, LeaseView, PoolView } from "./views.ts";

/** So many pools are named to somebody who asks for one that there is not. */
const namedPools = 10;

/** Something that does not agree, as the check finds it. */
export interface Finding {
  readonly kind: string;
  /** The pool's ID. */
  readonly pool: string;
  /** null where it is about the whole pool. */
  readonly address: string | null;
  readonly text: string;
  /** Milliseconds since 1970; 0 where that is not known. */
  readonly sinceMs: number;
  readonly repairable: boolean;
}

/** What the report needs of the check. */
export interface Checker {
  /** @throws TsnetError "store" */
  check(): Promise<readonly Finding[]>;
  /** Gives back what can be given back. @throws TsnetError "store" */
  repair(): Promise<{ readonly released: readonly Finding[]; readonly left: readonly Finding[] }>;
}

export interface IpamReportNeeds {
  readonly ipam: Pick<IpamView, "pools" | "leasesOf"> & { callHost(id: string): string };
  readonly state: Pick<State, "endpointAt">;
  readonly checker: Checker;
}

/** What the administrator may see of pools and addresses: from memory, without a lock. */
export class IpamReport {
  readonly #needs: IpamReportNeeds;

  constructor(needs: IpamReportNeeds) {
    this.#needs = needs;
  }

  pools(): IpamAnswer {
    const { ipam } = this.#needs;
    return { pools: [...ipam.pools()].map((pool) => poolAnswer(pool, (id) => ipam.callHost(id))) };
  }

  /**
   * What a pool has given out, in the order of the addresses: in parts, with a turn of the event loop between two of them. What
   * comes or goes meanwhile may be in it.
   * @throws TsnetError "not-found", which names the pools that there are
   */
  async *leases(poolId: string): AsyncGenerator<readonly LeaseAnswer[]> {
    const { ipam, state } = this.#needs;
    const pool = this.#known(poolId);
    let part: LeaseAnswer[] = [];
    const turn = new Turn();
    for (const lease of ipam.leasesOf(poolId)) {
      const hosts = lease.hosts.map((id) => ipam.callHost(id));
      part.push({ ...leaseAnswer(lease), hosts, endpoint: endpointOf(lease, pool, state) });
      if (!turn.isOver) continue;
      yield part;
      part = [];
      await turn.next();
    }
    yield part;
  }

  /** @throws TsnetError "store" */
  async check(): Promise<CheckAnswer> {
    return { findings: (await this.#needs.checker.check()).map(findingAnswer) };
  }

  /** @throws TsnetError "store" */
  async repair(): Promise<RepairAnswer> {
    const { released, left } = await this.#needs.checker.repair();
    return { released: released.map(findingAnswer), findings: left.map(findingAnswer) };
  }

  #known(poolId: string): PoolView {
    const pools = [...this.#needs.ipam.pools()];
    const pool = pools.find(({ id }) => id === poolId);
    if (pool !== undefined) return pool;
    const names = pools.slice(0, namedPools).map(({ id }) => id);
    const more = pools.length > names.length ? `, and ${pools.length - names.length} more` : "";
    const known = names.length > 0 ? `there are ${names.join(", ")}${more}` : "there is none yet";
    throw new TsnetError("not-found", `pool=${poolId}: no such pool; ${known}`);
  }
}

/** The endpoint of this host that has the address now. */
function endpointOf(lease: LeaseView, { network }: PoolView, state: IpamReportNeeds["state"]): string | null {
  if (network === null || lease.role !== "endpoint" || lease.restsUntilMs !== null) return null;
  return state.endpointAt(network, lease.address)?.id ?? null;
}

const poolAnswer = (pool: PoolView, callHost: (id: string) => string): PoolAnswer => ({
  id: pool.id,
  addressSpace: pool.addressSpace,
  family: pool.family,
  subnet: pool.subnet,
  subPool: pool.subPool,
  network: pool.network,
  hosts: pool.hosts.map(callHost),
  size: `${pool.size}`,
  reserved: `${pool.reserved}`,
  used: `${pool.used}`,
  resting: `${pool.resting}`,
  free: `${pool.free}`,
  usePercent: usePercent(pool),
});

/** As the warning counts it that a pool is nearly full. */
function usePercent({ size, reserved, resting, free }: PoolView): number {
  const usable = size - reserved;
  return usable > 0n ? Number((usable - resting - free) * 100n) / Number(usable) : 0;
}

const leaseAnswer = (lease: LeaseView): Omit<LeaseAnswer, "hosts" | "endpoint"> => ({
  address: lease.address,
  role: lease.role,
  identity: lease.identity,
  since: isoTime(lease.sinceMs),
  restsUntil: isoTime(lease.restsUntilMs),
});

const findingAnswer = ({ kind, pool, address, text, sinceMs, repairable }: Finding): FindingAnswer => ({
  ...{ kind, pool, address, text, repairable },
  since: isoTime(sinceMs),
});

/** @param ms since 1970; 0 and null are not known */
const isoTime = (ms: number | null): string | null => (ms ? new Date(ms).toISOString() : null);
