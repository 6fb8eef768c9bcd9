/** From what Docker asks for to the network that is recorded. */
import { TsnetError } from "../errors.ts";
import { containsIp, type Family, type Ip, overlaps, parseCidr, parseHostAddress, parseIp } from "../net/cidr.ts";
import { macOf } from "../net/mac.ts";
import { bridgeName } from "../net/names.ts";
import type { Network, Subnet } from "./network.ts";
import { refuseIsolated, refuseWithoutEffect } from "./option-conflicts.ts";
import { type BridgeOptions, parseBridgeOptions } from "./options.ts";

/** One subnet as Docker's IPAM chose it. */
export interface RequestedSubnet {
  /** Which of an IPAM driver's address spaces it is from: "LocalDefault" of Docker's own, "tsnet-local" of ours. */
  readonly addressSpace: string;
  /** "172.18.0.0/16". */
  readonly pool: string;
  /** "172.18.0.1/16"; null if IPAM gave none. */
  readonly gateway: string | null;
  /** Name to address: `--aux-address NAME=ADDRESS`. */
  readonly auxiliary: Readonly<Record<string, string>>;
}

/** NetworkDriver.CreateNetwork, parsed. */
export interface NetworkRequest {
  readonly id: string;
  readonly internal: boolean;
  /** undefined: Docker up to 27 does not say. */
  readonly enableIpv4: boolean | undefined;
  readonly enableIpv6: boolean | undefined;
  readonly options: Readonly<Record<string, string>>;
  /** In any order: the docker command keeps none. */
  readonly ipv4: readonly RequestedSubnet[];
  readonly ipv6: readonly RequestedSubnet[];
}

/**
 * The network that a request asks for.
 * @returns the network, and the option keys that were ignored
 * @throws TsnetError "invalid" with the path of the field or the option's key
 */
export function planNetwork(request: NetworkRequest): { network: Network; ignored: readonly string[] } {
  const { options, ignored } = parseBridgeOptions(request.options);
  refuseIsolated(options, request.internal);
  const subnets = [...familySubnets(4, request, options), ...familySubnets(6, request, options)];
  const [first] = subnets;
  if (first === undefined) throw new TsnetError("invalid", "IPv4 or IPv6 must be enabled");
  const mac = macOf(request.id, parseHostAddress(first.gateway ?? first.pool).ip);
  const network: Network = {
    id: request.id,
    mode: "bridge",
    bridge: options.bridge ?? bridgeName(request.id),
    adopted: false,
    kept: [],
    mac,
    mtuBytes: options.mtuBytes ?? null,
    internal: request.internal,
    icc: options.icc ?? true,
    masquerade: options.masquerade ?? true,
    hostBinding: options.hostBinding ?? "0.0.0.0",
    interfacePrefix: options.interfacePrefix ?? "eth",
    subnets,
    trustedLinks: options.trustedLinks ?? [],
    publish: options.publish ?? "native",
    publishFrom: options.publishFrom ?? [],
    publishPolicy: options.publishPolicy ?? "docker",
    ready: false,
  };
  refuseWithoutEffect(options, network);
  return { network, ignored };
}

function familySubnets(family: Family, request: NetworkRequest, options: BridgeOptions): Subnet[] {
  const field = `IPv${family}Data`;
  const requested = family === 4 ? request.ipv4 : request.ipv6;
  const enabled =
    family === 4 ? (request.enableIpv4 ?? options.enableIpv4) : (request.enableIpv6 ?? options.enableIpv6);
  if (enabled === false) return [];
  if (requested.length === 0 && enabled === true) {
    throw new TsnetError("invalid", `${field}: ipv${family} pool is empty`);
  }
  const subnets = requested.map((subnet, index) => planSubnet(family, subnet, { request, options, index }));
  return inOrder(subnets, field);
}

/**
 * By their first addresses, so that the same subnets make the same network in whatever order they come.
 * @throws TsnetError "invalid" if two of them share an address
 */
function inOrder(subnets: readonly Subnet[], field: string): Subnet[] {
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

/** What a subnet's plan depends on besides the subnet. */
interface Context {
  readonly request: NetworkRequest;
  readonly options: BridgeOptions;
  /** The subnet's place in the request. */
  readonly index: number;
}

function planSubnet(family: Family, requested: RequestedSubnet, { request, options, index }: Context): Subnet {
  const { internal } = request;
  const field = `IPv${family}Data[${index}]`;
  const pool = parseCidr(requested.pool);
  if (pool.family !== family)
    throw new TsnetError("invalid", `${field}.Pool: expected an IPv${family} subnet, got ${pool.text}`);
  const gateway = requested.gateway === null ? null : parseHostAddress(requested.gateway);
  refuseImpossible(family, pool, field);
  if (gateway !== null && !containsIp(pool, gateway.ip)) {
    throw new TsnetError("invalid", `${field}.Gateway: ${gateway.text} is not in the subnet ${pool.text}`);
  }
  const auxiliary = auxiliaryGateway(family, requested, internal);
  if (gateway === null && auxiliary === null && !internal) {
    throw new TsnetError("invalid", `${field}.Gateway: a network that is not internal needs a gateway; give --gateway`);
  }
  const gatewayMode = (family === 4 ? options.gatewayMode4 : options.gatewayMode6) ?? "nat";
  const isInhibited = gatewayMode === "isolated" || (family === 4 && options.inhibitIpv4 === true);
  const onBridge = gateway === null || isInhibited ? null : `${gateway.ip.text}/${pool.prefix}`;
  return {
    family,
    gatewayMode,
    pool: pool.text,
    gateway: onBridge,
    defaultGateway: internal ? null : (auxiliary ?? gateway?.ip.text ?? null),
    snat: (family === 4 ? options.snat4 : options.snat6) ?? null,
  };
}

/** What no bridge can have: everything, multicast, and for IPv6 a part of the link-local prefix. */
function refuseImpossible(family: Family, pool: ReturnType<typeof parseCidr>, field: string): void {
  if (pool.prefix === 0) {
    throw new TsnetError(
      "invalid",
      `${field}.Pool: mode bridge needs a subnet, and ${pool.text} is none; give --subnet`,
    );
  }
  const multicast = parseCidr(family === 4 ? "224.0.0.0/4" : "ff00::/8");
  if (overlaps(pool, multicast))
    throw new TsnetError("invalid", `${field}.Pool: multicast subnet '${pool.text}' is not allowed`);
  if (family === 6 && overlaps(pool, parseCidr("fe80::/10")) && pool.text !== "fe80::/64") {
    throw new TsnetError("invalid", `${field}.Pool: '${pool.text}' clashes with the Link-Local prefix 'fe80::/64'`);
  }
}

/** `--aux-address DefaultGatewayIPv4=…`: the containers' default route, instead of the bridge. */
function auxiliaryGateway(family: Family, requested: RequestedSubnet, internal: boolean): string | null {
  const name = `DefaultGatewayIPv${family}`;
  const text = requested.auxiliary[name];
  if (text === undefined) return null;
  if (internal) throw new TsnetError("invalid", `${name}=${text}: no gateway can be set on an internal bridge network`);
  const ip = auxiliaryIp(name, text);
  if (!containsIp(parseCidr(requested.pool), ip)) {
    throw new TsnetError(
      "invalid",
      `${name}=${text}: default gateway ip must be part of the network ${requested.pool}`,
    );
  }
  return ip.text;
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

/**
 * What stands in a network's way among those that exist; "" for nothing.
 * The words are those of Docker's own bridge driver.
 */
export function networkConflict(network: Network, others: Iterable<Network>): string {
  for (const other of others) {
    if (other.id === network.id) continue;
    const reason = conflictWith(network, other);
    if (reason === "") continue;
    return `cannot create network ${network.id} (${network.bridge}): conflicts with network ${other.id} (${other.bridge}): ${reason}`;
  }
  return "";
}

function conflictWith(network: Network, other: Network): string {
  if (network.bridge === other.bridge) return "networks have same bridge name";
  for (const { family, pool } of network.subnets) {
    const clash = other.subnets.find(
      (subnet) => subnet.family === family && overlaps(parseCidr(subnet.pool), parseCidr(pool)),
    );
    if (clash !== undefined) return `networks have overlapping IPv${family} (${pool} and ${clash.pool})`;
  }
  return "";
}

/** Where two values differ: "mtuBytes is 1400, not 1500"; "" if they are equal. */
export function difference(wanted: object, found: object): string {
  for (const [key, value] of Object.entries(wanted)) {
    const other = (found as Record<string, unknown>)[key];
    if (JSON.stringify(value) !== JSON.stringify(other))
      return `${key} is ${JSON.stringify(other)}, not ${JSON.stringify(value)}`;
  }
  return "";
}
