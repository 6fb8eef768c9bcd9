/**
 * Virtual IPs of a network's services, in the network's namespace on each host that has it: any of them answers for them (recipes E).
 *
 * A container's packet to a virtual IP goes to the bridge, which has that address, and the same MAC address on all hosts. On its way
 * through the bridge it is translated (vip-table.ts), and goes on in the bridge to the task, wherever that is. The task sees the
 * client's own address and answers it; the answer passes the client's bridge again, where conntrack puts the virtual IP back. For
 * this the bridge shows bridged packets of IPv4 to tables, as long as there is a virtual IP.
 */
import { containsIp, isAddress, parseCidr, parseHostAddress, parseIp } from "../net/cidr.ts";
import { bridgeName, hostVethName, namespaceName, parseLinkAlias } from "../net/names.ts";
import type { Endpoint, OverlayNetwork } from "./network.ts";
import type { ObservedNamespace } from "./observed.ts";
import type { InnerOp, Op } from "./op.ts";
import { gatewayAddresses } from "./overlay.ts";
import { type VirtualIp, vipElements, vipTable } from "./vip-table.ts";

/**
 * With the last address of a link, the kernel drops all its neighbors, permanent ones too (fib_disable_ip() in net/ipv4/fib_frontend.c):
 * the bridge keeps one that is nobody's, the dummy address of RFC 7600, from its first virtual IP on.
 */
const anchor = "192.0.0.8";

/** What virtual IPs need in a namespace, besides the table. */
export interface VipsFound {
  /** Addresses of single hosts that the bridge has: "10.5.0.4". */
  readonly addresses: ReadonlySet<string>;
  /** Whether it has the one that stays. */
  readonly hasAnchor: boolean;
  /** Subnets that are routed to the bridge: "10.5.0.0/24". */
  readonly routes: ReadonlySet<string>;
  /** Whether the bridge shows bridged packets to tables. */
  readonly isFiltering: boolean;
  /** Ports that send back what came by them. */
  readonly hairpins: ReadonlySet<string>;
  /** Ports that are not there: nothing is to be done about them. */
  readonly isMissing: (port: string) => boolean;
  /** By path; those that the kernel lacks are not in it. */
  readonly sysctls: ReadonlyMap<string, string>;
}

/** What there is to be. */
export interface WantedVips {
  readonly network: Pick<OverlayNetwork, "id" | "subnets">;
  readonly virtual: readonly VirtualIp[];
  /** Those of this host's endpoints that are tasks of a service with a virtual IP. */
  readonly ownTasks: readonly Endpoint[];
}

/** What is to be done, and why, in words. */
export interface VipPlan {
  readonly ops: readonly InnerOp[];
  readonly reasons: readonly string[];
}

/**
 * Sysctls of a namespace with virtual IPs. The kernel looks up a route for what it has translated; what goes back by the link that
 * it came by needs no redirect; each datagram that nobody takes is refused, not some a second. Namespaces begin with what the host has:
 * a balancer's host may have ARP answered for few.
 */
export const vipSysctls = ({
  id,
}: Pick<OverlayNetwork, "id">): readonly (readonly [key: string[], value: string])[] => [
  [["net", "ipv4", "ip_forward"], "1"],
  [["net", "ipv4", "icmp_ratelimit"], "0"],
  ...["all", bridgeName(id)].flatMap((link) =>
    ["send_redirects", "rp_filter", "arp_ignore"].map((name): [string[], string] => [
      ["net", "ipv4", "conf", link, name],
      "0",
    ]),
  ),
];

/** As it is when all is there that is wanted. */
export function vipsAsWanted(wanted: WantedVips): VipsFound {
  const { network, virtual } = wanted;
  const isEmpty = virtual.length === 0;
  return {
    addresses: new Set(virtual.map(({ vip }) => vip)),
    hasAnchor: !isEmpty,
    routes: new Set(isEmpty ? [] : routesOf(network)),
    isFiltering: !isEmpty,
    hairpins: new Set(isEmpty ? [] : wanted.ownTasks.map(({ id }) => hostVethName(id))),
    isMissing: () => false,
    sysctls: new Map(isEmpty ? [] : vipSysctls(network).map(([key, value]) => [key.join("/"), value])),
  };
}

/** @param sysctls by path, of vipSysctls. @returns null without the bridge */
export function vipsFound(
  { id }: Pick<OverlayNetwork, "id">,
  { links, addresses, routes }: ObservedNamespace,
  sysctls: ReadonlyMap<string, string>,
): VipsFound | null {
  const bridge = links.find(({ name }) => name === bridgeName(id));
  if (bridge === undefined) return null;
  const names = new Set(links.map(({ name }) => name));
  const held = addresses
    .filter(({ link, address }) => link === bridge.index && /^[\d.]+\/32$/.test(address))
    .map(({ address }) => address.slice(0, -"/32".length));
  return {
    addresses: new Set(held.filter((address) => address !== anchor)),
    hasAnchor: held.includes(anchor),
    routes: new Set(routes.filter(({ link }) => link === bridge.index).map(({ destination }) => destination)),
    isFiltering: bridge.filtersIpv4 ?? false,
    hairpins: new Set(
      links.filter(({ alias, hairpin }) => hairpin && parseLinkAlias(alias)?.role === "veth").map(({ name }) => name),
    ),
    isMissing: (port) => !names.has(port),
    sysctls,
  };
}

/**
 * What makes of what was found what is wanted, in an order in which nobody is refused meanwhile: nothing is translated before the bridge
 * passes the answers, and nobody finds a virtual IP before it is translated.
 */
export function planVips(wanted: WantedVips, found: VipsFound): VipPlan {
  const { network, virtual, ownTasks } = wanted;
  const after = vipsAsWanted(wanted);
  const link = bridgeName(network.id);
  const steps: { readonly reason: string; readonly op: InnerOp }[] = [];
  const add = (reason: string, op: InnerOp): void => void steps.push({ reason, op });

  for (const [key, value] of virtual.length === 0 ? [] : vipSysctls(network)) {
    const path = key.join("/");
    if (found.sysctls.get(path) === value) continue;
    add(`${path} is ${found.sysctls.get(path)}`, { op: "set-sysctl", key, value, optional: true });
  }
  if (after.isFiltering && !found.isFiltering)
    add("bridged packets do not pass tables", { op: "set-bridge-filter", name: link, on: true });
  if (after.hasAnchor && !found.hasAnchor)
    add(`address ${anchor} is gone`, { op: "ensure-address", link, address: `${anchor}/32`, scope: "host" });
  for (const destination of without(after.routes, found.routes))
    add(`route to ${destination} is gone`, { op: "ensure-route", link, destination, source: null });
  for (const name of without(after.hairpins, found.hairpins)) {
    if (!found.isMissing(name)) add(`port ${name} sends nothing back`, { op: "set-hairpin", name, on: true });
  }

  const elements = vipElements(virtual, ownTasks.flatMap(ipv4Of));
  add("", { op: "set-table", table: vipTable, elements });
  for (const vip of without(after.addresses, found.addresses))
    add(`address ${vip} is gone`, { op: "ensure-address", link, address: `${vip}/32` });
  for (const vip of without(found.addresses, after.addresses))
    add(`address ${vip} is nobody's`, { op: "remove-address", link, address: `${vip}/32` });

  for (const name of without(found.hairpins, after.hairpins))
    add(`port ${name} sends frames back`, { op: "set-hairpin", name, on: false });
  if (!after.isFiltering && found.isFiltering)
    add("bridged packets pass tables", { op: "set-bridge-filter", name: link, on: false });
  for (const destination of routesOf(network)) {
    if (found.routes.has(destination) && !after.routes.has(destination))
      add(`route to ${destination} is nobody's`, { op: "remove-route", link, destination });
  }
  return { ops: steps.map(({ op }) => op), reasons: steps.map(({ reason }) => reason).filter(Boolean) };
}

const without = (these: ReadonlySet<string>, those: ReadonlySet<string>): string[] =>
  [...these].filter((one) => !those.has(one));

/** In the network's namespace. */
export const inNetwork = ({ id }: Pick<OverlayNetwork, "id">, ops: readonly InnerOp[]): Op => ({
  ...{ op: "in-namespace", namespace: namespaceName(id), ops },
});

/** The subnets of IPv4. */
const routesOf = ({ subnets }: Pick<OverlayNetwork, "subnets">): string[] =>
  subnets.filter(({ family }) => family === 4).map(({ pool }) => pool);

/** Addresses of IPv4: "10.5.0.9". */
export const ipv4Of = ({ addresses }: Pick<Endpoint, "addresses">): string[] =>
  addresses.map((address) => parseHostAddress(address).ip).flatMap(({ family, text }) => (family === 4 ? [text] : []));

/**
 * Why an address cannot be that of a service on this network; "" if it can.
 * @param isTaken whether an endpoint, of whichever host, has it
 */
export function whyNoVip(
  network: Pick<OverlayNetwork, "subnets">,
  vip: string,
  isTaken: (ip: string) => boolean,
): string {
  if (!isAddress(vip)) return "it is no address";
  if (vip.includes(":")) return "virtual IPs of IPv6 are not served";
  if (!routesOf(network).some((pool) => containsIp(parseCidr(pool), parseIp(vip))))
    return `it is in none of the network's subnets, ${network.subnets.map(({ pool }) => pool).join(" and ")}`;
  const gateways = [
    ...gatewayAddresses(network).map((address) => parseHostAddress(address).ip.text),
    ...network.subnets.map(({ defaultGateway }) => defaultGateway),
  ];
  if (gateways.includes(vip)) return "it is the network's gateway";
  return isTaken(vip) ? "a container has it" : "";
}
