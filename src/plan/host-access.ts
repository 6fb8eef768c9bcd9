/**
 * How the host reaches the containers of a network with a parent (recipes F1): a link of its own on that parent, the shim, and
 * through it a route and a neighbor for each container. The kernel passes nothing between a parent and the macvlan links on it.
 *
 * The shim has no address of IPv4 unless tsnet.host_address gives it one: the host answers for all of its addresses on all links
 * (plan/host-access-table.ts keeps that to the network's containers). IPv6 answers only for addresses of the link itself, so that
 * it is off where there is none.
 */
import { containsIp, parseHostAddress, parseIp } from "../net/cidr.ts";
import { shimMacOf } from "../net/mac.ts";
import { linkAlias, shimName } from "../net/names.ts";
import { lanLinkKind } from "./lan.ts";
import type { Endpoint, HostAccess, LanNetwork } from "./network.ts";
import type { Op } from "./op.ts";
import type { EnsureNeighbor, EnsureRoute } from "./op-links.ts";

/** What a parent is at the moment. */
export interface ParentState {
  readonly mac: string;
  /** The host's own addresses on it, "192.168.1.2/24". */
  readonly addresses: readonly string[];
}

/** The shim's addresses, as the link has them: "192.168.1.250/32". Without the LAN's prefix, whose route is the parent's. */
export const shimAddresses = ({ hostAccess }: LanNetwork): string[] =>
  (hostAccess?.addresses ?? []).map((address) => wholeOf(address));

/**
 * The shim, up. It comes up when it has its sysctls, so that it asks for no router and takes no address from one.
 *
 * rp_filter=2: what others of the LAN send to tsnet.host_address comes in by the shim, and the answer goes out by the parent.
 * arp_ignore=0, proxy_arp=0: it answers containers for the host's own addresses, and for nobody else's.
 */
export function planShim(network: LanNetwork, { mac: parentMac }: Pick<ParentState, "mac">): Op[] {
  const name = shimName(network.id);
  const link = {
    ...{ name, alias: linkAlias("shim", network.id), parent: network.parent.name, link: lanLinkKind(network) },
    mac: network.mode === "macvlan" ? shimMacOf(network.id, parentMac) : null,
    mtuBytes: network.mtuBytes,
  };
  const hasIpv6 = network.hostAccess?.addresses.some((address) => !isIpv4(address)) ?? false;
  const sysctl = (family: "ipv4" | "ipv6", key: string, value: string): Op => ({
    ...{ op: "set-sysctl", key: ["net", family, "conf", name, key], value, optional: family === "ipv6" },
  });
  return [
    { op: "ensure-lan-link", ...link, up: false },
    sysctl("ipv6", "disable_ipv6", hasIpv6 ? "0" : "1"),
    sysctl("ipv6", "accept_ra", "0"),
    sysctl("ipv4", "rp_filter", "2"),
    sysctl("ipv4", "arp_ignore", "0"),
    sysctl("ipv4", "proxy_arp", "0"),
    { op: "ensure-lan-link", ...link, up: true },
  ];
}

/** What the shim has besides itself. To be executed when nobody else has these addresses. */
export const planShimAddresses = (network: LanNetwork): Op[] =>
  shimAddresses(network).map((address) => ({ op: "ensure-address", link: shimName(network.id), address }));

/** Its addresses first: the link keeps them until it is deleted, and somebody may want them at once. */
export const planShimRemoval = (network: LanNetwork): Op[] => {
  const name = shimName(network.id);
  return [
    ...shimAddresses(network).map((address): Op => ({ op: "remove-address", link: name, address })),
    { op: "remove-links", links: [{ name, alias: linkAlias("shim", network.id) }] },
  ];
};

/** The host's way to one address of a container. */
export type Reach = readonly [EnsureRoute, EnsureNeighbor];

/** The host's ways to an endpoint: none of IPv6 where the host has no address of its own in the network. */
export function reachesOf(network: LanNetwork, endpoint: Endpoint, parent: ParentState): Reach[] {
  const { hostAccess } = network;
  if (hostAccess === null) return [];
  const link = shimName(network.id);
  return reachedIps(network, endpoint).map((ip): Reach => {
    const source = isIpv4(ip) ? sourceTo(endpoint, hostAccess, parent) : null;
    const mac = endpoint.mac ?? parent.mac;
    return [
      { op: "ensure-route", link, destination: wholeOf(ip), source },
      { op: "ensure-neighbor", link, address: ip, mac },
    ];
  });
}

/** The host reaches this endpoint from now on. The shim is there. */
export const planReach = (network: LanNetwork, endpoint: Endpoint, parent: ParentState): Op[] =>
  reachesOf(network, endpoint, parent).flat();

export const planReachRemoval = (network: LanNetwork, endpoint: Pick<Endpoint, "addresses">): Op[] =>
  reachedIps(network, endpoint).flatMap((ip): Op[] => [
    { op: "remove-route", link: shimName(network.id), destination: wholeOf(ip) },
    { op: "remove-neighbor", link: shimName(network.id), address: ip },
  ]);

function reachedIps({ hostAccess }: LanNetwork, { addresses }: Pick<Endpoint, "addresses">): string[] {
  const hasIpv6 = hostAccess?.addresses.some((address) => !isIpv4(address)) ?? false;
  return addresses.filter((address) => hasIpv6 || isIpv4(address)).map(withoutPrefix);
}

/** Told by the text: all containers of a host are compared in one turn, and to read an address of IPv6 takes 50 µs. */
export const isIpv4 = (address: string): boolean => !address.includes(":");

/** "192.168.1.10" of "192.168.1.10/24" */
export const withoutPrefix = (address: string): string => address.split("/")[0] ?? "";

/**
 * Which address the host sends from to a container: one in the container's subnet, which the container answers without a gateway.
 * Left to the kernel, it would be that of any other link, as the shim may have none.
 */
function sourceTo({ addresses }: Pick<Endpoint, "addresses">, own: HostAccess, parent: ParentState): string | null {
  const candidates = [...own.addresses, ...parent.addresses].filter(isIpv4).map(withoutPrefix);
  const [subnet] = addresses.filter(isIpv4).map((address) => parseHostAddress(address).subnet);
  const near = candidates.find((ip) => subnet !== undefined && containsIp(subnet, parseIp(ip)));
  return near ?? candidates[0] ?? null;
}

/** Whether containers of the network can answer the host without a gateway: it has an IPv4 address in one of the subnets. */
export function isHostNear(
  { subnets, hostAccess }: LanNetwork,
  { addresses }: Pick<ParentState, "addresses">,
): boolean {
  const ofHost = [...(hostAccess?.addresses ?? []).map(parseIp), ...addresses.map((one) => parseHostAddress(one).ip)];
  const pools = subnets.filter(({ family }) => family === 4).map(({ pool }) => parseHostAddress(pool).subnet);
  return pools.length === 0 || ofHost.some((ip) => ip.family === 4 && pools.some((pool) => containsIp(pool, ip)));
}

const wholeOf = (ip: string): string => `${ip}/${isIpv4(ip) ? 32 : 128}`;
