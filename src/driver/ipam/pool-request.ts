/** What RequestPool asks for, from texts to values. */
import { TsnetError } from "../../errors.ts";
import { type Cidr, containsCidr, type Family, parseHostAddress } from "../../net/cidr.ts";
import { type AddressSpace, addressSpaces } from "./default-pools.ts";
import { type PoolOptions, parsePoolOptions } from "./pool-options.ts";
import type { SubnetWish } from "./subnet-search.ts";

/** RequestPool (engine-contract.md, 2.3). Texts are "" where Docker sends nothing. */
export interface PoolRequest {
  readonly addressSpace: string;
  /** A subnet; "0.0.0.0/24" and "::/64" stand for any of that size, "" for any. */
  readonly pool: string;
  /** The part of the subnet that addresses are given out from unasked: `--ip-range`. */
  readonly subPool: string;
  /** `--ipam-opt`. */
  readonly options: Readonly<Record<string, string>>;
  readonly v6: boolean;
}

/** A subnet that is named. */
export interface NamedPoolWish {
  readonly addressSpace: AddressSpace;
  readonly options: PoolOptions;
  readonly subnet: Cidr;
  readonly subPool: Cidr | null;
}

/** Any subnet. */
export interface AnyPoolWish {
  readonly addressSpace: AddressSpace;
  readonly options: PoolOptions;
  readonly any: SubnetWish;
}

export type PoolWish = NamedPoolWish | AnyPoolWish;

/**
 * Whether there is an etcd for `tsnet.shared` is not looked at.
 * @throws TsnetError "invalid"
 */
export function parsePoolRequest(request: PoolRequest): PoolWish {
  const options = parsePoolOptions(request.options);
  const addressSpace = parseAddressSpace(request.addressSpace);
  return { addressSpace, options, ...parseWhat(request) };
}

function parseWhat({ addressSpace, pool, subPool, v6 }: PoolRequest) {
  const family: Family = v6 ? 6 : 4;
  if (pool === "") {
    if (subPool !== "")
      throw new TsnetError("invalid", `invalid sub pool: ${subPool} needs a subnet that it is a part of`);
    return { any: { family, prefix: undefined } };
  }
  // Swarm never says of what family a pool is.
  const families: readonly Family[] = !v6 && addressSpace === addressSpaces.global ? [4, 6] : [family];
  const subnet = parseSubnet("pool", pool, families);
  if (subnet.base === 0n) {
    if (subPool !== "") throw new TsnetError("invalid", `invalid sub pool: ${subPool} cannot be a part of ${pool}`);
    return { any: { family: subnet.family, prefix: subnet.prefix } };
  }
  return { subnet, subPool: subPool === "" ? null : parseSubPool(subPool, subnet) };
}

function parseAddressSpace(text: string): AddressSpace {
  const known = Object.values(addressSpaces);
  const space = known.find((name) => name === text);
  if (space === undefined) {
    throw new TsnetError("invalid", `invalid address space: ${JSON.stringify(text)}: expected ${known.join(" or ")}`);
  }
  return space;
}

function parseSubPool(text: string, subnet: Cidr): Cidr {
  const subPool = parseSubnet("sub pool", text, [subnet.family]);
  if (containsCidr(subnet, subPool)) return subPool;
  throw new TsnetError("invalid", `invalid sub pool: ${text} is not a part of ${subnet.text}`);
}

function parseSubnet(what: string, text: string, families: readonly Family[]): Cidr {
  const { ip, subnet } = parse(what, text);
  if (ip.value !== subnet.base)
    throw new TsnetError("invalid", `invalid ${what}: ${text}: it should be ${subnet.text}`);
  if (families.includes(subnet.family)) return subnet;
  throw new TsnetError(
    "invalid",
    `invalid ${what}: ${text} is IPv${subnet.family}, but IPv${families[0]} was asked for`,
  );
}

function parse(what: string, text: string) {
  try {
    return parseHostAddress(text);
  } catch (cause) {
    throw new TsnetError("invalid", `invalid ${what}`, { cause });
  }
}
