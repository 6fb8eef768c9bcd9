/** Requests for pools that hosts share: each change of the set of pools is made only if nobody else has made one meanwhile. */
import { TsnetError } from "../../errors.ts";
import { type Cidr, overlaps, parseCidr } from "../../net/cidr.ts";
import type { RecordChange, RecordCondition, SharedRecords } from "../records.ts";
import { type Attempts, type Deadline, type Lost, lost } from "./attempts.ts";
import { addressSpaces, type DefaultPools } from "./default-pools.ts";
import type { Feed } from "./feed.ts";
import { newGrant } from "./grants.ts";
import type { Owed } from "./owed.ts";
import { poolIdOf } from "./pool.ts";
import { formatPoolOptions } from "./pool-options.ts";
import type { AnyPoolWish, NamedPoolWish, PoolWish } from "./pool-request.ts";
import { PoolTable } from "./pool-table.ts";
import { type EtcdSpace, parseKnownPool, type SharedPoolRecord, sharedSpace } from "./shared-record.ts";
import { type Obstacle, SubnetSearch } from "./subnet-search.ts";
import type { Swaps } from "./swaps.ts";

export interface SharedPoolRequestsNeeds {
  readonly records: SharedRecords;
  readonly feed: Feed;
  readonly swaps: Swaps;
  readonly attempts: Attempts;
  readonly owed: Owed;
  readonly hostId: string;
  readonly defaultPools: DefaultPools;
  /** What no subnet that we choose may touch. */
  readonly excluded: () => Promise<Iterable<Obstacle>>;
  /** The subnets of this host's own pools, which those that hosts share must not touch either. */
  readonly localSubnets: () => readonly Cidr[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The pools of an address space as etcd has them, and by what a change of them shows. */
interface Snapshot {
  readonly space: EtcdSpace;
  readonly records: ReadonlyMap<string, { readonly record: SharedPoolRecord; readonly value: object }>;
  readonly table: PoolTable;
  readonly version: RecordCondition;
}

/** A request, and what has become of it so far. */
interface Asking {
  readonly wish: PoolWish;
  readonly mayExist: boolean;
  readonly grant: string;
  /** IDs of the pools that may have been made, or not: etcd did not say. */
  readonly doubts: Set<string>;
  running: Promise<unknown>;
}

export class SharedPoolRequests {
  readonly #needs: SharedPoolRequestsNeeds;
  /** Subnets that this host is about to have. */
  readonly choosing = new Set<Cidr>();

  constructor(needs: SharedPoolRequestsNeeds) {
    this.#needs = needs;
  }

  /** @see PoolBackend */
  async request(wish: PoolWish, mayExist: boolean, beganAt?: number) {
    const asking: Asking = { wish, mayExist, grant: newGrant(), doubts: new Set(), running: Promise.resolve() };
    try {
      const id = await this.#needs.attempts.run((deadline) => {
        const attempt = this.#attempt(asking, deadline);
        asking.running = attempt.catch(() => {});
        return attempt;
      }, beganAt);
      return { poolId: id, pool: id.split("/").slice(1, 3).join("/") };
    } finally {
      await this.#oweDoubts(asking);
    }
  }

  /**
   * Has a pool again that etcd has lost, as this host had it.
   * @throws TsnetError "conflict" if another one is in its way by now; "store"
   */
  async putBack(id: string, { hosts, ...record }: SharedPoolRecord): Promise<void> {
    const { attempts, swaps, hostId } = this.#needs;
    await attempts.run(async () => {
      const { records, table, version } = await this.#read(sharedSpace);
      const { record: present, value } = records.get(id) ?? {};
      if (present?.hosts[hostId] !== undefined) return true;
      const own = { [hostId]: hosts[hostId] };
      if (value !== undefined) {
        const joined = { ...value, hosts: { ...present?.hosts, ...own } };
        return (await swaps.putPool(id, joined, [{ kind: "pool", id, is: value }], [])) || lost;
      }
      table.refuseOverlap(
        sharedSpace,
        parseCidr(record.subnet),
        record.subPool === null ? null : parseCidr(record.subPool),
      );
      const conditions: RecordCondition[] = [version, { kind: "pool", id, is: "absent" }];
      return (await swaps.putPool(id, { ...record, hosts: own }, conditions, [newVersion(sharedSpace)])) || lost;
    });
  }

  async #attempt(asking: Asking, deadline: Deadline): Promise<string | Lost> {
    const { wish, grant, doubts } = asking;
    await this.#needs.feed.heard();
    if (deadline.isOver) return lost;
    const space = wish.addressSpace === addressSpaces.global ? wish.addressSpace : sharedSpace;
    // A pool that this host has yet to leave is not asked for again before.
    const owed = "any" in wish ? undefined : this.#needs.owed.of(poolIdOf(space, wish.subnet, wish.subPool));
    if (owed !== undefined) await this.#needs.owed.settle(owed);
    const snapshot = await this.#read(space);
    // By an attempt whose outcome was not heard of.
    const made = [...snapshot.records].find(([, { record }]) => this.#claimOf(record)?.grant === grant);
    const id = made?.[0] ?? (await this.#request(snapshot, asking, deadline));
    if (deadline.isOver || id === lost) return lost;
    doubts.delete(id);
    return id;
  }

  /** What may have been made for nobody is given back. */
  async #oweDoubts({ doubts, grant, running }: Asking): Promise<void> {
    const { owed, now } = this.#needs;
    await owed.add(
      [...doubts].map((id) => ({ what: "pool", id, grant, atMs: now() })),
      running,
    );
    if (doubts.size > 0) void owed.retry();
  }

  async #request(snapshot: Snapshot, asking: Asking, deadline: Deadline): Promise<string | Lost> {
    const { wish, mayExist } = asking;
    const named = "any" in wish ? { ...wish, ...(await this.#choose(snapshot, wish)) } : wish;
    if (deadline.isOver) return lost;
    const id = poolIdOf(snapshot.space, named.subnet, named.subPool);
    const { record, value } = snapshot.records.get(id) ?? {};
    if (record === undefined || value === undefined) return this.#create(snapshot, named, asking);
    const isKnown = snapshot.space === addressSpaces.global || record.hosts[this.#needs.hostId] !== undefined;
    if (isKnown && mayExist) return id;
    if (isKnown) snapshot.table.refuseOverlap(snapshot.space, named.subnet, named.subPool);
    return this.#join(id, record, value, named, asking);
  }

  /** Has a pool together with the hosts that have it. */
  #join(id: string, record: SharedPoolRecord, value: object, wish: NamedPoolWish, asking: Asking) {
    const [theirs, ours] = [formatPoolOptions(record.options), formatPoolOptions(wish.options)];
    if (theirs !== ours) {
      const what = `${theirs}, and not ${ours}; give the same options on each host`;
      throw new TsnetError("conflict", `pool ${id} exists with other IPAM options: ${what}`);
    }
    return this.#holding(sharedSpace, wish, async () => {
      const claim = { network: null, grant: asking.grant, sinceMs: this.#needs.now() };
      const joined = { ...value, hosts: { ...record.hosts, [this.#needs.hostId]: claim } };
      return this.#make(asking, id, joined, [{ kind: "pool", id, is: value }], []);
    });
  }

  async #choose(snapshot: Snapshot, { addressSpace, any }: AnyPoolWish) {
    const { defaultPools, excluded, localSubnets } = this.#needs;
    const search = new SubnetSearch(defaultPools[addressSpace], any);
    await search.avoid(await excluded());
    const taken = snapshot.table.held(snapshot.space).map((cidr) => ({ cidr, by: `tsnet pool ${cidr.text}` }));
    const local = snapshot.space === sharedSpace ? localSubnets() : [];
    const own = [...local, ...this.choosing].map((cidr) => ({ cidr, by: "a pool of this host" }));
    return { subnet: search.choose([...taken, ...own]), subPool: null };
  }

  #create(snapshot: Snapshot, wish: NamedPoolWish, asking: Asking): Promise<string | Lost> {
    const { space, table, version } = snapshot;
    const { options, subnet, subPool } = wish;
    table.refuseOverlap(space, subnet, subPool);
    return this.#holding(space, wish, () => {
      const claim = { grant: asking.grant, sinceMs: this.#needs.now() };
      const record: SharedPoolRecord = {
        ...{ addressSpace: space, subnet: subnet.text, subPool: subPool?.text ?? null, options },
        sequence: Math.max(0, ...[...snapshot.records.values()].map((known) => known.record.sequence)) + 1,
        ...claim,
        hosts: space === sharedSpace ? { [this.#needs.hostId]: { network: null, ...claim } } : {},
      };
      const id = poolIdOf(space, subnet, subPool);
      return this.#make(asking, id, record, [version, { kind: "pool", id, is: "absent" }], [newVersion(space)]);
    });
  }

  /** Meanwhile no pool of this host alone takes the subnet; nor is it taken if there is one. */
  async #holding<T>(space: EtcdSpace, wish: NamedPoolWish, work: () => Promise<T>): Promise<T | Lost> {
    const { subnet } = wish;
    if (space === sharedSpace) {
      const clash = this.#needs.localSubnets().find((local) => overlaps(local, subnet));
      if (clash && "any" in wish) return lost;
      if (clash) throw overlapError(subnet, clash, "a pool of this host alone");
      this.choosing.add(subnet);
    }
    try {
      return await work();
    } finally {
      this.choosing.delete(subnet);
    }
  }

  async #make(
    { doubts }: Asking,
    id: string,
    value: object,
    conditions: readonly RecordCondition[],
    also: readonly RecordChange[],
  ): Promise<string | Lost> {
    const wasInDoubt = doubts.has(id);
    doubts.add(id);
    const isMade = await this.#needs.swaps.putPool(id, value, conditions, also);
    if (!isMade && !wasInDoubt) doubts.delete(id);
    return isMade ? id : lost;
  }

  async #read(space: EtcdSpace): Promise<Snapshot> {
    const { records } = this.#needs;
    // In this order: whatever changes the pools after the first answer makes the version another one.
    const version = await records.get("space", space);
    const found = new Map<string, { record: SharedPoolRecord; value: object }>();
    const table = new PoolTable();
    for (const [id, value] of await records.list("pool")) {
      if (!id.startsWith(`${space}/`)) continue;
      // As long as it is not known what a pool has, none can be made that is surely not in its way.
      const record = parseKnownPool(id, value);
      const subPool = record.subPool === null ? null : parseCidr(record.subPool);
      found.set(id, { record, value: value as object });
      table.add(space, parseCidr(record.subnet), subPool, record.options);
    }
    const is = version === undefined ? "absent" : (version as object);
    return { space, records: found, table, version: { kind: "space", id: space, is } };
  }

  #claimOf(record: SharedPoolRecord) {
    return record.addressSpace === addressSpaces.global ? record : record.hosts[this.#needs.hostId];
  }
}

const newVersion = (space: EtcdSpace): RecordChange => ({ put: "space", id: space, value: { version: newGrant() } });

/** The error of a subnet that is in the way of another one, in Docker's words. */
export const overlapError = (subnet: Cidr, other: Cidr, whose: string): TsnetError => {
  const words = "invalid pool request: Pool overlaps with other one on this address space";
  return new TsnetError("conflict", `${words}: ${subnet.text} with ${other.text}, ${whose}`);
};
