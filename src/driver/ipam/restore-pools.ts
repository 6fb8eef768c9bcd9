import { containsIp, parseCidr, parseIp } from "../../net/cidr.ts";
import { badRecord } from "../parse-record.ts";
import type { Records } from "../records.ts";
import { leaseOf, parseLeaseRecord, parsePoolRecord } from "./pool-record.ts";
import type { PoolTable } from "./pool-table.ts";

/**
 * Puts all recorded pools and leases into an empty table, in turns of the event loop.
 * @returns the largest sequence number of a pool
 * @throws TsnetError "store", which names the record that cannot be understood
 */
export async function restorePools(records: Records, table: PoolTable): Promise<number> {
  await records.each("pool", (id, value) => restorePool(table, id, value));
  await records.each("lease", (id, value) => restoreLease(table, id, value));
  return Math.max(0, ...[...table.all()].map(({ sequence }) => sequence));
}

function restorePool(table: PoolTable, id: string, value: unknown): void {
  const { addressSpace, subnet, subPool, lastAllocated, options, network, hosts, sequence } = parsePoolRecord(
    id,
    value,
  );
  const pool = table.add(addressSpace, parseCidr(subnet), subPool === null ? null : parseCidr(subPool), options);
  Object.assign(pool, { hosts, sequence });
  if (lastAllocated !== null) pool.lastAllocated = pool.offsetOf(parseIp(lastAllocated));
  table.attach(pool, network);
}

function restoreLease(table: PoolTable, id: string, value: unknown): void {
  const record = parseLeaseRecord(id, value);
  const pool = table.get(record.pool);
  if (!pool) throw badRecord("lease", id, `names pool ${record.pool}, which does not exist`);
  const ip = parseIp(record.address);
  const offset = pool.offsetOf(ip);
  const { cidr, reserved } = pool.subnet;
  if (!containsIp(cidr, ip)) throw badRecord("lease", id, `contradicts the others: ${ip.text} is not in ${pool.id}`);
  const owner = pool.subnet.ownerOf(offset);
  if (owner) throw badRecord("lease", id, `contradicts the others: ${ip.text} has a lease in ${owner.id}, too`);
  if (reserved.includes(offset)) throw badRecord("lease", id, `contradicts the others: ${ip.text} is reserved`);
  pool.set(offset, leaseOf(record));
}
