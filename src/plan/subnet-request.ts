/** The subnets that Docker asks for, checked: what is the same in all modes. */
import { TsnetError } from "../errors.ts";
import {
  type Cidr,
  containsIp,
  type Family,
  type HostAddress,
  type Ip,
  overlaps,
  parseCidr,
  parseHostAddress,
  parseIp,
} from "../net/cidr.ts";
import type { Network, Subnet } from "./network.ts";
import type { NetworkRequest, RequestedSubnet } from "./network-request.ts";
import type { CommonOptions } from "./option-values.ts";

/** One subnet that Docker asks for. */
export interface AskedSubnet {
  readonly family: Family;
  readonly pool: Cidr;
  /** An address of the pool. */
  readonly gateway: HostAddress | null;
  /** Name to address. */
  readonly auxiliary: Readonly<Record<string, string>>;
  /** Its place in the request: "IPv4Data[0]". */
  readonly field: string;
}

/** What is asked for: the request, and what its options say. */
export interface Asked {
  readonly mode: Network["mode"];
  readonly request: NetworkRequest;
  readonly options: CommonOptions;
  /** So much of the MTU that the options say does not reach the containers. */
  readonly overheadBytes?: number;
}

/**
 * The subnets of a network, IPv4 first and each family in order of its addresses, so that the same subnets make the same network
 * in whatever order they come.
 * @param plan what a subnet becomes
 * @throws TsnetError "invalid" with the path of the field
 */
export function planSubnets<S extends Subnet>(asked: Asked, plan: (subnet: AskedSubnet) => S): [S, ...S[]] {
  const [first, ...others] = [...familySubnets(4, asked, plan), ...familySubnets(6, asked, plan)];
  if (first === undefined) throw new TsnetError("invalid", "IPv4 or IPv6 must be enabled");
  return [first, ...others];
}

function familySubnets<S extends Subnet>(family: Family, asked: Asked, plan: (subnet: AskedSubnet) => S): S[] {
  const { request, options, mode, overheadBytes = 0 } = asked;
  const field = `IPv${family}Data`;
  const requested = family === 4 ? request.ipv4 : request.ipv6;
  const enabled =
    family === 4 ? (request.enableIpv4 ?? options.enableIpv4) : (request.enableIpv6 ?? options.enableIpv6);
  if (enabled === false) return [];
  if (requested.length === 0 && enabled === true) {
    throw new TsnetError("invalid", `${field}: ipv${family} pool is empty`);
  }
  if (family === 6 && requested.length > 0) refuseTooSmall(options, overheadBytes);
  const subnets = requested.map((subnet, index) => plan(checked(family, subnet, `${field}[${index}]`, mode)));
  return inOrder(subnets, field);
}

function checked(family: Family, requested: RequestedSubnet, field: string, mode: string): AskedSubnet {
  const pool = parseCidr(requested.pool);
  if (pool.family !== family) {
    throw new TsnetError("invalid", `${field}.Pool: expected an IPv${family} subnet, got ${pool.text}`);
  }
  const gateway = requested.gateway === null ? null : parseHostAddress(requested.gateway);
  refuseImpossible(family, pool, { field, mode });
  if (gateway !== null && !containsIp(pool, gateway.ip)) {
    throw new TsnetError("invalid", `${field}.Gateway: ${gateway.text} is not in the subnet ${pool.text}`);
  }
  return { family, pool, gateway, auxiliary: requested.auxiliary, field };
}

/** The least MTU of a link with IPv6: IPV6_MIN_MTU of include/net/ipv6.h (RFC 8200, 5). */
export const leastMtu6Bytes = 1280;

function refuseTooSmall({ mtuBytes }: CommonOptions, overheadBytes: number): void {
  const leastBytes = leastMtu6Bytes + overheadBytes;
  if (mtuBytes === undefined || mtuBytes >= leastBytes) return;
  const need = `${leastMtu6Bytes} bytes at least`;
  const reason =
    overheadBytes === 0
      ? `IPv6 needs ${need}; give more, or leave --ipv6 out`
      : `IPv6 needs ${need}, and its way to other hosts ${overheadBytes} more; give ${leastBytes}, or leave --ipv6 out`;
  throw new TsnetError("invalid", `com.docker.network.driver.mtu=${mtuBytes}: ${reason}`);
}

/** What no network can have: everything, multicast, and for IPv6 a part of the link-local prefix. */
function refuseImpossible(family: Family, pool: Cidr, { field, mode }: { field: string; mode: string }): void {
  if (pool.prefix === 0) {
    const reason = `mode ${mode} needs a subnet, and ${pool.text} is none; give --subnet`;
    throw new TsnetError("invalid", `${field}.Pool: ${reason}`);
  }
  const multicast = parseCidr(family === 4 ? "224.0.0.0/4" : "ff00::/8");
  if (overlaps(pool, multicast))
    throw new TsnetError("invalid", `${field}.Pool: multicast subnet '${pool.text}' is not allowed`);
  if (family === 6 && overlaps(pool, parseCidr("fe80::/10")) && pool.text !== "fe80::/64") {
    throw new TsnetError("invalid", `${field}.Pool: '${pool.text}' clashes with the Link-Local prefix 'fe80::/64'`);
  }
}

/**
 * By their first addresses.
 * @throws TsnetError "invalid" if two of them share an address
 */
function inOrder<S extends Subnet>(subnets: readonly S[], field: string): S[] {
  const sorted = subnets
    .map((subnet) => ({ subnet, cidr: parseCidr(subnet.pool) }))
    .sort(({ cidr: a }, { cidr: b }) => (a.base === b.base ? a.prefix - b.prefix : a.base < b.base ? -1 : 1));
  for (const [index, { cidr }] of sorted.entries()) {
    const before = sorted[index - 1]?.cidr;
    if (before === undefined || !overlaps(before, cidr)) continue;
    const reason = `the network's subnets ${before.text} and ${cidr.text} overlap`;
    throw new TsnetError("invalid", `${field}: ${reason}; give others with --subnet`);
  }
  return sorted.map(({ subnet }) => subnet);
}

/**
 * The address that `--aux-address` keeps from everybody, which Docker sends with the subnet's prefix length.
 * @throws TsnetError "invalid" with the name
 */
export function auxiliaryIp(name: string, text: string): Ip {
  try {
    return text.includes("/") ? parseHostAddress(text).ip : parseIp(text);
  } catch (cause) {
    throw new TsnetError("invalid", `auxiliary address ${name}=${text}`, { cause });
  }
}
