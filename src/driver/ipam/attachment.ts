/** What a network that is created tells about the pools that its addresses come from: until then nobody has named it. */
import { parseCidr, parseIp } from "../../net/cidr.ts";
import type { AttachedSubnet } from "./backend.ts";
import type { Lease, LeaseRole } from "./lease.ts";
import type { Pool } from "./pool.ts";
import type { PoolTable } from "./pool-table.ts";
import type { PoolSpace } from "./shared-subnet.ts";

/**
 * The pool that a network has a subnet's addresses from: its own already, or of those that nobody has the one that holds the
 * gateway, or else the last one that was asked for. Undefined where the subnet comes from another IPAM driver.
 * @param isSettled whether a pool is neither coming nor going
 */
export function poolToAttach(
  table: PoolTable,
  network: string,
  { addressSpace, pool, gateway }: AttachedSubnet,
  isSettled: (pool: Pool) => boolean,
): Pool | undefined {
  const pools = table.of(addressSpace as PoolSpace, parseCidr(pool)).filter(isSettled);
  const free = pools.filter((one) => one.network === null);
  const ip = gateway === null ? undefined : parseIp(gateway);
  const own = pools.find((one) => one.network === network);
  return own ?? free.find((one) => ip !== undefined && one.holds(ip)) ?? free.at(-1);
}

/** The held leases of a pool that are for something else than was thought, now that its network says what they are for. */
export function correctedRoles(pool: Pool, { gateway, auxiliary }: AttachedSubnet): Map<bigint, Lease> {
  const offsetOf = (address: string): bigint => pool.offsetOf(parseIp(address));
  const roles = new Map<bigint, LeaseRole>(auxiliary.map((address) => [offsetOf(address), "auxiliary"]));
  if (gateway !== null) roles.set(offsetOf(gateway), "gateway");
  const corrected = new Map<bigint, Lease>();
  for (const [offset, lease] of pool.entries()) {
    const role = roles.get(offset) ?? "endpoint";
    const isKnown = lease.role === role || lease.role === "host";
    if (lease.restsUntilMs === null && !isKnown) corrected.set(offset, { ...lease, role });
  }
  return corrected;
}
