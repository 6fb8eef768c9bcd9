/** What RequestPool asks for, from texts to values. */
import { TsnetError } from "../../errors.ts";
import { type Cidr, containsCidr, type Family, parseHostAddress } from "../../net/cidr.ts";
import { nearest } from "../../net/nearest.ts";
import { type AddressSpace, addressSpaces, type SubnetWish } from "./default-pools.ts";

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

/** A subnet that is named, or any. */
export type PoolWish =
  | { readonly addressSpace: AddressSpace; readonly subnet: Cidr; readonly subPool: Cidr | null }
  | { readonly addressSpace: AddressSpace; readonly any: SubnetWish };

/** Options of ours for `--ipam-opt`: there are none yet. Those of others are none of our business. */
const knownOptions: readonly string[] = [];

/** @throws TsnetError "invalid" */
export function parsePoolRequest({ addressSpace, pool, subPool, options, v6 }: PoolRequest): PoolWish {
  assertKnownOptions(options);
  const space = parseAddressSpace(addressSpace);
  const family: Family = v6 ? 6 : 4;
  if (pool === "") {
    if (subPool !== "")
      throw new TsnetError("invalid", `invalid sub pool: ${subPool} needs a subnet that it is a part of`);
    return { addressSpace: space, any: { family, prefix: undefined } };
  }
  const subnet = parseSubnet("pool", pool, family);
  if (subnet.base === 0n) {
    if (subPool !== "") throw new TsnetError("invalid", `invalid sub pool: ${subPool} cannot be a part of ${pool}`);
    return { addressSpace: space, any: { family, prefix: subnet.prefix } };
  }
  return { addressSpace: space, subnet, subPool: subPool === "" ? null : parseSubPool(subPool, subnet) };
}

function assertKnownOptions(options: Readonly<Record<string, string>>): void {
  const unknown = Object.keys(options).find((key) => key.startsWith("tsnet.") && !knownOptions.includes(key));
  if (unknown === undefined) return;
  const near = nearest(unknown, knownOptions);
  const hint = near === undefined ? "tsnet has no IPAM options" : `did you mean ${near}?`;
  throw new TsnetError("invalid", `unknown IPAM option ${unknown}=${options[unknown]}: ${hint}`);
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
  const subPool = parseSubnet("sub pool", text, subnet.family);
  if (containsCidr(subnet, subPool)) return subPool;
  throw new TsnetError("invalid", `invalid sub pool: ${text} is not a part of ${subnet.text}`);
}

function parseSubnet(what: string, text: string, family: Family): Cidr {
  const { ip, subnet } = parse(what, text);
  if (ip.value !== subnet.base)
    throw new TsnetError("invalid", `invalid ${what}: ${text}: it should be ${subnet.text}`);
  if (subnet.family === family) return subnet;
  throw new TsnetError("invalid", `invalid ${what}: ${text} is IPv${subnet.family}, but IPv${family} was asked for`);
}

function parse(what: string, text: string) {
  try {
    return parseHostAddress(text);
  } catch (cause) {
    throw new TsnetError("invalid", `invalid ${what}`, { cause });
  }
}
