/** What the kernel says is there, as values. All of it survives a structured clone. */
import type { IptablesProgram } from "./op.ts";

/** A link of the host's namespace. */
export interface ObservedLink {
  readonly index: number;
  readonly name: string;
  /** "bridge", "veth", …; "" for a link without a kind, such as a real NIC. */
  readonly kind: string;
  /** "" if there is none. */
  readonly alias: string;
  readonly mac: string;
  readonly mtuBytes: number;
  /** Administratively up (IFF_UP). */
  readonly up: boolean;
  /** Index of the bridge that it is a port of; 0 for none. */
  readonly master: number;
  readonly group: number;
  /** Has a carrier (IFF_LOWER_UP). */
  readonly carrier: boolean;
  /** Index of the link that it is on, such as the parent of a macvlan link; 0 for none, or one in another namespace. */
  readonly lower: number;
  /** Only of an 802.1Q link. */
  readonly vlanId?: number;
  readonly vxlan?: ObservedVxlan;
  /** Only of a bridge port: its hairpin flag. */
  readonly hairpin?: boolean;
  /** Only of a bridge: whether nf_call_iptables and nf_call_ip6tables are both on. */
  readonly nfCall?: boolean;
}

/** What makes a VXLAN link what it is. */
export interface ObservedVxlan {
  readonly vni: number;
  readonly port: number;
  /** The tunnel address; "" for none. */
  readonly local: string;
  readonly learning: boolean;
}

/** What a port of a bridge does by itself: see PortFlags. */
export interface ObservedPortFlags {
  readonly learning: boolean;
  readonly suppress: boolean;
  /** null where it holds for some kinds of frames only. */
  readonly flood: boolean | null;
}

/** A link in a network namespace of ours. */
export interface ObservedPort extends ObservedLink {
  /** null for what is no port of a bridge. */
  readonly flags: ObservedPortFlags | null;
  /** Only of a bridge: nf_call_iptables. */
  readonly filtersIpv4?: boolean;
}

/** An address of the host's namespace: "172.18.0.1/16" on the link with this index. */
export interface ObservedAddress {
  readonly link: number;
  readonly address: string;
}

/** A permanent neighbor of a shim of ours, in the host's namespace. */
export interface ObservedNeighbor {
  readonly link: number;
  /** "192.168.1.10" */
  readonly address: string;
  readonly mac: string;
}

/** A route of any table of the host's namespace, unicast, without the local table. */
export interface ObservedRoute {
  /** "172.18.0.0/16"; "0.0.0.0/0" and "::/0" for a default route. */
  readonly destination: string;
  /** Index of the output link; 0 where there is none or several. */
  readonly link: number;
  readonly table: number;
  /** RTPROT_…; 2 is the kernel. */
  readonly protocol: number;
  /** RTA_PREFSRC, "192.168.1.2"; "" for none. */
  readonly source: string;
}

/** How this host would send to another: what the routing says now. */
export interface ObservedPath {
  /** The source address. */
  readonly source: string;
  /** Name of the output link. */
  readonly link: string;
  /** Of the route, or of the link. */
  readonly mtuBytes: number;
  /** Next hop; "" for a neighbor on the link. */
  readonly gateway: string;
}

/** What is in a network namespace of ours, without forwarding entries. */
export interface ObservedNamespace {
  readonly links: readonly ObservedPort[];
  readonly addresses: readonly ObservedAddress[];
  readonly routes: readonly ObservedRoute[];
  /** Whether its file is there; without it the namespace ends with this process. */
  readonly isPinned: boolean;
}

/** Which routes are observed: those whose output link is a bridge, a shim of ours or the gateway of an overlay network, or all. */
export type ObservedRoutes = "of bridges and shims" | "all";

/** Everything that the reconciler compares with the records, but for the firewall. */
export interface Observed {
  readonly links: readonly ObservedLink[];
  readonly addresses: readonly ObservedAddress[];
  readonly routes: readonly ObservedRoute[];
  readonly neighbors: readonly ObservedNeighbor[];
}

/**
 * The content of the sets and maps of our table: set name → element key → data ("" for a set).
 * Keys and data are written as nft writes them: "tcp . 8080", "172.18.0.2 . 80", "172.18.0.0/16", "goto pass".
 */
export type Elements = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Our nft table as it is. */
export interface ObservedFirewall {
  /** The table without elements, handles and counters, as a text to compare with: chains, rules, set definitions. */
  readonly skeleton: string;
  readonly elements: Elements;
}

/**
 * `-S FORWARD` of each iptables program that has the chain, line by line: "-P FORWARD DROP", "-A FORWARD -j DOCKER-USER". Then
 * `-S` of the chains in which Docker names its bridges: "-A DOCKER-BRIDGE -o docker0 -j DOCKER".
 *
 * "docker-bridges": the names of the chains in the nft tables of that name, where Docker makes its rules without iptables.
 */
export type ObservedForward = Readonly<Partial<Record<IptablesProgram | "docker-bridges", readonly string[]>>>;

/** What has passed, since the element or the socket is there. */
export interface ObservedCounter {
  readonly packets: number;
  readonly bytes: number;
}

/** Counters of elements: set or map name → element key, as in Elements → count. Those without a counter are not in it. */
export type ElementCounters = Readonly<Record<string, Readonly<Record<string, ObservedCounter>>>>;

/** What a held port has passed on to a container by itself, without the kernel. */
export interface ProxiedPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly address: string;
  readonly port: number;
  readonly connections: number;
  readonly bytes: number;
}

/** Everything that is counted about published ports. */
export interface ObservedCounters {
  readonly elements: ElementCounters;
  /** Since the port is held. */
  readonly proxied: readonly ProxiedPort[];
}
