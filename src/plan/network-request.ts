/** From what Docker asks for to the network that is recorded. */
import { TsnetError } from "../errors.ts";
import { containsIp, overlaps, parseCidr, parseHostAddress } from "../net/cidr.ts";
import { macOf } from "../net/mac.ts";
import { bridgeName } from "../net/names.ts";
import { planLanNetwork } from "./lan-request.ts";
import { modeOf } from "./mode-options.ts";
import { type BridgeNetwork, type BridgeSubnet, type GatewayNetwork, isLan, type Network } from "./network.ts";
import { refuseIsolated, refuseWithoutEffect } from "./option-conflicts.ts";
import { type BridgeOptions, parseBridgeOptions } from "./options.ts";
import { planOverlayNetwork } from "./overlay-request.ts";
import { type AskedSubnet, auxiliaryIp, planSubnets } from "./subnet-request.ts";

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

/** The network that a request asks for, and the option keys that were ignored. */
export interface PlannedNetwork<N extends Network> {
  readonly network: N;
  /** Keys of Docker's that are not known here. */
  readonly ignored: readonly string[];
}

/**
 * The network that a request asks for, of the mode that its option says.
 * @throws TsnetError "invalid" with the path of the field or the option's key
 */
export function planNetwork(request: NetworkRequest): PlannedNetwork<Network> {
  const mode = modeOf(request.options);
  if (mode === "overlay") return planOverlayNetwork(request);
  return mode === "bridge" ? planBridgeNetwork(request) : planLanNetwork(mode, request);
}

/** @throws TsnetError "invalid" with the path of the field or the option's key */
export function planBridgeNetwork(request: NetworkRequest): PlannedNetwork<BridgeNetwork> {
  const { options, ignored } = parseBridgeOptions(request.options);
  refuseIsolated(options, request.internal);
  const asked = { mode: "bridge", request, options } as const;
  const subnets = planSubnets(asked, (subnet) => planSubnet(subnet, request.internal, options));
  const [first] = subnets;
  const mac = macOf(request.id, parseHostAddress(first.gateway ?? first.pool).ip);
  const network: BridgeNetwork = {
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

function planSubnet(subnet: AskedSubnet, internal: boolean, options: BridgeOptions): BridgeSubnet {
  const { family, pool, gateway, field } = subnet;
  const auxiliary = auxiliaryGateway(subnet, internal);
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

/** `--aux-address DefaultGatewayIPv4=…`: the containers' default route, instead of the bridge. */
function auxiliaryGateway({ family, pool, auxiliary }: AskedSubnet, internal: boolean): string | null {
  const name = `DefaultGatewayIPv${family}`;
  const text = auxiliary[name];
  if (text === undefined) return null;
  if (internal) throw new TsnetError("invalid", `${name}=${text}: no gateway can be set on an internal bridge network`);
  const ip = auxiliaryIp(name, text);
  if (containsIp(pool, ip)) return ip.text;
  throw new TsnetError("invalid", `${name}=${text}: default gateway ip must be part of the network ${pool.text}`);
}

/**
 * What stands in a network's way among those that exist; "" for nothing.
 * The words are those of Docker's own bridge driver.
 */
export function networkConflict(network: GatewayNetwork, others: Iterable<Network>): string {
  for (const other of others) {
    if (isLan(other) || other.id === network.id) continue;
    const reason = conflictWith(network, other);
    if (reason === "") continue;
    return `cannot create network ${network.id} (${network.bridge}): conflicts with network ${other.id} (${other.bridge}): ${reason}`;
  }
  return "";
}

function conflictWith(network: GatewayNetwork, other: GatewayNetwork): string {
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
