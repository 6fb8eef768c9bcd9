/**
 * The short way between hosts of one segment: a container's packet to an endpoint of a neighbor host is routed there as it is, instead
 * of in a tunnel (recipes D2).
 *
 * 1. In the network's namespace, the table `bridge tsnet` turns frames to such endpoints over to the gateway, by whose link they come to
 *    the host's namespace. A frame is meant only if its addresses are those of endpoints of the network: what a container
 *    forwards for others, or has as a second address, stays in the tunnel. So does what would notice that it was routed: packets
 *    with a TTL so small that two routers would end it, or of 255, by which receivers know that nobody has routed it (RFC 5082,
 *    and all of neighbor discovery).
 * 2. There, a routing table of our own leads to the other host. Only what comes by the networks' gateways is led by it, and what
 *    the host sends itself: a container of another network finds the network as closed as without it. That it holds for the host
 *    itself makes the reverse path what it is, for whoever looks at it (rp_filter=1).
 * 3. The other host's firewall lets in what comes from the network's subnets, by the links that lead to other hosts. Nobody translates
 *    it, and no connection is tracked.
 *
 * All entries of the tunnel stay: who is taken out of the set goes by VXLAN at once.
 */
import { parseHostAddress } from "../net/cidr.ts";
import { gatewayPortName, vxlanName } from "../net/names.ts";
import type { Element } from "./elements.ts";
import { withoutWholePrefix } from "./firewall.ts";
import { type Endpoint, type GatewayNetwork, hasGateway, type OverlayNetwork } from "./network.ts";
import type { NftTable } from "./nft-script.ts";
import type { Elements, ObservedLink, ObservedPath } from "./observed.ts";
import type { DirectRoute } from "./op-overlay.ts";
import type { PlacedEndpoint } from "./overlay-places.ts";

/** Number of the routing table: "tsn". RTPROT_… of its routes and rules: "t", which no other program has (rtnetlink.h). */
export const directRoutingTable = 0x74736e;
export const directProtocol = 0x74;

/** Of the rules that lead to it: before those of VPNs and other tunnels, which a container's packet to another is not for. */
export const directRulePriority = 0x74;

/** How this host sends to another. */
export type Way =
  | {
      readonly isDirect: true;
      readonly link: string;
      /** Next hops, a family of what is sent: of IPv4 it may be an address of IPv6 (RFC 5549). null: none is known. */
      readonly via4: string;
      readonly via6: string | null;
    }
  | { readonly isDirect: false; readonly reason: string };

/** Whether any of a network's endpoints can be reached by the short way. */
export const mayBeDirect = (network: OverlayNetwork): boolean => network.datapath !== "vxlan" && hasGateway(network);

/**
 * @param host the other host's tunnel address
 * @param path undefined where there is none
 * @param link the one that it leads out by
 * @param host6 an address of IPv6 of the other host on the same segment, if its tunnel address is one of IPv4; null if none is known
 */
export function wayTo(
  host: string,
  path: ObservedPath | undefined,
  link: Pick<ObservedLink, "mac"> | undefined,
  host6: string | null = null,
): Way {
  if (path === undefined || link === undefined) return viaVxlan("there is no route to it");
  if (path.gateway !== "") return viaVxlan(`it is behind the router ${path.gateway}`);
  // a tunnel such as WireGuard's chooses its peer by the packet's own destination
  if (!isEthernet(link)) return viaVxlan(`the way there, ${path.link}, is no Ethernet`);
  return { isDirect: true, link: path.link, via4: host, via6: host.includes(":") ? host : host6 };
}

export const isEthernet = ({ mac }: Pick<ObservedLink, "mac">): boolean => /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac);

const viaVxlan = (reason: string): Way => ({ isDirect: false, reason });

/** What makes an endpoint go the short way. */
export interface DirectEndpoint {
  /** The tunnel address of its host. */
  readonly host: string;
  /** Whether the kernel may have none of it, or part. */
  readonly isUnsure?: true;
  readonly routes: readonly DirectRoute[];
  readonly elements: readonly Element[];
}

/**
 * Nothing for an endpoint, or an address of it, that cannot go the short way.
 * @param isProven whether packets of a family get through: if not, there are routes alone, by which that can be tried
 */
export function planDirectEndpoint(
  { mac, ips, vtep }: PlacedEndpoint,
  way: Way,
  isProven: (family: 4 | 6) => boolean,
): DirectEndpoint {
  const all = ips.map((ip): Pick<DirectEndpoint, "routes" | "elements"> => {
    const isIpv6 = ip.includes(":");
    const via = way.isDirect ? (isIpv6 ? way.via6 : way.via4) : null;
    if (!way.isDirect || via === null) return { routes: [], elements: [] };
    return {
      routes: [{ destination: ip, via, link: way.link }],
      elements: isProven(isIpv6 ? 6 : 4) ? [[isIpv6 ? "direct6" : "direct4", `${mac} . ${ip}`, ""]] : [],
    };
  });
  return {
    host: vtep,
    routes: all.flatMap(({ routes }) => routes),
    elements: all.flatMap(({ elements }) => elements),
  };
}

/** Who may be the sender of what goes the short way. */
export const localElements = (endpoints: readonly Endpoint[]): Element[] =>
  endpoints
    .flatMap(({ addresses }) => addresses.map((address) => parseHostAddress(address).ip))
    .map(({ family, text }) => [`local${family}`, text, ""]);

/** The bridge's table. */
export const directTable = ({ id, mac }: Pick<OverlayNetwork, "id" | "mac">): NftTable => ({
  name: "bridge tsnet",
  definition: `
  set local4  { type ipv4_addr; }
  set local6  { type ipv6_addr; }
  set direct4 { type ether_addr . ipv4_addr; }
  set direct6 { type ether_addr . ipv6_addr; }
  chain prerouting {
    type filter hook prerouting priority dstnat; policy accept;
    iifname { "${gatewayPortName(id)}", "${vxlanName(id)}" } accept
    ip ttl 3-254 ip saddr @local4 ether daddr . ip daddr @direct4 ether daddr set ${mac}
    ip6 hoplimit 3-254 ip6 saddr @local6 ether daddr . ip6 daddr @direct6 ether daddr set ${mac}
  }`,
  linkParts: {},
});

/**
 * What the host's firewall lets pass untracked: within the network, from containers of this host and from other hosts.
 * @param links those that lead to hosts by the short way; without any, nothing passes
 */
export function directElements(network: GatewayNetwork, links: readonly string[]): Element[] {
  const all = links.length === 0 ? [] : [network.bridge, ...links];
  return all.flatMap((link) =>
    network.subnets.flatMap((from) =>
      network.subnets
        .filter(({ family }) => family === from.family)
        .map(
          (to): Element => [
            `direct${from.family}`,
            `${link} . ${withoutWholePrefix(from.pool)} . ${withoutWholePrefix(to.pool)}`,
            "",
          ],
        ),
    ),
  );
}

/** Whether anything goes the short way: if not, no frame has to pass the table. */
export const isEmpty = (wanted: Elements): boolean =>
  ["direct4", "direct6"].every((set) => Object.keys(wanted[set] ?? {}).length === 0);
