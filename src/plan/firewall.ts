/**
 * The elements of our table's sets and maps. The rules, which never change, are in firewall-rules.ts, the nft transactions in
 * firewall-script.ts.
 */
import { type Family, parseHostAddress } from "../net/cidr.ts";
import { bySet, type Element } from "./elements.ts";
import {
  type BridgeSubnet,
  type Endpoint,
  type GatewayNetwork,
  hasGateway,
  type Network,
  type PortMapping,
} from "./network.ts";
import type { Elements } from "./observed.ts";
import { serving } from "./ports.ts";

/** What the firewall is made of, besides the rules. */
export interface FirewallInput {
  readonly networks: Iterable<Network>;
  readonly endpoints: Iterable<Endpoint>;
  /** Names of Docker's own bridges that exist. */
  readonly dockerLinks: Iterable<string>;
  /** What goes between hosts without a tunnel: directElements of direct.ts. */
  readonly direct?: readonly Element[];
}

/** The elements of a network itself. */
export function networkElements(network: GatewayNetwork): Element[] {
  const { bridge, internal, icc, trustedLinks } = network;
  return [
    ["bridges", bridge, ""],
    ...(internal ? [["internal", bridge, ""] as const] : []),
    ["between", `${bridge} . ${bridge}`, icc ? "goto pass" : "drop"],
    ...families.map((family): Element => ["into", `ipv${family} . ${bridge}`, intoVerdict(network, family)]),
    ...trustedLinks.map((link): Element => ["trusted", `${link} . ${bridge}`, ""]),
    ...sourceElements(network),
    ...network.subnets.flatMap((subnet) => subnetElements(network, subnet)),
  ];
}

const families: readonly Family[] = [4, 6];

/** What becomes of a new connection to an address of the network's containers. */
function intoVerdict({ internal, subnets }: GatewayNetwork, family: Family): string {
  const mode = subnets.find((subnet) => subnet.family === family)?.gatewayMode;
  if (!internal && mode === "routed") return "goto routed";
  return !internal && mode === "nat-unprotected" ? "goto unprotected" : "drop";
}

/** A network that lets only some sources reach its published ports. */
function sourceElements({ bridge, publishFrom }: GatewayNetwork): Element[] {
  if (publishFrom.length === 0) return [];
  return [
    ["restricted", bridge, ""],
    ...publishFrom.map((cidr): Element => {
      const set = cidr.includes(":") ? "sources6" : "sources4";
      return [set, `${bridge} . ${withoutWholePrefix(cidr)}`, ""];
    }),
  ];
}

function subnetElements({ bridge, internal, masquerade }: GatewayNetwork, subnet: BridgeSubnet): Element[] {
  const { family, gatewayMode, snat } = subnet;
  const pool = withoutWholePrefix(subnet.pool);
  const isTranslated = masquerade && !internal && gatewayMode !== "routed";
  return [
    [`own${family}`, `${bridge} . ${pool}`, ""],
    ...(isTranslated ? [[`masq${family}`, pool, ""] as const] : []),
    ...(isTranslated && snat !== null ? [[`snat${family}`, pool, snat] as const] : []),
  ];
}

/** nft lists a subnet of one address as that address. */
export const withoutWholePrefix = (pool: string): string => pool.replace(pool.includes(":") ? /\/128$/ : /\/32$/, "");

/**
 * The elements of an endpoint's published ports. Several ports may want the same element, which then is in the list more than
 * once: what is removed is the difference of two of an endpoint's lists, never a port's own elements.
 */
export function portElements(endpoint: Pick<Endpoint, "addresses" | "ports">, network: GatewayNetwork): Element[] {
  return endpoint.ports.flatMap((mapping) => {
    const { element, target } = serving(mapping, endpoint, network);
    return [
      ...loopbackElements(mapping),
      ...(element ? mappingElements(mapping, endpoint) : []),
      ...(target === null ? [] : proxiedElements(mapping)),
    ];
  });
}

/**
 * A port that a socket passes on, also where the kernel translates as well: what came in before the translation was there stays
 * with the socket.
 */
function proxiedElements({ protocol, hostAddress, hostPort, count }: PortMapping): Element[] {
  const family = hostAddress.includes(":") ? 6 : 4;
  const [set, host] = isAnyHost(hostAddress) ? ["proxied", `ipv${family}`] : [`proxied${family}`, hostAddress];
  return steps(count).map((step) => [set, `${host} . ${protocol} . ${hostPort + step}`, ""]);
}

/** A port that is published on an address of the host's loopback. */
function loopbackElements({ protocol, hostAddress, hostPort, count }: PortMapping): Element[] {
  if (!hostAddress.startsWith("127.")) return [];
  return [["loopback4", `${hostAddress} . ${protocol} . ${portText(hostPort, count)}`, ""]];
}

function mappingElements(mapping: PortMapping, { addresses }: Pick<Endpoint, "addresses">): Element[] {
  const { protocol, hostAddress, containerPort, count } = mapping;
  const isIpv6 = hostAddress.includes(":");
  return addresses
    .map((address) => parseHostAddress(address).ip)
    .filter(({ family }) => (family === 6) === isIpv6)
    .flatMap(({ family, text }) => [
      ...translationElements(mapping, family, text),
      ...steps(count).map(
        (step): Element => [`traffic${family}`, `${text} . ${protocol} . ${containerPort + step}`, ""],
      ),
    ]);
}

/** One element for a block whose ports keep their numbers; otherwise one a port, since a map does not count. */
function translationElements(mapping: PortMapping, family: Family, target: string): Element[] {
  const { protocol, hostAddress, hostPort, containerPort, count } = mapping;
  const isAny = isAnyHost(hostAddress);
  const host = isAny ? "" : `${hostAddress} . `;
  if (count > 1 && hostPort === containerPort) {
    const map = isAny ? "range" : "boundrange";
    return [[`${map}${family}`, `${host}${protocol} . ${portText(hostPort, count)}`, target]];
  }
  const map = isAny ? "port" : "bound";
  return steps(count).map((step) => [
    `${map}${family}`,
    `${host}${protocol} . ${hostPort + step}`,
    `${target} . ${containerPort + step}`,
  ]);
}

const isAnyHost = (hostAddress: string): boolean => hostAddress === "0.0.0.0" || hostAddress === "::";

const steps = (count: number): number[] => Array.from({ length: count }, (_, step) => step);

/** A block of ports as nft writes it: "80", "8000-8010". */
const portText = (first: number, count: number): string => (count === 1 ? `${first}` : `${first}-${first + count - 1}`);

/** The elements of an endpoint's open ports, in the families whose gateway mode is "routed", or in both for trusted links. */
export function openElements(endpoint: Pick<Endpoint, "addresses" | "openPorts">, network: GatewayNetwork): Element[] {
  if (network.internal) return [];
  return endpoint.addresses
    .map((address) => parseHostAddress(address).ip)
    .filter(({ family }) => isOpen(network, family))
    .flatMap(({ family, text }) =>
      endpoint.openPorts.map(
        ({ protocol, port, count }): Element => [
          `open${family}`,
          `${text} . ${protocol} . ${portText(port, count)}`,
          "",
        ],
      ),
    );
}

const isOpen = ({ trustedLinks, subnets }: GatewayNetwork, family: Family): boolean =>
  trustedLinks.length > 0 || subnets.some((subnet) => subnet.family === family && subnet.gatewayMode === "routed");

/**
 * The addresses of containers that are on several of our networks: an answer may take another way than the question, so that
 * what comes through a published port from another network has to come from the host.
 */
export function multihomedElements(endpoints: Iterable<Endpoint>): Element[] {
  const bySandbox = Map.groupBy(
    [...endpoints].filter(({ sandbox }) => sandbox !== null),
    ({ sandbox }) => sandbox,
  );
  return [...bySandbox.values()]
    .filter((together) => together.length > 1)
    .flatMap((together) => together.flatMap(({ addresses }) => addresses))
    .map((address): Element => {
      const { family, text } = parseHostAddress(address).ip;
      return [`multihomed${family}`, text, ""];
    });
}

/** Everything that should be in our sets and maps. */
export function wantedElements({ networks, endpoints, dockerLinks, direct = [] }: FirewallInput): Elements {
  const all = [...endpoints];
  const bridges = [...networks].filter(hasGateway);
  const byId = new Map(bridges.map((network) => [network.id, network]));
  const elements = [
    ...bridges.flatMap(networkElements),
    ...all.flatMap((endpoint) => {
      const network = byId.get(endpoint.network);
      return network === undefined ? [] : [...portElements(endpoint, network), ...openElements(endpoint, network)];
    }),
    ...multihomedElements(all),
    ...[...dockerLinks].map((name): Element => ["docker_links", name, ""]),
    ...direct,
  ];
  return bySet(elements);
}
