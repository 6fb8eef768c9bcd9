/** Wanted against observed of the overlay networks that this host has in the kernel: what mends the difference, and no more. */
import { parseHostAddress } from "../net/cidr.ts";
import {
  bridgeName,
  gatewayPortName,
  hostVethName,
  linkAlias,
  namespaceName,
  parseLinkAlias,
  vxlanName,
} from "../net/names.ts";
import { type Endpoint, hasGateway, type OverlayNetwork } from "./network.ts";
import type { Observed, ObservedLink, ObservedNamespace, ObservedPort } from "./observed.ts";
import type { Op } from "./op.ts";
import type { EnsureRoute } from "./op-links.ts";
import type { PortFlags } from "./op-overlay.ts";
import {
  gatewayAddresses,
  gatewayLinkAddresses,
  innerMtuBytes,
  planGateway,
  planInnerBridge,
  planInnerPort,
  planVxlan,
  portFlags,
  type Underlay,
  vxlanFlags,
} from "./overlay.ts";
import { type Repair, removedGroup } from "./reconcile.ts";

/** A network as it should be. */
export interface WantedOverlay {
  readonly network: OverlayNetwork;
  readonly underlay: Underlay;
  readonly endpoints: readonly Endpoint[];
  /** Whether there is a record of an endpoint, also of one that is being removed. */
  readonly isKnown: (endpoint: string) => boolean;
}

/** What is wrong in a namespace that is there, but for forwarding entries: the kernel thread compares these. */
export function planOverlayRepairs(wanted: WantedOverlay, { links, isPinned }: ObservedNamespace): Repair[] {
  const { network, underlay } = wanted;
  const { id } = network;
  const found = new Map(links.map((link) => [link.name, link]));
  const repairs: Repair[] = [];
  const repair = (text: string, ...ops: Op[]): void => {
    if (text !== "") repairs.push({ kind: "overlays", reason: `overlay network ${id}: ${text}`, ops });
  };
  const name = namespaceName(id);
  repair(isPinned ? "" : `namespace ${name} is not pinned`, { op: "ensure-namespace", name });
  const bridge = found.get(bridgeName(id));
  const mtuBytes = innerMtuBytes(network, underlay);
  repair(named(bridgeName(id), bridgeDifference(bridge, id, mtuBytes)), planInnerBridge(network, mtuBytes));
  const port = (portName: string, alias: string, flags = portFlags(underlay)): string =>
    portDifference(found.get(portName), { alias, flags, mtuBytes, bridge: bridge?.index ?? 0 });
  const vxlan = found.get(vxlanName(id));
  const vxlanText =
    port(vxlanName(id), linkAlias("vxlan", id), vxlanFlags(network, underlay)) || vxlanDifference(vxlan, wanted);
  repair(named(vxlanName(id), vxlanText), planVxlan(network, underlay));
  if (hasGateway(network)) {
    const text = named(gatewayPortName(id), port(gatewayPortName(id), linkAlias("gateway-port", id)));
    repair(text, ...planGateway(network, underlay));
  }
  for (const endpoint of wanted.endpoints) {
    const hostEnd = hostVethName(endpoint.id);
    // one that is gone took the container's end along, which only Docker can bring back
    const text = found.has(hostEnd) ? port(hostEnd, linkAlias("veth", endpoint.id)) : "";
    repair(named(hostEnd, text), planInnerPort(network, endpoint, underlay));
  }
  for (const link of links) repair(leftover(link, wanted), removeLink(name, link));
  return repairs;
}

/** The underlay with an MTU no greater than that for which the network's VXLAN link was made. */
export function withMtuOf({ links }: ObservedNamespace, network: OverlayNetwork, underlay: Underlay): Underlay {
  const link = links.find(({ name }) => name === vxlanName(network.id));
  const overheadBytes = underlay.mtuBytes - innerMtuBytes({ mtuBytes: null }, underlay);
  const mtuBytes = Math.min(underlay.mtuBytes, (link?.mtuBytes ?? underlay.mtuBytes) + overheadBytes);
  return { ...underlay, mtuBytes };
}

const named = (link: string, text: string): string => (text === "" ? "" : `link ${link} ${text}`);

function bridgeDifference(bridge: ObservedLink | undefined, id: string, mtuBytes: number): string {
  if (bridge === undefined || bridge.alias !== linkAlias("bridge", id)) return "is gone";
  return bridge.up ? mtuDifference(bridge, mtuBytes) : "is down";
}

/** A smaller MTU than that of links that are there already is no reason to change them. */
const mtuDifference = (link: ObservedLink, mtuBytes: number): string =>
  link.mtuBytes < mtuBytes ? `has the MTU ${link.mtuBytes}, not ${mtuBytes}` : "";

/** What a port should be like. */
interface WantedPort {
  readonly alias: string;
  /** Index; 0 for none. */
  readonly bridge: number;
  readonly flags: PortFlags;
  /** At least. */
  readonly mtuBytes: number;
}

function portDifference(link: ObservedPort | undefined, { alias, bridge, flags, mtuBytes }: WantedPort): string {
  if (link === undefined || link.alias !== alias) return "is gone";
  if (!link.up) return "is down";
  if (bridge === 0 || link.master !== bridge) return "is no port of the bridge";
  const wrong = (["learning", "suppress", "flood"] as const).find((name) => link.flags?.[name] !== flags[name]);
  return wrong === undefined ? mtuDifference(link, mtuBytes) : `has ${wrong} ${flags[wrong] ? "off" : "on"}`;
}

function vxlanDifference(link: ObservedLink | undefined, { network, underlay }: WantedOverlay): string {
  const { vxlan } = link ?? {};
  const { port, local, knowsPlaces } = underlay;
  if (vxlan?.vni !== network.vni || vxlan.port !== port) return "has another VNI or UDP port";
  if (vxlan.local !== local) return `has the tunnel address ${vxlan.local || "of nobody"}, not ${local}`;
  if (vxlan.learning !== knowsPlaces) return "";
  return knowsPlaces ? "learns" : "does not learn";
}

function leftover({ name, alias, group }: ObservedLink, { isKnown }: WantedOverlay): string {
  const owner = parseLinkAlias(alias);
  if (owner?.role !== "veth" || group === removedGroup || isKnown(owner.id)) return "";
  return `link ${name} (${alias}) belongs to nothing that exists`;
}

const removeLink = (namespace: string, { name, alias }: ObservedLink): Op => ({
  ...{ op: "in-namespace", namespace, ops: [{ op: "remove-links", links: [{ name, alias }] }] },
});

/** What is wrong in the host's namespace: with the link that has the gateways. */
export function planGatewayRepairs(network: OverlayNetwork, underlay: Underlay, observed: Observed): Repair[] {
  if (!hasGateway(network)) return [];
  const link = observed.links.find(({ name }) => name === network.bridge);
  const text = gatewayDifference(network, link, observed, innerMtuBytes(network, underlay));
  if (text === "") return [];
  const routes = link === undefined ? [] : missingRoutes(network, link, observed);
  const reason = `overlay network ${network.id}: gateway ${network.bridge} ${text}`;
  return [{ kind: "overlays", reason, ops: [...planGateway(network, underlay), ...routes] }];
}

function gatewayDifference(
  network: OverlayNetwork,
  link: ObservedLink | undefined,
  observed: Observed,
  mtuBytes: number,
): string {
  if (link === undefined) return "is gone";
  if (link.alias !== linkAlias("gateway", network.id)) return "has lost its alias";
  if (!link.up) return "is down";
  if (link.mac !== network.mac) return `has the MAC address ${link.mac}`;
  const held = observed.addresses.flatMap(({ link: index, address }) => (index === link.index ? [address] : []));
  const missing = gatewayLinkAddresses(network).find((address) => !held.includes(address));
  if (missing !== undefined) return `lacks its address ${missing}`;
  const [route] = missingRoutes(network, link, observed);
  return route === undefined ? mtuDifference(link, mtuBytes) : `lacks its route to ${route.destination}`;
}

/** Those of IPv4: who removes an address of IPv6 takes its route along, and who removes the route finds it again with the address. */
function missingRoutes(network: OverlayNetwork, { index }: ObservedLink, { routes }: Observed): EnsureRoute[] {
  return gatewayAddresses(network)
    .map((address) => parseHostAddress(address))
    .filter(({ ip, subnet }) => ip.family === 4 && subnet.prefix < 32)
    .filter(({ subnet }) => !routes.some(({ link, destination }) => link === index && destination === subnet.text))
    .map(({ ip, subnet }) => ({ op: "ensure-route", link: network.bridge, destination: subnet.text, source: ip.text }));
}
