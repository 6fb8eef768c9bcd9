/**
 * The pools and leases of etcd as far as this host has heard of them. It may be late: what is decided from it holds only if the
 * commit that makes it so finds the records as they are here.
 */
import { explain } from "../../errors.ts";
import { isAddress, parseCidr, parseIp } from "../../net/cidr.ts";
import type { Log } from "../log.ts";
import type { RecordCondition } from "../records.ts";
import type { Lease } from "./lease.ts";
import type { Pool } from "./pool.ts";
import { type LeaseRecord, leaseIdOf, leaseOf, parseLeaseRecord, putLease } from "./pool-record.ts";
import { PoolTable } from "./pool-table.ts";
import type { Holdings } from "./recovery.ts";
import { parseSharedPool, type SharedPoolRecord } from "./shared-record.ts";
import type { PoolSpace, SharedSubnet } from "./shared-subnet.ts";

/** An address that is held by nobody knows whom. */
const unreadable: Omit<Lease, "hosts"> = {
  ...{ grant: "", role: "endpoint", identity: null, sinceMs: 0, restsUntilMs: null },
};

/** A pool, and its record. */
export interface KnownPool {
  readonly pool: Pool;
  readonly record: SharedPoolRecord;
  /** The record as it came, for conditions. */
  readonly value: object;
}

export interface MirrorNeeds {
  /** Of this host: its networks are the ones that pools are shown with. */
  readonly hostId: string;
  readonly log: Log;
}

export class Mirror {
  readonly #needs: MirrorNeeds;
  readonly table = new PoolTable();
  readonly #pools = new Map<string, KnownPool>();
  /** Leases of pools that are not known (yet), by ID. */
  readonly #orphans = new Map<string, LeaseRecord>();
  /** Records that another version has written differently than this one would. */
  readonly #foreign = new WeakMap<Lease, object>();

  constructor(needs: MirrorNeeds) {
    this.#needs = needs;
  }

  pool(id: string): KnownPool | undefined {
    return this.#pools.get(id);
  }

  pools(): Iterable<KnownPool> {
    return this.#pools.values();
  }

  /** What this host has of the pools that it shares with others. */
  holdings(): Holdings {
    const { hostId } = this.#needs;
    const pools = [...this.#pools.values()].filter(({ record }) => record.hosts[hostId] !== undefined);
    const leases = pools.flatMap(({ pool }) =>
      [...pool.entries()].flatMap(([offset, lease]) =>
        lease.restsUntilMs === null && lease.hosts.includes(hostId) ? [{ pool, offset, lease }] : [],
      ),
    );
    return { pools, leases };
  }

  /** Whether a pool is still the one that is known by its ID. */
  isCurrent(pool: Pool): boolean {
    return this.#pools.get(pool.id)?.pool === pool;
  }

  /** The lease with this ID, "tsnet-shared/10.5.0.2", and the pool that has given it. */
  find(id: string): { readonly pool: Pool; readonly offset: bigint; readonly lease: Lease } | undefined {
    const place = this.#placeOf(id);
    const pool = place?.subnet.ownerOf(place.offset);
    const lease = place && pool?.get(place.offset);
    return place && pool && lease && { pool, offset: place.offset, lease };
  }

  /** The ID of the pool that a lease names, though it is not known. */
  missingPoolOf(id: string): string | undefined {
    return this.#orphans.get(id)?.pool;
  }

  /** The record of a lease; undefined if it cannot be understood. */
  read(id: string, value: unknown): LeaseRecord | undefined {
    try {
      return parseLeaseRecord(id, value);
    } catch {
      return undefined;
    }
  }

  /** The IDs of all records of a kind. */
  ids(kind: "pool" | "lease"): string[] {
    if (kind === "pool") return [...this.#pools.keys()];
    const held = [...this.#pools.values()].flatMap(({ pool }) => this.leaseIds(pool));
    return [...held, ...this.#orphans.keys()];
  }

  /** The IDs of a pool's leases, of those that have lapsed as well. */
  leaseIds(pool: Pool): string[] {
    const offsets = [...[...pool.entries()].map(([offset]) => offset), ...pool.lapsed()];
    return offsets.map((offset) => leaseIdOf(pool, offset));
  }

  /** What a commit that replaces a lease depends on. */
  conditionOf(pool: Pool, offset: bigint, lease: Lease | undefined): RecordCondition {
    const id = leaseIdOf(pool, offset);
    if (lease === undefined) return { kind: "lease", id, is: "absent" };
    const change = putLease(pool, offset, lease) as { readonly value: object };
    return { kind: "lease", id, is: this.#foreign.get(lease) ?? change.value };
  }

  /** @param value of the record; null if it is gone */
  put(kind: "pool" | "lease", id: string, value: unknown): void {
    try {
      if (kind === "pool") this.#putPool(id, value);
      else this.#putLease(id, value);
    } catch (error) {
      this.#needs.log.error({ kind, id, error: explain(error) }, "a record in etcd cannot be understood");
      if (kind === "lease") this.#holdUnreadable(id, value);
    }
  }

  #putPool(id: string, value: unknown): void {
    const known = this.#pools.get(id);
    if (value === null) {
      if (known) this.#forget(known.pool);
      return;
    }
    const record = parseSharedPool(id, value);
    const isSame = known && JSON.stringify(known.record.options) === JSON.stringify(record.options);
    if (known && !isSame) this.#forget(known.pool);
    const pool = known && isSame ? known.pool : this.#add(id, record);
    pool.sequence = record.sequence;
    pool.hosts = Object.keys(record.hosts);
    this.table.attach(pool, record.hosts[this.#needs.hostId]?.network ?? null);
    this.#pools.set(id, { pool, record, value: value as object });
    if (pool !== known?.pool) this.#adopt(pool);
  }

  #add(id: string, { addressSpace, subnet, subPool, options }: SharedPoolRecord): Pool {
    const expected = [addressSpace, subnet, ...(subPool === null ? [] : [subPool])].join("/");
    if (expected !== id) throw new Error(`the record of pool ${id} describes ${expected}`);
    return this.table.add(addressSpace, parseCidr(subnet), subPool === null ? null : parseCidr(subPool), options);
  }

  /** Its leases stay until they are told to be gone. */
  #forget(pool: Pool): void {
    for (const offset of [...[...pool.entries()].map(([held]) => held), ...pool.lapsed()]) {
      const lease = pool.get(offset);
      if (lease === undefined) continue;
      this.#orphans.set(leaseIdOf(pool, offset), { pool: pool.id, address: pool.addressAt(offset), ...lease });
    }
    this.#pools.delete(pool.id);
    this.table.remove(pool);
  }

  #adopt(pool: Pool): void {
    for (const [id, record] of this.#orphans) if (record.pool === pool.id) this.#putLease(id, record);
  }

  #putLease(id: string, value: unknown): void {
    const place = this.#placeOf(id);
    if (value === null) {
      this.#orphans.delete(id);
      place?.subnet.ownerOf(place.offset)?.delete(place.offset);
      return;
    }
    const record = parseLeaseRecord(id, value);
    const pool = this.#pools.get(record.pool)?.pool;
    if (pool === undefined || place?.subnet !== pool.subnet) {
      place?.subnet.ownerOf(place.offset)?.delete(place.offset);
      this.#orphans.set(id, record);
      return;
    }
    this.#orphans.delete(id);
    const lease = leaseOf(record);
    const change = putLease(pool, place.offset, lease) as { readonly value: object };
    if (JSON.stringify(change.value) !== JSON.stringify(value)) this.#foreign.set(lease, value as object);
    pool.set(place.offset, lease);
  }

  /** An address whose record cannot be understood is nobody's to take. */
  #holdUnreadable(id: string, value: unknown): void {
    const place = this.#placeOf(id);
    const [pool] = place?.subnet.pools ?? [];
    if (place === undefined || pool === undefined) return;
    const lease: Lease = { ...unreadable, hosts: [] };
    this.#foreign.set(lease, value as object);
    pool.set(place.offset, lease);
  }

  /** Where the address of a lease's ID is: "tsnet-shared/10.5.0.2". */
  #placeOf(id: string): { readonly subnet: SharedSubnet; readonly offset: bigint } | undefined {
    const cut = id.indexOf("/");
    const ip = isAddress(id.slice(cut + 1)) ? parseIp(id.slice(cut + 1)) : undefined;
    const subnet = ip && this.table.at(id.slice(0, cut) as PoolSpace, ip);
    return subnet && { subnet, offset: ip.value - subnet.cidr.base };
  }
}
