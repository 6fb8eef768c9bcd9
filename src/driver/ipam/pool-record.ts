/**
 * Pools and leases as they are recorded. A pool's ID is Docker's: "tsnet-local/172.18.0.0/16/172.18.5.0/24". The defaults are for
 * records that were written before the field was known.
 */
import { z } from "zod";
import { isAddress, parseCidr, parseIp } from "../../net/cidr.ts";
import { parseRecord, textFor } from "../parse-record.ts";
import type { RecordChange } from "../records.ts";
import { type Lease, leaseRoles } from "./lease.ts";
import type { Pool } from "./pool.ts";
import { defaultPoolOptions } from "./pool-options.ts";

const duration = z.number().nonnegative();
/** As far as Date can go. */
const latest = 8.64e15;
/** Milliseconds since 1970. */
const time = z.number().nonnegative().max(latest);

const poolShape = z.object({
  addressSpace: z.enum(["tsnet-local", "tsnet-global", "tsnet-shared"]),
  /** "172.18.0.0/16". */
  subnet: textFor(parseCidr),
  /** The range of addresses that are given out unasked, "172.18.5.0/24"; null for all. */
  subPool: textFor(parseCidr).nullable(),
  /** The last address that was given out in order; null for none. */
  lastAllocated: textFor(parseIp).nullable(),
  options: z
    .object({ sticky: z.boolean(), stickyTtlMs: duration, quarantineMs: duration, shared: z.boolean() })
    .default(defaultPoolOptions),
  /** ID of the network that has its addresses from here; null for none. */
  network: z.string().nullable().default(null),
  /** IDs of the hosts that use it, if hosts share it. */
  hosts: z.array(z.string()).readonly().default([]),
  /** Counts the requests for pools: what is full goes on in the network's next one. */
  sequence: z.number().default(0),
});

const leaseShape = z.object({
  /** The pool's ID. */
  pool: z.string(),
  /** "172.18.5.2". */
  address: textFor(parseIp),
  // What follows is a Lease. An empty grant is that of nobody.
  grant: z.string().default(""),
  role: z.enum(leaseRoles).default("endpoint"),
  identity: z.string().nullable().default(null),
  sinceMs: time.default(0),
  hosts: z.array(z.string()).readonly().default([]),
  restsUntilMs: time.nullable().default(null),
});

export type PoolRecord = Readonly<z.infer<typeof poolShape>>;
export type LeaseRecord = Readonly<z.infer<typeof leaseShape>>;

/** @throws TsnetError "store", which names the record */
export const parsePoolRecord = (id: string, value: unknown): PoolRecord => parseRecord("pool", id, poolShape, value);

/** @throws TsnetError "store", which names the record */
export const parseLeaseRecord = (id: string, value: unknown): LeaseRecord =>
  isUsual(value) ? value : parseRecord("lease", id, leaseShape, value);

/** Whether a record is just as it is written, so that 100,000 of them take neither the time nor the garbage of a parser. */
function isUsual(value: unknown): value is LeaseRecord {
  const record = (value ?? {}) as Record<keyof LeaseRecord, unknown>;
  const { pool, address, grant, role, identity, sinceMs, hosts, restsUntilMs } = record;
  return (
    typeof pool === "string" &&
    typeof address === "string" &&
    isAddress(address) &&
    typeof grant === "string" &&
    (leaseRoles as readonly unknown[]).includes(role) &&
    (identity === null || typeof identity === "string") &&
    isTime(sinceMs) &&
    (restsUntilMs === null || isTime(restsUntilMs)) &&
    Array.isArray(hosts) &&
    hosts.every((host) => typeof host === "string")
  );
}

const isTime = (value: unknown): value is number => typeof value === "number" && value >= 0 && value <= latest;

/** Most leases have no hosts, or the same one. */
const hostLists = new Map<string, readonly string[]>();

/** The lease of a record, without what the pool and its address say; equal lists of hosts are one. */
export function leaseOf({ grant, role, identity, sinceMs, hosts, restsUntilMs }: LeaseRecord): Lease {
  return { grant, role, identity, sinceMs, hosts: sharedHosts(hosts), restsUntilMs };
}

/** The one list with these hosts. */
export function sharedHosts(hosts: readonly string[]): readonly string[] {
  if (hosts.length > 1) return hosts;
  const key = hosts[0] ?? "";
  const known = hostLists.get(key);
  if (known === undefined) hostLists.set(key, hosts);
  return known ?? hosts;
}

function poolRecordOf(pool: Pool): PoolRecord {
  const { subnet, subPool, lastAllocated, options, network, hosts, sequence } = pool;
  return {
    addressSpace: subnet.addressSpace,
    subnet: subnet.cidr.text,
    subPool: subPool?.text ?? null,
    lastAllocated: lastAllocated === undefined ? null : pool.addressAt(lastAllocated),
    ...{ options, network, hosts, sequence },
  };
}

export const putPool = (pool: Pool): RecordChange => ({ put: "pool", id: pool.id, value: poolRecordOf(pool) });

export function putLease(pool: Pool, offset: bigint, lease: Lease): RecordChange {
  const value: LeaseRecord = { pool: pool.id, address: pool.addressAt(offset), ...lease };
  return { put: "lease", id: leaseIdOf(pool, offset), value };
}

export const removeLease = (pool: Pool, offset: bigint): RecordChange => ({
  remove: "lease",
  id: leaseIdOf(pool, offset),
});

/** Subnets of an address space do not overlap, so that an address has one lease at most: "tsnet-local/172.18.0.2". */
export const leaseIdOf = (pool: Pool, offset: bigint): string =>
  `${pool.subnet.addressSpace}/${pool.addressAt(offset)}`;
