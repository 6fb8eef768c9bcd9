/** Who holds the addresses of a pool, counted: for the one who wonders where they have gone. */
import type { Lease } from "./lease.ts";

/**
 * How the containers of one service are told apart. Swarm's tasks: "web.1.TASK", or "web.NODE.TASK" for a service that runs
 * everywhere, with IDs of 25 characters; Compose's containers: "shop-web-1", before its version 2 "shop_web_1".
 */
const ordinal = /(?:\.(?:\d+|[0-9a-z]{25})\.[0-9a-z]{25}|[-_]\d+)$/;

export class Holders {
  readonly #counts = new Map<string, number>();

  add(lease: Lease): void {
    const key = keyOf(lease);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  remove(lease: Lease): void {
    const key = keyOf(lease);
    const count = (this.#counts.get(key) ?? 0) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }

  /** Groups with how many each holds. */
  entries(): IterableIterator<[group: string, count: number]> {
    return this.#counts.entries();
  }
}

/** So many groups are named. */
const named = 3;

/** In the place of a group, of those that Docker gives no name. */
const nameless = "";

/**
 * Those that hold most of these pools, as in "web 12, gateway 1".
 * @param others what those are called that Docker gives no name
 */
export function largestHolders(pools: readonly Holders[], others: string): string {
  const sums = new Map<string, number>();
  for (const holders of pools)
    for (const [key, count] of holders.entries()) sums.set(key, (sums.get(key) ?? 0) + count);
  let largest: [group: string, count: number][] = [];
  for (const entry of sums) {
    if (largest.length === named && entry[1] <= (largest.at(-1)?.[1] ?? 0)) continue;
    largest = [...largest, entry].sort((a, b) => b[1] - a[1]).slice(0, named);
  }
  const nameOf = (group: string): string => (group === nameless ? others : group.replace(/^name:/, ""));
  return largest.map(([group, count]) => `${nameOf(group)} ${count}`).join(", ");
}

/** A name that only one container can have is no group: a full pool would have as many as addresses. */
function keyOf({ role, identity, hosts }: Lease): string {
  if (role === "gateway") return "gateway";
  if (role === "auxiliary") return "auxiliary addresses";
  if (role === "host") return "hosts";
  if (hosts[0] !== undefined) return `host ${hosts[0]}`;
  if (identity === null || !identity.startsWith("name:")) return nameless;
  const group = identity.replace(ordinal, "");
  return group === identity ? "other containers" : group;
}

/** Who holds an address, as in "container web". */
export function holderOf({ role, identity, hosts }: Lease): string {
  const host = hosts.length > 0 ? ` of host ${hosts.join(", ")}` : "";
  if (role === "gateway") return `the gateway${host}`;
  if (role === "auxiliary") return `an auxiliary address${host}`;
  if (role === "host")
    return hosts.length > 0
      ? `host ${hosts.join(", ")} itself (tsnet.host_address)`
      : "the host itself (tsnet.host_address)";
  if (identity === null) return `a container${host}`;
  return `container ${identity.replace(/^name:/, "").replace(/^mac:/, "with MAC address ")}${host}`;
}
