/** Endpoints as they are in the kernel. */
import { containerVethName, hostVethName, lanLinkName, linkAlias } from "../net/names.ts";
import type { Endpoint } from "../plan/network.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { EndpointAnswer, LinkState, Place } from "./report-link-answers.ts";
import type { HostLinks } from "./report-networks.ts";

/** The links of ours in network namespaces, by path; without those that are none. */
export type SandboxLinks = ReadonlyMap<string, readonly ObservedLink[]>;

/** What is known of an endpoint besides its record. */
export interface EndpointFacts {
  readonly links: HostLinks;
  readonly sandboxes: SandboxLinks;
  /** The links in the namespace of an overlay network; undefined without one. */
  readonly inside?: HostLinks | undefined;
  readonly isRemoving: boolean;
}

/** @param place the network's: see placeOf */
export function reportEndpoint(endpoint: Endpoint, place: Place, facts: EndpointFacts): EndpointAnswer {
  const { id, network, mac, addresses, sandbox } = endpoint;
  const parent = facts.links.get(place.parent);
  const find = { bridge: pairOf, overlay: innerPairOf, macvlan: lanLinkOf, ipvlan: lanLinkOf }[place.mode];
  const found = find(endpoint, facts, parent);
  return {
    ...{ id, network, ...place },
    mac: mac ?? parent?.mac ?? null,
    macIsParents: mac === null,
    ...{ addresses, sandbox },
    link: found.inside?.name ?? null,
    mtuBytes: found.inside?.mtuBytes ?? null,
    hostLink: found.outside?.name ?? null,
    state: facts.isRemoving ? "removing" : found.state,
  };
}

/** An endpoint's links: in the container, and in the host's namespace. */
interface FoundLinks {
  readonly inside: ObservedLink | undefined;
  readonly outside: ObservedLink | undefined;
  readonly state: LinkState;
}

function pairOf(endpoint: Endpoint, facts: EndpointFacts, bridge: ObservedLink | undefined): FoundLinks {
  const peerAlias = linkAlias("peer", endpoint.id);
  const outside = ownLink(facts.links, hostVethName(endpoint.id), linkAlias("veth", endpoint.id));
  const inside = linkIn(endpoint, facts, peerAlias);
  if (outside === undefined) return { inside, outside, state: "gone" };
  if (ownLink(facts.links, containerVethName(endpoint.id), peerAlias)) return { inside, outside, state: "waiting" };
  // it has a carrier while both ends are up
  const isUp = outside.up && outside.carrier && outside.master === bridge?.index;
  return { inside, outside, state: isUp ? "up" : "down" };
}

/** Of an overlay: the other end is in the network's own namespace. */
function innerPairOf(endpoint: Endpoint, facts: EndpointFacts): FoundLinks {
  const alias = linkAlias("peer", endpoint.id);
  const waiting = ownLink(facts.links, containerVethName(endpoint.id), alias);
  const inside = linkIn(endpoint, facts, alias);
  if (waiting !== undefined) return { inside, outside: waiting, state: "waiting" };
  const outside = ownLink(facts.inside ?? new Map(), hostVethName(endpoint.id), linkAlias("veth", endpoint.id));
  if (outside === undefined || inside === undefined) return { inside, outside, state: "gone" };
  return { inside, outside, state: outside.up && outside.master !== 0 ? stateOf(inside) : "down" };
}

function lanLinkOf(endpoint: Endpoint, facts: EndpointFacts): FoundLinks {
  const alias = linkAlias("lan", endpoint.id);
  const outside = ownLink(facts.links, lanLinkName(endpoint.id), alias);
  const inside = linkIn(endpoint, facts, alias);
  if (outside !== undefined) return { inside, outside, state: "waiting" };
  if (inside !== undefined) return { inside, outside, state: stateOf(inside) };
  const lives = endpoint.sandbox !== null && facts.sandboxes.has(endpoint.sandbox);
  return { inside, outside, state: lives ? "lost with its parent" : "gone" };
}

const stateOf = ({ up, carrier }: ObservedLink): LinkState => (up ? (carrier ? "up" : "no carrier") : "down");

/** Somebody else's link may have the name. */
function ownLink(links: HostLinks, name: string, alias: string): ObservedLink | undefined {
  const link = links.get(name);
  return link?.alias === alias ? link : undefined;
}

const linkIn = ({ sandbox }: Endpoint, { sandboxes }: EndpointFacts, wanted: string): ObservedLink | undefined =>
  sandbox === null ? undefined : sandboxes.get(sandbox)?.find(({ alias }) => alias === wanted);
