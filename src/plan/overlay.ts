/**
 * What an overlay network needs in the kernel of each host that has it.
 *
 * The containers of a network are one Ethernet segment, whichever hosts they are on: on each host a bridge, whose ports are the
 * containers' links, and a VXLAN link (RFC 7348) that leads to the other hosts. Both are in a network namespace of their own, where
 * no firewall of the host sees a frame, and no flush of the host's rules reaches them; the VXLAN link's UDP socket stays in the
 * host's.
 *
 * 1. Nothing is guessed where a control plane knows who is where: nobody learns from frames, each endpoint has its entries
 *    (places.ts), and the bridge answers for it who asks by ARP or neighbor discovery, so that such questions never leave the host.
 * 2. Where only hosts are known (TSNET_PEERS), the bridge and the VXLAN link learn, and what nobody has learned goes to all hosts.
 * 3. The way out is a veth pair to the host's namespace, whose end there has the gateways' addresses. All hosts have the same
 *    gateway, with the same MAC address, so that a container keeps its way out wherever it is; each sees its own only.
 *
 * It is made with the first endpoint that a host has of the network, and goes with the last.
 */
import { parseHostAddress } from "../net/cidr.ts";
import { macOf } from "../net/mac.ts";
import {
  bridgeName,
  containerVethName,
  gatewayPortName,
  hostVethName,
  linkAlias,
  namespaceName,
  vxlanName,
} from "../net/names.ts";
import { type Endpoint, hasGateway, type OverlayNetwork } from "./network.ts";
import type { InnerOp, Op } from "./op.ts";
import type { EnsureInnerVeth, PortFlags } from "./op-overlay.ts";
import { ensurePlaces, localPlace, placesOp } from "./overlay-places.ts";
import type { Place } from "./places.ts";

/** What this host has to know besides the network. */
export interface Underlay {
  /** This host's tunnel address. */
  readonly local: string;
  /** UDP port, of this host and of the others. */
  readonly port: number;
  /** What a packet to the other hosts may have. */
  readonly mtuBytes: number;
  /** Whether a control plane says which endpoint is where. */
  readonly knowsPlaces: boolean;
  /** Network cards spoil the checksums that they make of what is in the tunnel: the kernel makes them. */
  readonly withoutTxChecksum?: true;
}

/** Outer Ethernet, IP, UDP and VXLAN headers, less the inner frame's: RFC 7348, 4.1. */
export const overheadBytes = { ipv4: 50, ipv6: 70 } as const;

/** The MTU inside. As with Docker's own overlay, the option says what the underlay takes. */
export function innerMtuBytes(network: Pick<OverlayNetwork, "mtuBytes">, { local, mtuBytes }: Underlay): number {
  return (network.mtuBytes ?? mtuBytes) - (local.includes(":") ? overheadBytes.ipv6 : overheadBytes.ipv4);
}

/** The namespace with all that is in it, before endpoints. */
export function planOverlay(network: OverlayNetwork, underlay: Underlay): Op[] {
  const mtuBytes = innerMtuBytes(network, underlay);
  return [
    { op: "ensure-namespace", name: namespaceName(network.id) },
    planInnerBridge(network, mtuBytes),
    planVxlan(network, underlay),
    ...(hasGateway(network) ? planGateway(network, underlay) : []),
  ];
}

/** The way to the other hosts. */
export function planVxlan(network: OverlayNetwork, underlay: Underlay): Op {
  const { id, vni } = network;
  return {
    op: "ensure-vxlan",
    namespace: namespaceName(id),
    name: vxlanName(id),
    alias: linkAlias("vxlan", id),
    master: bridgeName(id),
    ...{ vni, port: underlay.port, local: underlay.local },
    mtuBytes: innerMtuBytes(network, underlay),
    flags: vxlanFlags(network, underlay),
    ...(underlay.withoutTxChecksum ? { withoutTxChecksum: true } : {}),
  };
}

/**
 * Its MAC address is that of virtual IPs alone (vips.ts, which also says whether bridged packets pass a firewall): the gateway is a
 * port. A link has neighbors of IPv6 only while IPv6 is on; with no address of its own it says nothing by itself.
 */
export function planInnerBridge({ id }: Pick<OverlayNetwork, "id">, mtuBytes: number): Op {
  const name = bridgeName(id);
  const mac = macOf(id, parseHostAddress("::1/128").ip);
  const settings = [
    ["addr_gen_mode", "1"],
    ["accept_ra", "0"],
    ["disable_ipv6", "0"],
  ] as const;
  const ops: InnerOp[] = [
    { op: "ensure-bridge", name, alias: linkAlias("bridge", id), mac, mtuBytes, nfCall: null, withoutVlans: true },
    ...settings.map(
      ([setting, value]): InnerOp => ({
        ...{ op: "set-sysctl", key: ["net", "ipv6", "conf", name, setting], value, optional: true },
      }),
    ),
  ];
  return { op: "in-namespace", namespace: namespaceName(id), ops };
}

/** The way out, and that the gateway is there. */
export function planGateway(network: OverlayNetwork, underlay: Underlay): Op[] {
  const { id, bridge, mac } = network;
  return [
    {
      op: "ensure-inner-veth",
      namespace: namespaceName(id),
      name: gatewayPortName(id),
      alias: linkAlias("gateway-port", id),
      master: bridgeName(id),
      flags: portFlags(underlay),
      peer: bridge,
      peerAlias: linkAlias("gateway", id),
      peerMac: mac,
      mtuBytes: innerMtuBytes(network, underlay),
    },
    ...[
      ["accept_ra", "0"],
      ["accept_dad", "0"],
    ].map(([name = "", value = ""]): Op => {
      return { op: "set-sysctl", key: ["net", "ipv6", "conf", bridge, name], value, optional: true };
    }),
    { op: "set-sysctl", key: ["net", "ipv4", "conf", bridge, "route_localnet"], value: "1", optional: false },
    ...planPatience(bridge),
    ...gatewayLinkAddresses(network).map((address): Op => ({ op: "ensure-address", link: bridge, address })),
    ensurePlaces(network, [gatewayPlace(network)]),
  ];
}

/**
 * Other hosts know an endpoint before its container is up, and send: the host asks for the container's MAC address again 20 times a
 * second, where the kernel does so once, and as the kernel for three seconds.
 */
const planPatience = (link: string): Op[] =>
  ["ipv4", "ipv6"].flatMap((family) =>
    [
      ["retrans_time_ms", "50"],
      ["mcast_solicit", "60"],
    ].map(([name = "", value = ""]): Op => {
      return { op: "set-sysctl", key: ["net", family, "neigh", link, name], value, optional: family === "ipv6" };
    }),
  );

/** Without one, the kernel asks for no neighbor of IPv6 on behalf of others: ndisc_solicit() in net/ipv6/ndisc.c. */
const linkLocal = ({ subnets }: OverlayNetwork): string[] =>
  subnets.some(({ family }) => family === 6) ? ["fe80::1/64"] : [];

/** All that the host's end of the way out has. */
export const gatewayLinkAddresses = (network: OverlayNetwork): string[] => [
  ...gatewayAddresses(network),
  ...linkLocal(network),
];

export const gatewayAddresses = ({ subnets }: Pick<OverlayNetwork, "subnets">): string[] =>
  subnets.flatMap(({ gateway }) => (gateway === null ? [] : [gateway]));

const gatewayPlace = (network: OverlayNetwork): Place => ({
  mac: network.mac,
  ips: gatewayAddresses(network).map((address) => parseHostAddress(address).ip.text),
  port: gatewayPortName(network.id),
  vtep: null,
});

/** Whether network cards may make the checksums of what goes into the tunnel. */
export const planTxChecksum = (networkId: string, on: boolean): Op => ({
  op: "in-namespace",
  namespace: namespaceName(networkId),
  ops: [{ op: "set-tx-checksum", name: vxlanName(networkId), on }],
});

/**
 * Where places are known, nothing is learned. The bridge answers no question that comes by a port with the flag for that:
 * br_do_proxy_suppress_arp() in net/bridge/br_arp_nd_proxy.c.
 */
export const portFlags = ({ knowsPlaces }: Underlay): PortFlags => ({
  learning: !knowsPlaces,
  suppress: false,
  flood: true,
});

/** What is known is not asked for in the tunnel: the bridge answers, or who has it here. */
export const vxlanFlags = ({ flood }: OverlayNetwork, underlay: Underlay): PortFlags => ({
  ...portFlags(underlay),
  suppress: true,
  flood,
});

/** With all links in it, and the host's end of the way out. */
export const planOverlayRemoval = ({ id }: Pick<OverlayNetwork, "id">): Op[] => [
  { op: "remove-namespace", name: namespaceName(id) },
];

/** The links of an endpoint, and that it is here. */
export const planInnerVeth = (network: OverlayNetwork, endpoint: Endpoint, underlay: Underlay): Op[] => [
  planInnerPort(network, endpoint, underlay),
  ensurePlaces(network, [localPlace(endpoint)]),
];

/** The links of an endpoint. */
export function planInnerPort(network: OverlayNetwork, endpoint: Endpoint, underlay: Underlay): EnsureInnerVeth {
  return {
    op: "ensure-inner-veth",
    namespace: namespaceName(network.id),
    name: hostVethName(endpoint.id),
    alias: linkAlias("veth", endpoint.id),
    master: bridgeName(network.id),
    flags: portFlags(underlay),
    peer: containerVethName(endpoint.id),
    peerAlias: linkAlias("peer", endpoint.id),
    peerMac: null,
    mtuBytes: innerMtuBytes(network, underlay),
  };
}

/** @param now where its MAC address is from then on, if anywhere */
export function planInnerVethRemoval(network: OverlayNetwork, endpoint: Endpoint, now: Place | null = null): Op[] {
  const { id, mac } = endpoint;
  const places: InnerOp = now ? placesOp(network, [now]) : { op: "remove-places", macs: mac === null ? [] : [mac] };
  const links = [{ name: hostVethName(id), alias: linkAlias("veth", id) }];
  return [
    // where dockerd has put it back: it goes with the other end, later, and is nobody's until then
    { op: "remove-links", links: [{ name: containerVethName(id), alias: linkAlias("peer", id) }] },
    { op: "in-namespace", namespace: namespaceName(network.id), ops: [places, { op: "remove-links", links }] },
  ];
}
