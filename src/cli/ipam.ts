/** `tsnet ipam` and `tsnet ipam show`, as text. */
import type { LeaseAnswer } from "../driver/ipam/answers.ts";
import { addressKey, type Names } from "./docker-names.ts";
import { type NamedPool, ofNetwork } from "./pools.ts";
import { formatCount, formatPercent, formatTable, formatTime, printable } from "./table.ts";

/** From here on a pool is marked. */
const nearlyFullPercent = 80;

export function formatPools(pools: readonly NamedPool[]): string {
  const isShared = pools.some(({ hosts }) => hosts.length > 0);
  const hosts = (cell: string): string[] => (isShared ? [cell] : []);
  return formatTable(
    ["POOL", "NETWORK", ...hosts("HOSTS"), "SIZE", "USED", "RESTING", "FREE", "USE%"],
    pools.map((pool) => [
      pool.id,
      ofNetwork(pool, "") || "-",
      ...hosts(pool.hosts.length > 0 ? `${pool.hosts.length}` : "-"),
      ...[pool.size, pool.used, pool.resting, pool.free].map(formatCount),
      `${formatPercent(pool.usePercent)}${pool.usePercent >= nearlyFullPercent ? " !" : ""}`,
    ]),
  );
}

/** An address with the name that Docker has for its container; null where Docker was not asked or does not know. */
export interface NamedLease extends LeaseAnswer {
  readonly containerName: string | null;
}

/** A pool with what it has given out. */
export interface ShownPool extends NamedPool {
  readonly leases: readonly NamedLease[];
}

export function shownPool(pool: NamedPool, leases: readonly LeaseAnswer[], names: Names): ShownPool {
  const nameOf = ({ endpoint, address }: LeaseAnswer): string | undefined =>
    names.containers.get(endpoint ?? "") ?? names.addresses.get(addressKey(pool.network ?? "", address));
  return { ...pool, leases: leases.map((lease) => ({ ...lease, containerName: nameOf(lease) ?? null })) };
}

export const formatShown = (pools: readonly ShownPool[]): string => pools.map(formatLeases).join("\n");

function formatLeases(pool: ShownPool): string {
  const title = `Pool ${pool.id}${ofNetwork(pool, " of network ")}`;
  const isShared = pool.hosts.length > 0;
  const host = (cell: string): string[] => (isShared ? [cell] : []);
  const table = formatTable(
    ["ADDRESS", "HELD BY", "SINCE", ...host("HOST")],
    pool.leases.map((lease) => [
      lease.address,
      formatHolder(lease, pool),
      lease.since === null ? "-" : formatTime(lease.since),
      ...host(lease.hosts.join(", ") || "-"),
    ]),
  );
  return `${printable(title)}\n\n${table}`;
}

function formatHolder(lease: NamedLease, { addressSpace }: NamedPool): string {
  const { role, identity, endpoint, hosts, restsUntil, containerName } = lease;
  const identityName = identity?.replace(/^(name|mac):/, "");
  if (restsUntil !== null) {
    return `resting${identityName === undefined ? "" : ` for ${identityName}`} until ${formatTime(restsUntil)}`;
  }
  if (role !== "endpoint") return role;
  if (containerName !== null) return containerName;
  if (identityName !== undefined) return identityName;
  if (endpoint !== null) return `endpoint ${endpoint.slice(0, 12)}`;
  if (hosts.length > 0) return `host ${hosts.join(", ")}`;
  return addressSpace === "tsnet-global" ? "the swarm" : "unknown";
}
