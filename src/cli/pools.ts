/** Address pools with Docker's names, and how a user calls one. */
import type { PoolAnswer } from "../driver/ipam/answers.ts";
import { type Names, subnetKey } from "./docker-names.ts";
import { compare } from "./table.ts";

/** So many pools are named to somebody who asks for one that there is not. */
const namedInErrors = 10;

/** A pool with the name that Docker has for its network; null where Docker was not asked or does not know. */
export interface NamedPool extends PoolAnswer {
  readonly networkName: string | null;
}

/** Sorted by address space, family and subnet. A network of another driver is known to Docker alone. */
export const namedPools = (pools: readonly PoolAnswer[], names: Names): NamedPool[] =>
  pools
    .map((pool) => {
      const key = subnetKey(pool.addressSpace === "tsnet-global", pool.subnet, pool.subPool ?? "");
      const network = pool.network ?? names.ipamSubnets.get(key) ?? null;
      return { ...pool, network, networkName: network === null ? null : (names.networks.get(network) ?? null) };
    })
    .toSorted(byId);

const byId = (a: NamedPool, b: NamedPool): number =>
  compare(a.addressSpace, b.addressSpace) || a.family - b.family || compare(a.id, b.id);

/**
 * The pools that a user means: by ID, subnet, or the name or ID of their network, which may be cut short.
 * @throws Error that names the pools that there are
 */
export function findPools(wanted: string, pools: readonly NamedPool[]): NamedPool[] {
  const text = wanted.toLowerCase();
  const ways: ((pool: NamedPool) => boolean)[] = [
    ({ id }) => id === text,
    ({ subnet, subPool }) => (subPool ?? subnet) === text,
    ({ subnet }) => subnet === text,
    ({ network }) => network === text,
    ({ networkName }) => networkName === wanted,
  ];
  const found = ways.map((way) => pools.filter(way)).find(({ length }) => length > 0);
  if (found !== undefined) return found;
  const begun = pools.filter(({ network }) => network?.startsWith(text));
  const networks = new Set(begun.map(({ network }) => network)).size;
  if (networks === 1) return begun;
  const why = networks > 1 ? "several networks have an ID that begins so" : "no such pool, subnet or network";
  throw new Error(`${wanted}: ${why}; ${listed(networks > 1 ? begun : pools)}`);
}

function listed(pools: readonly NamedPool[]): string {
  const texts = pools.slice(0, namedInErrors).map((pool) => `${pool.id}${ofNetwork(pool, " (", ")")}`);
  const more = pools.length > texts.length ? `, and ${pools.length - texts.length} more` : "";
  return texts.length > 0 ? `there are ${texts.join(", ")}${more}` : "there is no pool yet";
}

/** The network's name, or the beginning of its ID; "" if it is unknown. */
export function ofNetwork({ network, networkName }: NamedPool, before: string, after = ""): string {
  const name = networkName ?? network?.slice(0, 12);
  return name === undefined ? "" : `${before}${name}${after}`;
}
