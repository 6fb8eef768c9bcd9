/**
 * What etcd has lost, and this host still has: etcd was restored from a backup that is older, or made anew, while containers ran. It
 * is put back where nobody has taken it since; otherwise two have it, and that is said. What is in the global address space is no
 * host's, so that none can tell whether it was given back: a swarm's next leader asks for all of it again.
 */
import { explain } from "../../errors.ts";
import type { Log } from "../log.ts";
import { type Attempts, lost } from "./attempts.ts";
import type { Lease } from "./lease.ts";
import type { KnownPool, Mirror } from "./mirror.ts";
import type { Owed } from "./owed.ts";
import type { Pool } from "./pool.ts";
import { leaseIdOf } from "./pool-record.ts";
import type { SharedPoolRequests } from "./shared-pool-requests.ts";
import type { Swaps } from "./swaps.ts";

/** What a host had of the pools that it shares with others. */
export interface Holdings {
  readonly pools: readonly KnownPool[];
  readonly leases: readonly { readonly pool: Pool; readonly offset: bigint; readonly lease: Lease }[];
}

export interface RecoveryNeeds {
  readonly mirror: Mirror;
  readonly swaps: Swaps;
  readonly attempts: Attempts;
  readonly owed: Owed;
  readonly requests: SharedPoolRequests;
  readonly hostId: string;
  readonly log: Log;
}

export class Recovery {
  readonly #needs: RecoveryNeeds;
  #last: Promise<void> = Promise.resolve();

  constructor(needs: RecoveryNeeds) {
    this.#needs = needs;
  }

  /** Puts back, in the background, what the mirror no longer has. */
  start(before: Holdings): void {
    this.#last = this.#last
      .then(() => this.#run(before))
      .catch((error: unknown) => {
        this.#needs.log.error({ error: explain(error) }, "what etcd has lost of this host could not be put back");
      });
  }

  /** Waits for what runs. */
  async close(): Promise<void> {
    await this.#last;
  }

  async #run({ pools, leases }: Holdings): Promise<void> {
    const { mirror, owed, hostId, log } = this.#needs;
    const lostPools = pools.filter(
      ({ pool: { id } }) => mirror.pool(id)?.record.hosts[hostId] === undefined && !owed.of(id),
    );
    const lostLeases = leases.filter((held) => this.#isLost(held));
    if (lostPools.length === 0 && lostLeases.length === 0) return;
    const fields = { pools: lostPools.map(({ pool }) => pool.id), addresses: lostLeases.length };
    log.error(
      fields,
      "etcd has lost what this host holds: it was restored from a backup or made anew; putting it back",
    );
    for (const { pool, record } of lostPools)
      await this.#try(pool.id, () => this.#needs.requests.putBack(pool.id, record));
    for (const held of lostLeases) await this.#try(held.pool.addressAt(held.offset), () => this.#putBack(held));
  }

  #isLost({ pool, offset, lease }: Holdings["leases"][number]): boolean {
    const { mirror, owed, hostId } = this.#needs;
    const found = mirror.find(leaseIdOf(pool, offset))?.lease;
    const isThere = found?.grant === lease.grant && found.hosts.includes(hostId);
    return !isThere && !owed.of(leaseIdOf(pool, offset)) && !owed.of(pool.id);
  }

  /** @throws Error if somebody else has it by now */
  async #putBack(held: Holdings["leases"][number]): Promise<void> {
    const { mirror, swaps, attempts, hostId } = this.#needs;
    const { offset, lease } = held;
    const id = leaseIdOf(held.pool, offset);
    await attempts.run(async () => {
      const pool = mirror.pool(held.pool.id)?.pool;
      if (!this.#isLost(held)) return true;
      if (pool === undefined) throw new Error("its pool is not there any more");
      const found = mirror.find(id)?.lease;
      const isTogether = found?.grant === lease.grant && found.restsUntilMs === null;
      if (found !== undefined && !isTogether && found.restsUntilMs === null)
        throw new Error(
          `${found.hosts.join(", ") || "somebody else"} has it by now: connect one of the two containers anew`,
        );
      const value = isTogether ? { ...found, hosts: [...found.hosts, hostId] } : lease;
      return (await swaps.replace(pool, offset, value)) || lost;
    });
  }

  async #try(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#needs.log.error({ what, error: explain(error) }, "what etcd has lost of this host could not be put back");
    }
  }
}
