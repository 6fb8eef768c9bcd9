/** Subnets for networks that name none: the same as those of Docker's own IPAM. */
import { createHash } from "node:crypto";
import { TsnetError } from "../../errors.ts";
import { type Cidr, cidrOf, containsCidr, type Family, lastOf, overlaps, parseCidr, sizeOf } from "../../net/cidr.ts";

/** Independent of each other: in a swarm, a manager is asked for one subnet in both. */
export const addressSpaces = { local: "tsnet-local", global: "tsnet-global" } as const;
export type AddressSpace = (typeof addressSpaces)[keyof typeof addressSpaces];

/** A range that is split into subnets of one size. */
export interface DefaultPool {
  readonly base: Cidr;
  /** Prefix length of the subnets, in bits. */
  readonly prefix: number;
}

export type DefaultPools = Readonly<Record<AddressSpace, readonly DefaultPool[]>>;

const split = (base: string, prefix: number): DefaultPool => ({ base: parseCidr(base), prefix });

const localPools = [
  ...["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14"].map(
    (base) => split(base, 16),
  ),
  split("192.168.0.0/16", 20),
];

/** @param hostId what tells this host from others: its IPv6 pools are made from it, and stay the same */
export const dockerDefaultPools = (hostId: string): DefaultPools => ({
  [addressSpaces.local]: [...localPools, ulaPool(hostId)],
  [addressSpaces.global]: [split("10.0.0.0/8", 24)],
});

/** Unique local addresses (RFC 4193, section 3.2): fd, 40 bits of a hash, 16 bits of subnet. */
function ulaPool(hostId: string): DefaultPool {
  const hash = createHash("sha256").update(hostId).digest("hex").slice(0, 10);
  return { base: cidrOf(6, BigInt(`0xfd${hash}`) << 80n, 48), prefix: 64 };
}

/** What kind of subnet is asked for. */
export interface SubnetWish {
  readonly family: Family;
  /** Prefix length in bits; undefined takes the pools' own. */
  readonly prefix: number | undefined;
}

/**
 * The lowest subnet of the first pool that has one which touches none of `taken`.
 * @throws TsnetError "invalid" if no pool is large enough, "exhausted" if nothing is free
 */
export function chooseSubnet(pools: readonly DefaultPool[], wish: SubnetWish, taken: readonly Cidr[]): Cidr {
  const ofFamily = pools.filter(({ base }) => base.family === wish.family);
  const largeEnough = ofFamily.filter(({ base }) => wish.prefix === undefined || base.prefix <= wish.prefix);
  const names = ofFamily.map(({ base }) => base.text).join(", ") || "there are none";
  const what = wish.prefix === undefined ? `IPv${wish.family}` : `IPv${wish.family} /${wish.prefix}`;
  if (largeEnough.length === 0) {
    throw new TsnetError("invalid", `invalid address pool: no default pool holds ${what} (${names}): give a subnet`);
  }
  const sorted = taken
    .filter(({ family }) => family === wish.family)
    .sort((a, b) => (a.base < b.base ? -1 : Number(a.base > b.base)));
  for (const { base, prefix } of largeEnough) {
    const subnet = lowestFree(base, wish.prefix ?? prefix, sorted);
    if (subnet) return subnet;
  }
  const hint = "remove networks that are not used, or give a subnet";
  throw new TsnetError(
    "exhausted",
    `all predefined address pools have been fully subnetted: no ${what} is free in ${names}: ${hint}`,
  );
}

/** @param taken sorted by their first address */
function lowestFree(base: Cidr, prefix: number, taken: readonly Cidr[]): Cidr | undefined {
  let candidate = cidrOf(base.family, base.base, prefix);
  for (const obstacle of taken) {
    if (obstacle.base > lastOf(candidate)) break;
    // The next aligned subnet that begins after the obstacle.
    const beyond = lastOf(obstacle) + sizeOf(candidate);
    if (overlaps(candidate, obstacle)) candidate = cidrOf(base.family, beyond, prefix);
    if (candidate.base > lastOf(base)) return undefined;
  }
  return containsCidr(base, candidate) ? candidate : undefined;
}
