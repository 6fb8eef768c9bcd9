/** Networks and endpoints as they are recorded: plain values that survive JSON. Texts are canonical (net/cidr.ts). */
import type { Family } from "../net/cidr.ts";

/** How a network is reached from outside, a family: Docker's words. */
export const gatewayModes = ["nat", "nat-unprotected", "routed", "isolated"] as const;

/**
 * "nat": what leaves has the host's address; the containers' own addresses answer to nobody outside of the host.
 * "nat-unprotected": as "nat", but the containers' addresses answer to everybody that has a route.
 * "routed": no translation; the open ports and ICMP answer under the containers' own addresses, nothing else does.
 * "isolated": only of an internal network, whose bridge then has no address.
 */
export type GatewayMode = (typeof gatewayModes)[number];

/** One subnet of a network. */
export interface Subnet {
  readonly family: Family;
  /** "172.18.0.0/16". */
  readonly pool: string;
  /** Default route of the containers, "172.18.0.1"; null for none. */
  readonly defaultGateway: string | null;
}

/** One subnet of a network of mode bridge. */
export interface BridgeSubnet extends Subnet {
  readonly gatewayMode: GatewayMode;
  /** The bridge's own address, "172.18.0.1/16"; null where the bridge gets none. */
  readonly gateway: string | null;
  /** Source address of what leaves, instead of the address of the link it leaves by. */
  readonly snat: string | null;
}

/** What networks of all modes have. */
interface AnyNetwork {
  readonly id: string;
  /** null leaves the kernel's default: of a bridge 1500, of macvlan and ipvlan what the parent has. */
  readonly mtuBytes: number | null;
  readonly internal: boolean;
  /** Name of the interface in the container, less its number. */
  readonly interfacePrefix: string;
  /** At least one; those of IPv4 first, and in order of their addresses. They do not overlap. */
  readonly subnets: readonly Subnet[];
  /**
   * false until it was all there once, and from the beginning of its removal on: after a crash in between, Docker has no answer
   * and has it no more, and the network is taken back.
   */
  readonly ready: boolean;
}

/** A network whose containers' way out is a link of this host that has the gateways' addresses, and where their ports are published. */
interface NetworkWithGateway extends AnyNetwork {
  /** That link: the bridge; of an overlay network, the host's end of the way into its namespace. */
  readonly bridge: string;
  readonly mac: string;
  /** Whether containers of the network may talk to each other. */
  readonly icc: boolean;
  readonly masquerade: boolean;
  /** Host address of published ports that name none; "0.0.0.0" is all addresses, of both families. */
  readonly hostBinding: string;
  readonly subnets: readonly BridgeSubnet[];
  /** Links of the host from which everything reaches the containers. */
  readonly trustedLinks: readonly string[];
  /** Who publishes ports: tsnet, or Docker, by a second network of its own. */
  readonly publish: "native" | "engine";
  /** The only sources of published ports, "192.0.2.0/24", besides this host; none for everybody. */
  readonly publishFrom: readonly string[];
  /** Whose rules published ports pass: Docker's, or those that the host has for its own services. */
  readonly publishPolicy: "docker" | "host";
}

/** A network of mode bridge. */
export interface BridgeNetwork extends NetworkWithGateway {
  readonly mode: "bridge";
  /** Whether the user made the bridge: then it is used, and never deleted. */
  readonly adopted: boolean;
  /** The gateways that an adopted bridge had as addresses already: they stay when the network goes. */
  readonly kept: readonly string[];
}

/** A network of mode overlay: the same on all hosts that have it. */
export interface OverlayNetwork extends NetworkWithGateway {
  readonly mode: "overlay";
  /** VXLAN network identifier, 1 to 16777215 (RFC 7348); 0 until the cluster has said which. */
  readonly vni: number;
  /** Whether broadcast, multicast and frames to unknown addresses go to the other hosts that have the network. */
  readonly flood: boolean;
  /** How what its containers send each other gets to other hosts: see plan/direct.ts. */
  readonly datapath: Datapath;
}

/** "auto": without a tunnel to hosts of the same segment. "direct": the same, and it is said which hosts are not. */
export const datapaths = ["auto", "vxlan", "direct"] as const;
export type Datapath = (typeof datapaths)[number];

/** What the links of a network with a parent are on. */
export interface Parent {
  readonly name: string;
  /**
   * "link": somebody else's, used as it is. "vlan": an 802.1Q link, "eth0.10", which tsnet makes, and which goes with the last
   * network on it. "dummy": leads nowhere; tsnet makes it, for one internal network.
   */
  readonly kind: "link" | "vlan" | "dummy";
}

/** How the host reaches the containers of a network with a parent: by a link of its own on that parent. */
export interface HostAccess {
  /** The host's own addresses in the network, "192.168.1.250", at most one a family. IPv4 works without. */
  readonly addresses: readonly string[];
}

/** A network whose containers are machines of the segment that its parent is on. */
interface NetworkWithParent extends AnyNetwork {
  readonly parent: Parent;
  /** null: the host does not reach the containers. */
  readonly hostAccess: HostAccess | null;
  /** Whether the segment is asked before an address is given to a container. */
  readonly duplicateCheck: boolean;
}

/** The kernel's modes of a macvlan link: ip-link(8). */
export const macvlanModes = ["bridge", "private", "vepa", "passthru"] as const;
export type MacvlanMode = (typeof macvlanModes)[number];

/** The kernel's modes and flags of an ipvlan link: ip-link(8). */
export const ipvlanModes = ["l2", "l3", "l3s"] as const;
export type IpvlanMode = (typeof ipvlanModes)[number];
export const ipvlanFlags = ["bridge", "private", "vepa"] as const;
export type IpvlanFlag = (typeof ipvlanFlags)[number];

/** A network of mode macvlan. */
export interface MacvlanNetwork extends NetworkWithParent {
  readonly mode: "macvlan";
  readonly macvlanMode: MacvlanMode;
}

/** A network of mode ipvlan. */
export interface IpvlanNetwork extends NetworkWithParent {
  readonly mode: "ipvlan";
  readonly ipvlanMode: IpvlanMode;
  readonly ipvlanFlag: IpvlanFlag;
}

/** A network on a link of the host. */
export type LanNetwork = MacvlanNetwork | IpvlanNetwork;

export type Network = BridgeNetwork | OverlayNetwork | LanNetwork;

export const isLan = (network: Network): network is LanNetwork =>
  network.mode === "macvlan" || network.mode === "ipvlan";

/** A network that may have its gateways on this host. */
export type GatewayNetwork = BridgeNetwork | OverlayNetwork;

/** Whether this host has a link with the network's gateways; of an overlay, only if tsnet is to lead its containers out. */
export const hasGateway = (network: Network): network is GatewayNetwork =>
  network.mode === "bridge" || (network.mode === "overlay" && !network.internal && network.publish === "native");

/** Whether containers of the network have neighbors on its segment, whom they find by ARP and neighbor discovery. */
export const isLayer2 = (network: LanNetwork): boolean => network.mode === "macvlan" || network.ipvlanMode === "l2";

/**
 * A block of published ports: what reaches `hostAddress:hostPort + i` goes to the container's `containerPort + i`, for each i
 * below `count`.
 */
export interface PortMapping {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** "0.0.0.0" is all addresses of IPv4, "::" all of IPv6. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly containerPort: number;
  /** So many consecutive ports, at least 1. */
  readonly count: number;
}

/** A block of a container's ports that is open under the container's own address, where the gateway mode is "routed". */
export interface OpenPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly port: number;
  /** So many consecutive ports, at least 1. */
  readonly count: number;
}

/** A container's end of a network. */
export interface Endpoint {
  readonly id: string;
  readonly network: string;
  /** "172.18.0.2/16", at most one a family. */
  readonly addresses: readonly string[];
  /** The grants by which tsnet's own IPAM gave the addresses; empty if another did. */
  readonly leases: readonly string[];
  /** null: it has none of its own, but its parent's. */
  readonly mac: string | null;
  /** Path of the container's network namespace; null before Join and after Leave. */
  readonly sandbox: string | null;
  readonly ports: readonly PortMapping[];
  /** Known from Join on. */
  readonly openPorts: readonly OpenPort[];
}
