/** Changes of one lease in etcd: each takes place only if the lease still is what the mirror says. */
import type { RecordChange, RecordCondition, SharedRecords } from "../records.ts";
import type { Feed, Flight } from "./feed.ts";
import type { Lease } from "./lease.ts";
import type { Mirror } from "./mirror.ts";
import type { Pool } from "./pool.ts";
import { leaseIdOf, putLease, removeLease } from "./pool-record.ts";

export interface SwapsNeeds {
  readonly records: SharedRecords;
  readonly mirror: Mirror;
  readonly feed: Feed;
}

/** One change, on its way. */
interface Swap {
  readonly pool: Pool;
  readonly offset: bigint;
  /** The pool that has the address so far: this one, or another one of the subnet. */
  readonly owner: Pool | undefined;
  readonly before: Lease | undefined;
  readonly after: Lease | undefined;
}

export class Swaps {
  readonly #needs: SwapsNeeds;

  constructor(needs: SwapsNeeds) {
    this.#needs = needs;
  }

  /**
   * Replaces the lease of an address; undefined removes it.
   * @returns false if something was different than the mirror says: by then the mirror knows
   * @throws TsnetError "store": then it may have been replaced
   */
  async replace(pool: Pool, offset: bigint, after: Lease | undefined): Promise<boolean> {
    const { records, mirror, feed } = this.#needs;
    const owner = pool.subnet.ownerOf(offset);
    const swap: Swap = { pool, offset, owner, before: owner?.get(offset), after };
    const change = after === undefined ? removeLease(pool, offset) : putLease(pool, offset, after);
    const condition = mirror.conditionOf(owner ?? pool, offset, swap.before);
    // A pool that is gone must not get a lease.
    const conditions = [condition, ...(after === undefined ? [] : [isThere(pool)])];
    const flight = feed.begin(condition.id, "put" in change ? change.value : undefined);
    // At once, so that no other request of this host tries the same.
    if (after !== undefined) pool.set(offset, after);
    let isDone = false;
    try {
      isDone = await records.commitIf([change], conditions);
      if (isDone) this.#land(swap, flight);
    } finally {
      feed.end(flight);
      if (!isDone) this.#takeBack(swap);
    }
    if (!isDone) await this.#refresh(pool, offset);
    return isDone;
  }

  /**
   * Puts the record of a pool.
   * @returns false if a condition did not hold: the mirror may not know yet
   * @throws TsnetError "store": then it may have been put
   */
  async putPool(
    id: string,
    value: object,
    conditions: readonly RecordCondition[],
    also: readonly RecordChange[],
  ): Promise<boolean> {
    const { records, mirror, feed } = this.#needs;
    const flight = feed.begin(id, value);
    try {
      if (!(await records.commitIf([{ put: "pool", id, value }, ...also], conditions))) return false;
      if (!flight.isPast) mirror.put("pool", id, JSON.parse(JSON.stringify(value)));
      return true;
    } finally {
      feed.end(flight);
    }
  }

  /** Whether an address is held just as the mirror says. If it is not, the mirror knows by then. */
  async verify(pool: Pool, offset: bigint): Promise<boolean> {
    const { records, mirror } = this.#needs;
    const isSo = await records.commitIf([], [mirror.conditionOf(pool, offset, pool.get(offset)), isThere(pool)]);
    if (!isSo) await this.#refresh(pool, offset);
    return isSo;
  }

  /** Reads an address's lease; and its pool, if that was not it. */
  async #refresh(pool: Pool, offset: bigint): Promise<void> {
    const { feed } = this.#needs;
    const before = heldAt(pool, offset);
    await feed.refresh("lease", leaseIdOf(pool, offset));
    const after = heldAt(pool, offset);
    if (after?.grant === before?.grant && after?.restsUntilMs === before?.restsUntilMs)
      await feed.refresh("pool", pool.id);
  }

  #land({ pool, offset, before, after }: Swap, { isPast }: Flight): void {
    if (!this.#needs.mirror.isCurrent(pool)) return;
    const now = pool.get(offset);
    if (after === undefined) {
      // What has another grant is newer: what was removed had this one.
      if (now?.grant === before?.grant) pool.delete(offset);
    } else if (!isPast && now !== after) pool.set(offset, after);
  }

  #takeBack({ pool, offset, owner, before, after }: Swap): void {
    if (after === undefined || pool.get(offset) !== after) return;
    pool.delete(offset);
    if (owner !== undefined && before !== undefined && this.#needs.mirror.isCurrent(owner)) owner.set(offset, before);
  }
}

const heldAt = (pool: Pool, offset: bigint): Lease | undefined => pool.subnet.ownerOf(offset)?.get(offset);

const isThere = ({ id }: Pool): RecordCondition => ({ kind: "pool", id, is: "present" });
