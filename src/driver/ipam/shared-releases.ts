/** What this host gives back of the pools that hosts share: addresses, and whole pools. */
import type { Locks } from "../locks.ts";
import type { RecordChange, RecordCondition, SharedRecords } from "../records.ts";
import { type Attempts, type Lost, lost } from "./attempts.ts";
import { addressSpaces } from "./default-pools.ts";
import type { Feed } from "./feed.ts";
import { newGrant } from "./grants.ts";
import type { Lease } from "./lease.ts";
import type { Mirror } from "./mirror.ts";
import type { OwedRelease } from "./owed.ts";
import type { Pool } from "./pool.ts";
import type { LeaseRecord } from "./pool-record.ts";
import { parseKnownPool as parse, type SharedPoolRecord } from "./shared-record.ts";
import type { Swaps } from "./swaps.ts";

export interface SharedReleasesNeeds {
  readonly records: SharedRecords;
  readonly mirror: Mirror;
  readonly feed: Feed;
  readonly swaps: Swaps;
  readonly attempts: Attempts;
  /** By the pool's ID: requests for its addresses share it. */
  readonly locks: Locks;
  readonly hostId: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class SharedReleases {
  readonly #needs: SharedReleasesNeeds;

  constructor(needs: SharedReleasesNeeds) {
    this.#needs = needs;
  }

  /**
   * Does what is owed, if it is not done yet. What is held by something else by now stays.
   * @throws TsnetError "store"
   */
  async settle(owed: OwedRelease): Promise<void> {
    let { grant } = owed;
    const isMeant = (lease: Lease, pool: Pool): boolean => {
      const isOwed = this.#isOwed(lease, pool, { ...owed, grant });
      // If it has to be tried again, it is this one, and no later one.
      if (isOwed) grant = lease.grant;
      return isOwed;
    };
    if (owed.what === "address") await this.releaseLease(owed.id, isMeant);
    else await this.#needs.attempts.run(() => this.#needs.locks.exclusive(owed.id, () => this.#releasePool(owed)));
  }

  /**
   * Gives an address back if it is held by what is meant; says whether it did.
   * @param id of the lease's record
   * @throws TsnetError "store"
   */
  releaseLease(id: string, isMeant: (lease: Lease, pool: Pool) => boolean): Promise<boolean> {
    const { mirror, feed, swaps, attempts } = this.#needs;
    let isConfirmed = false;
    return attempts.run(async (deadline): Promise<boolean | Lost> => {
      await feed.heard();
      if (deadline.isOver) return lost;
      const found = mirror.find(id);
      if (found && found.lease.restsUntilMs === null && isMeant(found.lease, found.pool)) {
        isConfirmed = false;
        return (await swaps.replace(found.pool, found.offset, this.#released(found.lease, found.pool))) || lost;
      }
      if (isConfirmed) return false;
      isConfirmed = await feed.refresh("lease", id);
      const missing = mirror.missingPoolOf(id);
      if (missing !== undefined && !(await feed.refresh("pool", missing))) isConfirmed = false;
      return lost;
    });
  }

  /** What becomes of a lease that this host gives back. */
  #released(lease: Lease, pool: Pool): Lease | undefined {
    const others = lease.hosts.filter((host) => host !== this.#needs.hostId);
    return others.length > 0 && others.length < lease.hosts.length
      ? { ...lease, hosts: others }
      : pool.rested(lease, this.#needs.now());
  }

  #isOwed(lease: Lease, { subnet }: Pool, { grant, atMs }: OwedRelease): boolean {
    const isOurs = subnet.addressSpace === addressSpaces.global || lease.hosts.includes(this.#needs.hostId);
    return isOurs && (grant === null ? lease.sinceMs <= atMs : lease.grant === grant);
  }

  async #releasePool(owed: OwedRelease): Promise<true | Lost> {
    const { records, mirror } = this.#needs;
    const value = await records.get("pool", owed.id);
    if (value !== undefined) {
      const record = parse(owed.id, value);
      if (!this.#isPoolOwed(record, owed)) return true;
      if (!(await this.#removeLeases(owed.id, "present"))) return lost;
      if (!(await this.#leavePool(owed.id, record, value as object))) return lost;
    }
    mirror.put("pool", owed.id, (await records.get("pool", owed.id)) ?? null);
    // What was put while the last host left.
    if (mirror.pool(owed.id) === undefined && !(await this.#removeLeases(owed.id, "absent"))) return lost;
    return true;
  }

  #isPoolOwed(record: SharedPoolRecord, { grant, atMs }: OwedRelease): boolean {
    const own = record.addressSpace === addressSpaces.global ? record : record.hosts[this.#needs.hostId];
    if (own === undefined) return false;
    return grant === null ? own.sinceMs <= atMs : own.grant === grant;
  }

  /** Leaves it to the other hosts, or removes it. */
  async #leavePool(id: string, record: SharedPoolRecord, value: object): Promise<boolean> {
    const { records, hostId } = this.#needs;
    const { [hostId]: _, ...others } = record.hosts;
    const isPool: RecordCondition = { kind: "pool", id, is: value };
    if (Object.keys(others).length > 0) {
      return records.commitIf([{ put: "pool", id, value: { ...value, hosts: others } }], [isPool]);
    }
    const space = await records.get("space", record.addressSpace);
    const isSpace: RecordCondition = {
      kind: "space",
      id: record.addressSpace,
      is: space === undefined ? "absent" : (space as object),
    };
    const changes: RecordChange[] = [
      { remove: "pool", id },
      { put: "space", id: record.addressSpace, value: { version: newGrant() } },
    ];
    return records.commitIf(changes, [isPool, isSpace]);
  }

  /**
   * Removes what this host holds in a pool, or everything if the pool is not there.
   * @returns false if something has changed meanwhile
   */
  async #removeLeases(poolId: string, pool: "present" | "absent"): Promise<boolean> {
    const { records } = this.#needs;
    const leases = [...(await records.list("lease"))].filter(
      ([, value]) => (value as LeaseRecord | null)?.pool === poolId,
    );
    const steps = leases.flatMap(([id, value]) => {
      const change = pool === "absent" ? ({ remove: "lease", id } as const) : this.#leftBehind(id, value);
      return change === undefined ? [] : [{ change, condition: { kind: "lease", id, is: value as object } as const }];
    });
    const isPool: RecordCondition = { kind: "pool", id: poolId, is: pool };
    const atOnce = Math.min(steps.length, records.maxChanges - 1);
    for (let first = 0; first < steps.length; first += atOnce) {
      const some = steps.slice(first, first + atOnce);
      const changes = some.map(({ change }) => change);
      if (!(await records.commitIf(changes, [isPool, ...some.map(({ condition }) => condition)]))) return false;
      for (const change of changes) this.#needs.mirror.put("lease", change.id, "put" in change ? change.value : null);
    }
    return true;
  }

  /** What becomes of a lease when this host leaves its pool; undefined if it stays as it is. */
  #leftBehind(id: string, value: unknown): RecordChange | undefined {
    const { hostId, mirror } = this.#needs;
    // One that cannot be understood stays, as in the mirror.
    const hosts = mirror.read(id, value)?.hosts;
    const others = hosts?.filter((host) => host !== hostId);
    if (others === undefined || (others.length === hosts?.length && others.length > 0)) return undefined;
    return others.length === 0
      ? { remove: "lease", id }
      : { put: "lease", id, value: { ...(value as object), hosts: others } };
  }
}
