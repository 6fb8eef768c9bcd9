/** Networks as they are in the kernel. */
import { bridgeName, gatewayPortName, namespaceName, shimName, vxlanName } from "../net/names.ts";
import { parseVlanName } from "../net/vlan.ts";
import { hasGateway, isLan, type LanNetwork, type Network } from "../plan/network.ts";
import type { ObservedLink } from "../plan/observed.ts";
import { isProbed } from "./lan-addresses.ts";
import type { HostAccessAnswer, NetworkAnswer, NetworkState, Place, VlanAnswer } from "./report-link-answers.ts";

/** The links of the host's namespace, by name. */
export type HostLinks = ReadonlyMap<string, ObservedLink>;

/** What is known of a network besides its record. */
export interface NetworkFacts {
  readonly links: HostLinks;
  /** The links in the namespace of an overlay network; undefined without one. */
  readonly inside?: HostLinks | undefined;
  /** Number of its endpoints. */
  readonly endpoints: number;
  readonly isRemoving: boolean;
}

/** What the kernel gives the links of mode bridge. */
const defaultMtuBytes = 1500;

export function reportNetwork(network: Network, facts: NetworkFacts): NetworkAnswer {
  const { links, endpoints } = facts;
  const lan = isLan(network) ? network : null;
  const place = placeOf(network, links);
  return {
    id: network.id,
    ...place,
    parentKind: parentKindOf(network),
    internal: network.internal,
    mtuBytes: mtuOf(network, facts),
    mtuIsSet: network.mtuBytes !== null,
    subnets: network.subnets.map(({ family, pool, defaultGateway }) => ({
      ...{ family, subnet: pool, gateway: defaultGateway },
    })),
    endpoints,
    hostAccess: lan && hostAccessOf(lan, links),
    duplicateCheck: lan && isProbed(lan),
    ...stateOf(network, facts),
  };
}

/** Of an overlay the option says what the hosts' network carries: what is left of it, its VXLAN link has. */
function mtuOf(network: Network, { links, inside }: NetworkFacts): number | null {
  if (network.mode === "overlay") return inside?.get(vxlanName(network.id))?.mtuBytes ?? null;
  if (network.mtuBytes !== null) return network.mtuBytes;
  return network.mode === "bridge" ? defaultMtuBytes : (links.get(network.parent.name)?.mtuBytes ?? null);
}

function parentKindOf(network: Network): NetworkAnswer["parentKind"] {
  if (network.mode === "overlay") return "namespace";
  if (network.mode === "bridge") return network.adopted ? "host" : "bridge";
  return network.parent.kind === "link" ? "host" : network.parent.kind;
}

/** What an endpoint has from its network. */
export function placeOf(network: Network, links: HostLinks): Place {
  if (!isLan(network)) {
    const [parent, vni] = network.mode === "bridge" ? [network.bridge, null] : [namespaceName(network.id), network.vni];
    return { mode: network.mode, linkMode: null, ipvlanFlag: null, parent, vlan: null, vni };
  }
  const { mode, parent } = network;
  const [linkMode, ipvlanFlag] =
    network.mode === "macvlan" ? [network.macvlanMode, null] : [network.ipvlanMode, network.ipvlanFlag];
  return { mode, linkMode, ipvlanFlag, parent: parent.name, vlan: vlanOf(network, links), vni: null };
}

/** Of a VLAN of ours the name says it, of another one the kernel. */
function vlanOf({ parent }: LanNetwork, links: HostLinks): VlanAnswer | null {
  if (parent.kind === "vlan") {
    const { base, vlanId } = parseVlanName(parent.name);
    return { id: vlanId, base };
  }
  const { vlanId, lower } = links.get(parent.name) ?? { lower: 0 };
  if (vlanId === undefined) return null;
  const base = lower === 0 ? undefined : links.values().find(({ index }) => index === lower);
  return { id: vlanId, base: base?.name ?? null };
}

function hostAccessOf({ id, hostAccess }: LanNetwork, links: HostLinks): HostAccessAnswer | null {
  if (hostAccess === null) return null;
  const link = shimName(id);
  return { link, state: linkState(links.get(link)), addresses: hostAccess.addresses };
}

/** A bridge has a carrier while one of its containers runs: it needs none. */
function stateOf(network: Network, facts: NetworkFacts): { state: NetworkState; at: string | null } {
  const { links, inside, endpoints, isRemoving } = facts;
  if (isRemoving) return { state: "removing", at: null };
  if (!network.ready) return { state: "unfinished", at: null };
  // an overlay is made with its first endpoint
  if (network.mode === "overlay" && endpoints === 0) return { state: "up", at: null };
  if (network.mode === "overlay" && inside === undefined) return { state: "missing", at: namespaceName(network.id) };
  for (const name of linksBelow(network, links)) {
    const state = linkState(inside?.get(name) ?? links.get(name));
    if (state === "missing" || state === "down") return { state, at: name };
    if (state === "no carrier" && isLan(network)) return { state, at: name };
  }
  return { state: "up", at: null };
}

/** What has to be up for the containers' links to be so: what something is on comes first, being the cause. */
function linksBelow(network: Network, links: HostLinks): string[] {
  if (network.mode === "overlay") {
    const { id, bridge } = network;
    return [bridgeName(id), vxlanName(id), ...(hasGateway(network) ? [gatewayPortName(id), bridge] : [])];
  }
  if (network.mode === "bridge") return [network.bridge];
  const base = vlanOf(network, links)?.base ?? null;
  return base === null ? [network.parent.name] : [base, network.parent.name];
}

/** The state of a link of the host's. */
const linkState = (link: ObservedLink | undefined): HostAccessAnswer["state"] => {
  if (link === undefined) return "missing";
  if (!link.up) return "down";
  return link.carrier ? "up" : "no carrier";
};
