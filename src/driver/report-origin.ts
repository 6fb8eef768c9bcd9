/** Where a connection comes from, as the firewall sees it: which link it comes in by, and whose address that is. */
import { containsIp, type Ip, parseCidr } from "../net/cidr.ts";
import { isDockerLink } from "../net/names.ts";
import type { Endpoint, GatewayNetwork } from "../plan/network.ts";
import type { Observed, ObservedFirewall, ObservedForward } from "../plan/observed.ts";
import { short } from "./report-steps.ts";

/** What an explanation is made from. */
export interface ExplainFacts {
  /** The records: what should be in the kernel. */
  readonly networks: ReadonlyMap<string, GatewayNetwork>;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  /** The kernel. undefined if our table is not there. */
  readonly firewall: ObservedFirewall | undefined;
  readonly forward: ObservedForward;
  readonly observed: Observed;
  readonly mark: number;
}

/** "outside" is everything that is neither this host nor a container of tsnet nor of a bridge of Docker's. */
export interface Origin {
  readonly kind: "outside" | "docker" | "host" | "container";
  /** null: any address outside. */
  readonly address: Ip | null;
  /** The link by which its packets come in; null where that is not known, or for the host itself. */
  readonly link: string | null;
  /** The network of ours that this link is the bridge of. */
  readonly network: GatewayNetwork | null;
  /** A sentence. */
  readonly text: string;
}

/** @param from null for any address outside */
export function originOf(from: Ip | null, facts: ExplainFacts): Origin {
  if (from === null) {
    return { kind: "outside", address: null, link: null, network: null, text: "from any address outside of this host" };
  }
  const { text } = from;
  const none = { address: from, link: null, network: null };
  if (isLoopback(from)) return { ...none, kind: "host", text: `from ${text}: this host itself` };
  if (hostAddresses(facts).has(text)) return { ...none, kind: "host", text: `from ${text}: an address of this host` };
  return containerOrigin(from, facts) ?? linkOrigin(from, facts);
}

function containerOrigin(from: Ip, { endpoints, networks }: ExplainFacts): Origin | undefined {
  const endpoint = endpointAt(from, endpoints);
  const network = endpoint && networks.get(endpoint.network);
  if (network === undefined) return undefined;
  const kind = network.internal ? "internal network" : "network";
  const text = `from ${from.text}: a container (endpoint ${short(endpoint?.id)}) of ${kind} ${short(network.id)}`;
  return { kind: "container", address: from, link: network.bridge, network, text };
}

function linkOrigin(from: Ip, facts: ExplainFacts): Origin {
  const link = linkTo(from, facts.observed);
  const network = [...facts.networks.values()].find(({ bridge }) => bridge === link) ?? null;
  const isDocker = link !== null && network === null && dockerBridgesIn(facts).has(link);
  const where = link === null ? "outside, and this host has no route to it" : `comes in by link ${link}`;
  const whose = isDocker ? ", a bridge of Docker's" : network === null ? "" : ", where no container has this address";
  return {
    ...{ kind: isDocker ? "docker" : "outside", address: from, link, network },
    text: `from ${from.text}: ${where}${whose}`,
  };
}

/** Docker's bridges: those that our table knows, and those with a name as only Docker gives it. */
function dockerBridgesIn({ firewall, observed }: ExplainFacts): Set<string> {
  const byName = observed.links.filter(({ kind, name }) => kind === "bridge" && isDockerLink(name));
  return new Set([...Object.keys(firewall?.elements["docker_links"] ?? {}), ...byName.map(({ name }) => name)]);
}

/** The endpoint that has this address. */
export const endpointAt = (ip: Ip, endpoints: ReadonlyMap<string, Endpoint>): Endpoint | undefined =>
  [...endpoints.values()].find(({ addresses }) => addresses.some((address) => address.split("/")[0] === ip.text));

/** The addresses of the host's links, without prefix lengths. */
export const hostAddresses = ({ observed }: ExplainFacts): Set<string> =>
  new Set(observed.addresses.map(({ address }) => address.split("/")[0] ?? ""));

/** 127.0.0.0/8 and ::1. */
export const isLoopback = ({ family, value }: Ip): boolean => (family === 4 ? value >> 24n === 127n : value === 1n);

/** RT_TABLE_MAIN of include/uapi/linux/rtnetlink.h. */
const mainTable = 254;

/** The link by which the main table reaches an address: with what rp_filter expects, the one by which its packets come in. */
function linkTo(ip: Ip, { routes, links }: Observed): string | null {
  const matching = routes
    .filter(({ table, link }) => table === mainTable && link !== 0)
    .map(({ destination, link }) => ({ subnet: parseCidr(destination), link }))
    .filter(({ subnet }) => containsIp(subnet, ip))
    .toSorted((a, b) => b.subnet.prefix - a.subnet.prefix);
  const index = matching[0]?.link;
  return links.find((link) => link.index === index)?.name ?? null;
}

/**
 * The address under which others know this host best: of the link that a default route uses, or else of any link that is not a
 * bridge of ours.
 */
export function mainAddress(family: 4 | 6, facts: ExplainFacts): string | undefined {
  const { observed } = facts;
  const uplinks = observed.routes.filter(({ destination }) => destination === (family === 4 ? "0.0.0.0/0" : "::/0"));
  const ours = new Set([...facts.networks.values()].map(({ bridge }) => bridge));
  const nameOf = (index: number): string => observed.links.find((link) => link.index === index)?.name ?? "";
  const usable = observed.addresses.filter(
    ({ address, link }) =>
      address.includes(":") === (family === 6) &&
      !/^(127\.|::1\/|fe80:)/.test(address) &&
      !ours.has(nameOf(link)) &&
      !isDockerLink(nameOf(link)),
  );
  const best = usable.find(({ link }) => uplinks.some((route) => route.link === link)) ?? usable[0];
  return best?.address.split("/")[0];
}
