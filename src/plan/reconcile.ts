/**
 * Wanted (the records) against observed (the kernel): what has to be done so that they agree.
 *
 * The kernel worker executes one list of operations after the other, and an observation is taken between two lists. The records
 * are read after the observation, and the plan is handed over in the same turn of the event loop. So a request that is under way
 * cannot be misread: a link is recorded before it is made, and what is being removed has left the wanted state before its first
 * operation is handed over; an operation of ours that comes too late finds its work done. What a request has changed since the
 * observation was asked for, or was about to, is not for a repair: Recorded.
 */
import { parseHostAddress } from "../net/cidr.ts";
import {
  containerVethName,
  hostVethName,
  isDockerLink,
  type LinkRole,
  linkAlias,
  parseLinkAlias,
} from "../net/names.ts";
import { bridgeAddresses, planBridge } from "./bridge.ts";
import { type BridgeNetwork, type Endpoint, hasGateway, isLan, type Network, type Parent } from "./network.ts";
import type { Observed, ObservedLink } from "./observed.ts";
import type { Op } from "./op.ts";
import type { EnsureRoute } from "./op-links.ts";

/** What should be there. Networks and endpoints that are being removed are not in it. */
export interface Wanted {
  readonly networks: ReadonlyMap<string, Network>;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
}

/** The records when an observation was asked for: all of them, those that are being removed among them. */
export interface Recorded extends Wanted {
  /** The IDs of endpoints that requests were busy with. */
  readonly busy: ReadonlySet<string>;
}

/** What is wanted, without networks that were yet to be made when the observation was asked for. */
export const settled = (wanted: Wanted, before: Recorded): Wanted => ({
  networks: new Map([...wanted.networks].filter(([id]) => before.networks.get(id)?.ready)),
  endpoints: wanted.endpoints,
});

/** One thing that is not as it should be, and the operations that mend it. */
export interface Repair {
  /** By which repairs are counted: what was not as it should be. */
  readonly kind: "links" | "addresses" | "routes" | "leftovers" | "overlays";
  /** For the log: "bridge tsb-4f2a… of network 4f2a… is gone". */
  readonly reason: string;
  readonly ops: readonly Op[];
}

/**
 * Compares and plans; an empty list means that records and kernel agree.
 * @param before a link of what was recorded then is no leftover: who has removed it since has removed its links as well, or is about to
 */
export function planReconcile(wanted: Wanted, observed: Observed, before: Recorded): Repair[] {
  const links = new Map(observed.links.map((link) => [link.name, link]));
  // Docker has put the container's end back into the host's namespace, and it goes with the host's end
  const leaving = new Set(
    observed.links.flatMap(({ group, alias }) => (group === removedGroup ? [parseLinkAlias(alias)?.id ?? ""] : [])),
  );
  return [
    ...[...settled(wanted, before).networks.values()].flatMap((network) =>
      network.mode === "bridge" ? repairBridge(network, links, observed) : [],
    ),
    ...[...wanted.endpoints.values()].flatMap((endpoint) => repairPort(endpoint, wanted, links)),
    ...observed.links.flatMap((link) => removeLeftover(link, [wanted, before], leaving)),
  ];
}

function repairBridge(network: BridgeNetwork, links: ReadonlyMap<string, ObservedLink>, observed: Observed): Repair[] {
  const link = links.get(network.bridge);
  const { kind, text } = link === undefined ? gone : bridgeDifference(network, link, observed);
  if (text === "") return [];
  if (link === undefined && network.adopted) return [];
  const reason = `bridge ${network.bridge} of network ${network.id} ${text}`;
  const routes = link === undefined ? [] : missingRoutes(network, link, observed);
  return [{ kind, reason, ops: [...planBridge(network), ...routes] }];
}

/** What is wrong with a bridge; no text for nothing. */
type Difference = Pick<Repair, "kind"> & { readonly text: string };

const gone: Difference = { kind: "links", text: "is gone" };

function bridgeDifference(network: BridgeNetwork, link: ObservedLink, observed: Observed): Difference {
  const text = linkDifference(network, link);
  const isForeign = !network.adopted && link.alias !== linkAlias("bridge", network.id);
  if (text !== "" || isForeign) return { kind: "links", text: isForeign ? "" : text };
  const held = new Set(
    observed.addresses.filter(({ link: index }) => index === link.index).map(({ address }) => address),
  );
  const missing = bridgeAddresses(network).find((address) => !held.has(address));
  if (missing !== undefined) return { kind: "addresses", text: `lacks its address ${missing}` };
  const route = missingRoutes(network, link, observed)[0];
  return { kind: "routes", text: route === undefined ? "" : `lacks its route to ${route.destination}` };
}

function linkDifference(network: BridgeNetwork, link: ObservedLink): string {
  if (!link.up) return "is down";
  if (!network.adopted && link.mac !== network.mac) return `has the MAC address ${link.mac}`;
  if (!network.adopted && network.mtuBytes !== null && link.mtuBytes !== network.mtuBytes) {
    return `has the MTU ${link.mtuBytes}`;
  }
  return !network.icc && link.nfCall === false ? "does not pass bridged packets to the firewall" : "";
}

function missingRoutes(network: BridgeNetwork, link: ObservedLink, observed: Observed): EnsureRoute[] {
  return bridgeAddresses(network)
    .map((address) => parseHostAddress(address))
    .filter(({ ip, subnet }) => ip.family === 4 && subnet.prefix < 32)
    .filter(
      ({ subnet }) => !observed.routes.some((route) => route.link === link.index && route.destination === subnet.text),
    )
    .map(({ ip, subnet }) => ({
      op: "ensure-route",
      link: network.bridge,
      destination: subnet.text,
      source: ip.text,
    }));
}

/** A host end that is there has to be an active port of its bridge. One that is gone took its container's end along. */
function repairPort(endpoint: Endpoint, wanted: Wanted, links: ReadonlyMap<string, ObservedLink>): Repair[] {
  const network = wanted.networks.get(endpoint.network);
  const port = links.get(hostVethName(endpoint.id));
  if (network?.mode !== "bridge" || port === undefined || port.alias !== linkAlias("veth", endpoint.id)) return [];
  const bridge = links.get(network.bridge);
  if (bridge !== undefined && port.master === bridge.index && port.up && port.hairpin !== false) return [];
  const op: Op = { op: "ensure-port", name: port.name, master: network.bridge, hairpin: true };
  const reason = `link ${port.name} of endpoint ${endpoint.id} is not an active port of ${network.bridge}`;
  return [{ kind: "links", reason, ops: [op] }];
}

/** A link that says it is ours, and of which no record knows; or one whose making a crash cut off. */
function removeLeftover(link: ObservedLink, known: readonly Wanted[], leaving: ReadonlySet<string>): Repair[] {
  const owner = parseLinkAlias(link.alias);
  const isUnfinished = link.group === unfinishedGroup && link.alias === "";
  if (owner === undefined && !isUnfinished) return [];
  if (link.group === removedGroup) return [];
  if (owner !== undefined && known.some((records) => isKnown(owner, records))) return [];
  if (owner?.role === "peer" && leaving.has(owner.id)) return [];
  const op: Op = { op: "remove-links", links: [{ name: link.name, alias: link.alias }] };
  const reason = `link ${link.name} (${link.alias}) belongs to nothing that exists`;
  return [{ kind: "leftovers", reason, ops: [op] }];
}

function isKnown({ role, id }: { role: LinkRole; id: string }, { networks, endpoints }: Wanted): boolean {
  switch (role) {
    case "bridge":
      return networks.get(id)?.mode === "bridge";
    case "gateway": {
      const network = networks.get(id);
      return network?.mode === "overlay" && hasGateway(network);
    }
    case "dummy":
      return parentOf(networks.get(id))?.kind === "dummy";
    case "shim": {
      const network = networks.get(id);
      return network !== undefined && isLan(network) && network.hostAccess !== null;
    }
    case "vlan":
      // also one that found a link of somebody else's there, which has vanished since
      return [...networks.values()].map(parentOf).some((one) => one?.name === id);
    default:
      return endpoints.has(id);
  }
}

const parentOf = (network: Network | undefined): Parent | undefined =>
  network !== undefined && isLan(network) ? network.parent : undefined;

/** The link group of what waits for its deletion. */
export const removedGroup = 0x74736e65;

/** The link group of what is being made, until it has its alias: the kernel takes no alias with a creation. */
export const unfinishedGroup = 0x74736e66;

/** Docker's own bridges: `docker0`, `docker_gwbridge`, and `br-` with twelve digits of a network's ID. */
export const dockerLinks = (links: readonly ObservedLink[]): string[] =>
  links.filter(({ kind, name }) => kind === "bridge" && isDockerLink(name)).map(({ name }) => name);

/**
 * What has become of an endpoint. "alive": its sandbox exists, or the container's end of its links is in a namespace that lives;
 * a container that lives on, as with live-restore, is never anything else. "dead": neither sandbox nor links. "waiting": both
 * ends are in the host's namespace and there is no sandbox, which is how it is between CreateEndpoint and the start of the
 * container (Docker up to 27 joins before there is a sandbox), and for ever if dockerd died in between.
 */
export function endpointState(
  endpoint: Pick<Endpoint, "id" | "sandbox">,
  hasLink: (name: string) => boolean,
  sandboxes: ReadonlySet<string>,
): "alive" | "waiting" | "dead" {
  if (endpoint.sandbox !== null && sandboxes.has(endpoint.sandbox)) return "alive";
  if (!hasLink(hostVethName(endpoint.id))) return "dead";
  return hasLink(containerVethName(endpoint.id)) ? "waiting" : "alive";
}

/**
 * The same of an endpoint whose only link in the host's namespace is the container's: as it goes with the container, nothing of it
 * stays there. "waiting" is also the one without link and sandbox between Leave and DeleteEndpoint, when dockerd has the link in
 * its hands; the record of one that died with its container has the path of a sandbox that is gone.
 */
export function loneEndpointState(
  endpoint: Pick<Endpoint, "sandbox">,
  hasLink: boolean,
  sandboxes: ReadonlySet<string>,
): "alive" | "waiting" | "dead" {
  if (endpoint.sandbox !== null && sandboxes.has(endpoint.sandbox)) return "alive";
  return endpoint.sandbox === null || hasLink ? "waiting" : "dead";
}
