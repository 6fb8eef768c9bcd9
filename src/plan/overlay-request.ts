/** From what Docker asks for to the network of mode overlay that is recorded. */
import { TsnetError } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import { macOf } from "../net/mac.ts";
import { gatewayName } from "../net/names.ts";
import type { BridgeSubnet, OverlayNetwork } from "./network.ts";
import type { NetworkRequest, PlannedNetwork } from "./network-request.ts";
import { refuseUnpublished } from "./option-conflicts.ts";
import { leastMtuBytes } from "./option-values.ts";
import { innerMtuBytes, overheadBytes, type Underlay } from "./overlay.ts";
import { defaultPort, firstVni, parseOverlayOptions, portKey, vniKey, vniListKey } from "./overlay-options.ts";
import { type AskedSubnet, leastMtu6Bytes, planSubnets } from "./subnet-request.ts";

/**
 * The network that a request asks for. Which VNI it has if none is given, the control plane says: it is 0 until then.
 * @throws TsnetError "invalid" with the path of the field or the option's key
 */
export function planOverlayNetwork(request: NetworkRequest): PlannedNetwork<OverlayNetwork> {
  const { options, ignored } = parseOverlayOptions(request.options);
  refuseTwoVnis(request.options);
  refuseUnpublished(options, request.internal);
  const { internal } = request;
  const publish = options.egress ?? "native";
  const isLedOut = !internal && publish === "native";
  // what IPv6 takes between hosts is known with the first endpoint
  const asked = { mode: "overlay", request, options, overheadBytes: overheadBytes.ipv4 } as const;
  const subnets = planSubnets(asked, (subnet) => planSubnet(subnet, isLedOut));
  const [first] = subnets;
  const network: OverlayNetwork = {
    id: request.id,
    mode: "overlay",
    vni: options.vni ?? 0,
    flood: options.flood ?? true,
    datapath: options.datapath ?? "auto",
    bridge: gatewayName(request.id),
    // the same on all hosts, whose networks have IDs of their own
    mac: macOf("tsnet overlay", parseHostAddress(first.gateway ?? first.pool).ip),
    mtuBytes: options.mtuBytes ?? null,
    internal,
    icc: true,
    masquerade: true,
    hostBinding: "0.0.0.0",
    interfacePrefix: options.interfacePrefix ?? "eth",
    subnets,
    trustedLinks: [],
    publish,
    publishFrom: options.publishFrom ?? [],
    publishPolicy: options.publishPolicy ?? "docker",
    ready: false,
  };
  return { network, ignored };
}

/** @param isLedOut whether tsnet leads the containers out; if not, nobody has the gateway's address */
function planSubnet({ family, pool, gateway, field }: AskedSubnet, isLedOut: boolean): BridgeSubnet {
  if (gateway === null && isLedOut) {
    throw new TsnetError("invalid", `${field}.Gateway: a network that is not internal needs a gateway; give --gateway`);
  }
  return {
    family,
    gatewayMode: "nat",
    pool: pool.text,
    gateway: isLedOut && gateway !== null ? `${gateway.ip.text}/${pool.prefix}` : null,
    defaultGateway: isLedOut ? (gateway?.ip.text ?? null) : null,
    snat: null,
  };
}

function refuseTwoVnis(options: Readonly<Record<string, string>>): void {
  const [vni, list] = [options[vniKey], options[vniListKey]];
  if (vni === undefined || list === undefined || firstVni(list) === Number(vni)) return;
  throw new TsnetError("invalid", `${vniKey}=${vni} and ${vniListKey}=${list}: leave one of them out`);
}

/**
 * A network of a swarm brings along the port that the manager has which has allocated it: a node with another would reach nobody.
 * @param own TSNET_VXLAN_PORT of this host
 * @param isAllocated whether a manager has allocated it, so that it has the usual port if none is named
 * @throws TsnetError "conflict" that names both, and says what to set
 */
export function refuseOtherPort(options: Readonly<Record<string, string>>, own: number, isAllocated = false): void {
  const theirs = options[portKey] ?? `${isAllocated ? defaultPort : own}`;
  if (Number(theirs) === own) return;
  const what = `${portKey}=${theirs}: this node has TSNET_VXLAN_PORT=${own}, and would reach no other node of the network`;
  const here = `docker plugin set tsnet-plugin TSNET_VXLAN_PORT=${theirs} on this node`;
  throw new TsnetError("conflict", `${what}; ${here}, or ${own} on all others, and make the network anew`);
}

/**
 * Asked when it is known how the hosts reach each other, before the network is made: with a smaller MTU the kernel would take IPv6 off
 * its links without a word.
 * @throws TsnetError "invalid" with the option, "conflict" if the hosts' network carries too little
 */
export function refuseTooSmallMtu(network: OverlayNetwork, underlay: Underlay): void {
  const innerBytes = innerMtuBytes(network, underlay);
  const isIpv6 = network.subnets.some(({ family }) => family === 6);
  const leastBytes = isIpv6 ? leastMtu6Bytes : leastMtuBytes;
  if (innerBytes >= leastBytes) return;
  const outerBytes = network.mtuBytes ?? underlay.mtuBytes;
  const needBytes = leastBytes + outerBytes - innerBytes;
  const what = `${outerBytes - innerBytes} of it are VXLAN's, and ${isIpv6 ? "IPv6 needs" : "there must be"} ${leastBytes} for the containers`;
  if (network.mtuBytes !== null) {
    throw new TsnetError("invalid", `com.docker.network.driver.mtu=${outerBytes}: ${what}; give ${needBytes} at least`);
  }
  const where = `the way from ${underlay.local} to the other hosts carries ${outerBytes} bytes`;
  throw new TsnetError("conflict", `${where}: ${what}; give its links an MTU of ${needBytes} at least`);
}
