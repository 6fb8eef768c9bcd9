/** Where subnets come from for networks that name none: the same ranges as those of Docker's own IPAM, or those configured. */
import { createHash } from "node:crypto";
import { type AddressPools, noAddressPools } from "../../net/address-pools.ts";
import { type Cidr, cidrOf, parseCidr } from "../../net/cidr.ts";

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
const globalPools = [split("10.0.0.0/8", 24)];

/**
 * Docker's own, but where others are configured: those of an address space and a family replace Docker's of it.
 * @param hostId what tells this host from others: its IPv6 pools are made from it, and stay the same
 */
export function defaultPools(hostId: string, { pools }: AddressPools = noAddressPools): DefaultPools {
  const configured = (scope: "local" | "global", docker: readonly DefaultPool[]): readonly DefaultPool[] => {
    const own = pools.filter((pool) => pool.scope === scope);
    return [...own, ...docker.filter(({ base }) => !own.some((pool) => pool.base.family === base.family))];
  };
  return {
    [addressSpaces.local]: configured("local", [...localPools, ulaPool(hostId)]),
    [addressSpaces.global]: configured("global", globalPools),
  };
}

/** Unique local addresses (RFC 4193, section 3.2): fd, 40 bits of a hash, 16 bits of subnet. */
function ulaPool(hostId: string): DefaultPool {
  const hash = createHash("sha256").update(hostId).digest("hex").slice(0, 10);
  return { base: cidrOf(6, BigInt(`0xfd${hash}`) << 80n, 48), prefix: 64 };
}
