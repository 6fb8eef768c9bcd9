/** Addresses of this host's pools, in memory and on the disk. */
import type { Log } from "../log.ts";
import type { RecordChange, Records } from "../records.ts";
import { Busy } from "./busy.ts";
import type { Lease } from "./lease.ts";
import type { Pool } from "./pool.ts";
import { leaseIdOf, putLease, putPool, removeLease } from "./pool-record.ts";
import type { PoolTable } from "./pool-table.ts";
import { UsageWatch } from "./usage-watch.ts";

export interface LeasesOptions {
  readonly records: Records;
  readonly table: PoolTable;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The release of a whole pool, while it is under way. */
  readonly releasing: (pool: Pool) => Promise<void> | undefined;
}

/** So many records of rests that are over are removed with a commit. */
const sweptAtOnce = 32;
/** So many leases of a pool that is released go in a turn. */
const releasedAtOnce = 500;

export class Leases {
  readonly #options: LeasesOptions;
  readonly #usage: UsageWatch;
  /** By the ID of the lease's record. */
  readonly #busy = new Busy();
  /** By pool: requests of other pools of the subnet for what rests there. */
  readonly #evictions = new Map<Pool, Promise<unknown>>();

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#usage = new UsageWatch(options.log);
  }

  /**
   * What about this address waits for the disk, whatever becomes of it; undefined if nothing does. To be asked again after it:
   * somebody else may have begun.
   */
  waiting(pool: Pool, offset: bigint): Promise<void> | undefined {
    return this.#busy.of(leaseIdOf(pool, offset));
  }

  /**
   * Holds an address that is free or rests: in memory at once, given back if it cannot be made durable.
   * @param serial whether the search goes on from here next time
   * @throws TsnetError "store"
   */
  async hold(pool: Pool, offset: bigint, lease: Lease, serial: boolean): Promise<void> {
    const { owner, undo, evicted } = this.#hold(pool, offset, lease, serial);
    const changes = [putLease(pool, offset, lease), ...(serial ? [putPool(pool)] : [])];
    const running = this.#run(pool, [offset], async () => {
      try {
        await this.#commit(pool, changes);
      } catch (error) {
        undo();
        throw error;
      }
    });
    if (owner !== undefined && owner !== pool) this.#noteEviction(owner, running);
    await running;
    if (evicted === null) return;
    const fields = { pool: pool.id, address: pool.addressAt(offset), keptFor: evicted, givenTo: lease.identity };
    this.#options.log.warn(fields, "an address that rested for somebody else is given out");
  }

  /**
   * Gives an address back if it is held by what is meant when nothing waits for the disk any more; says whether it did.
   * @throws TsnetError "store"
   */
  async release(pool: Pool, offset: bigint, isMeant: (lease: Lease) => boolean): Promise<boolean> {
    for (let waiting = this.waiting(pool, offset); waiting; waiting = this.waiting(pool, offset)) await waiting;
    const lease = pool.get(offset);
    if (lease === undefined || lease.restsUntilMs !== null || !isMeant(lease)) return false;
    const goesWithAll = this.#options.releasing(pool);
    // A rest must not be recorded after its pool is gone.
    if (goesWithAll) await goesWithAll;
    else await this.#run(pool, [offset], () => this.#release(pool, offset, lease));
    return true;
  }

  /**
   * Lets go of a pool with all that it has given out, in turns: the last of it goes with the pool. Nothing may be taken from it
   * meanwhile.
   * @throws TsnetError "store"; then the pool is there, with some of it
   */
  async releaseAll(pool: Pool): Promise<void> {
    for (;;) {
      // If what others do with what rested here fails, the pool has it again.
      for (let wait = this.#evictions.get(pool); wait; wait = this.#evictions.get(pool)) await wait;
      const leases = [...pool.offsets().take(releasedAtOnce)];
      const isLast = leases.length < releasedAtOnce;
      const changes: RecordChange[] = leases.map((offset) => removeLease(pool, offset));
      await this.#options.records.commit(isLast ? [...changes, { remove: "pool", id: pool.id }] : changes);
      if (isLast) return this.#options.table.remove(pool);
      for (const offset of leases) pool.delete(offset);
    }
  }

  /**
   * Says what network a pool is of, and puts these leases in the place of those that are there.
   * @throws TsnetError "store"; then nothing was changed
   */
  async attach(pool: Pool, network: string, leases: ReadonlyMap<bigint, Lease>): Promise<void> {
    const before = { network: pool.network, leases: [...leases.keys()].map((offset) => pool.get(offset) as Lease) };
    this.#options.table.attach(pool, network);
    for (const [offset, lease] of leases) pool.set(offset, lease);
    const changes = [putPool(pool), ...[...leases].map(([offset, lease]) => putLease(pool, offset, lease))];
    await this.#run(pool, [...leases.keys()], async () => {
      try {
        await this.#commit(pool, changes);
      } catch (error) {
        this.#undoAttach(pool, before.network, [...leases], before.leases);
        throw error;
      }
    });
  }

  #undoAttach(pool: Pool, network: string | null, leases: readonly [bigint, Lease][], before: readonly Lease[]): void {
    if (this.#options.table.get(pool.id) !== pool) return;
    this.#options.table.attach(pool, network);
    for (const [index, [offset, lease]] of leases.entries()) {
      const old = before[index];
      if (old !== undefined && pool.get(offset) === lease) pool.set(offset, old);
    }
  }

  #hold(pool: Pool, offset: bigint, lease: Lease, serial: boolean) {
    const { lastAllocated } = pool;
    const owner = pool.subnet.ownerOf(offset);
    const replaced = pool.set(offset, lease);
    if (serial) pool.lastAllocated = offset;
    this.#usage.look(pool);
    const undo = (): void => {
      if (serial && pool.lastAllocated === offset) pool.lastAllocated = lastAllocated;
      if (pool.get(offset) !== lease) return;
      pool.delete(offset);
      const isOwnerThere = owner !== undefined && this.#options.table.get(owner.id) === owner;
      if (isOwnerThere && replaced !== undefined) owner.set(offset, replaced);
    };
    const isResting = (replaced?.restsUntilMs ?? 0) > this.#options.now();
    const keeper = replaced && isResting ? (owner?.keeperOf(replaced) ?? null) : null;
    return { owner, undo, evicted: keeper === lease.identity ? null : keeper };
  }

  #noteEviction(owner: Pool, running: Promise<void>): void {
    const all: Promise<unknown> = Promise.allSettled([this.#evictions.get(owner), running]).then(() => {
      if (this.#evictions.get(owner) === all) this.#evictions.delete(owner);
    });
    this.#evictions.set(owner, all);
  }

  async #release(pool: Pool, offset: bigint, lease: Lease): Promise<void> {
    const rested = pool.rested(lease, this.#options.now());
    await this.#commit(pool, [rested ? putLease(pool, offset, rested) : removeLease(pool, offset)]);
    if (pool.get(offset) !== lease) return;
    if (rested) pool.set(offset, rested);
    else pool.delete(offset);
    this.#usage.look(pool);
  }

  #run(pool: Pool, offsets: readonly bigint[], work: () => Promise<void>): Promise<void> {
    return this.#busy.run(
      offsets.map((offset) => leaseIdOf(pool, offset)),
      work,
    );
  }

  /** Commits, and removes some of the records of rests that are over. */
  async #commit(pool: Pool, changes: readonly RecordChange[]): Promise<void> {
    const swept: [offset: bigint, lease: Lease | undefined][] = [];
    for (const offset of pool.lapsed()) {
      if (swept.push([offset, pool.get(offset)]) === sweptAtOnce) break;
    }
    await this.#options.records.commit([...swept.map(([offset]) => removeLease(pool, offset)), ...changes]);
    // One that was given out again meanwhile stays: its record was put after this.
    for (const [offset, lease] of swept) if (pool.get(offset) === lease) pool.delete(offset);
  }
}
