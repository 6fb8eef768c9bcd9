/** What the admin API answers about networks and endpoints: plain values that survive JSON, for programs. `tsnet` prints them. */
import type { IpvlanFlag, IpvlanMode, MacvlanMode, Network, Parent } from "../plan/network.ts";

/**
 * "missing", "down", "no carrier": what the containers' links are on, or what a VLAN is on, by `NetworkAnswer.at`.
 * "unfinished": it is being made, or was when the plugin ended, which takes it back when it starts.
 */
export type NetworkState = "up" | "missing" | "down" | "no carrier" | "removing" | "unfinished";

/** What is 802.1Q of a network's parent. */
export interface VlanAnswer {
  /** 1 to 4094. */
  readonly id: number;
  /** The link that the tagged frames pass, "eth0"; null where it is not known: a link of another name, which is not there. */
  readonly base: string | null;
}

/** The host's own link on the parent, by which it reaches the containers. */
export interface HostAccessAnswer {
  readonly link: string;
  readonly state: "up" | "missing" | "down" | "no carrier";
  /** The host's own addresses in the network, if it has some: "192.168.1.250". */
  readonly addresses: readonly string[];
}

/** What a network and an endpoint have in common. */
export interface Place {
  readonly mode: Network["mode"];
  /** The kernel's mode of the links: macvlan_mode, ipvlan_mode; null in mode bridge. */
  readonly linkMode: MacvlanMode | IpvlanMode | null;
  /** Of ipvlan: null elsewhere. */
  readonly ipvlanFlag: IpvlanFlag | null;
  /** The link of the host that the containers' links are on: the bridge, or the parent; of an overlay, the namespace of its bridge. */
  readonly parent: string;
  readonly vlan: VlanAnswer | null;
  /** Of an overlay: null elsewhere. */
  readonly vni: number | null;
}

/** A network. */
export interface NetworkAnswer extends Place {
  /** Full ID. */
  readonly id: string;
  /** Whose the parent is. "host": the host's own, used as it is; otherwise tsnet has made it, as what it says. */
  readonly parentKind: "bridge" | "namespace" | Exclude<Parent["kind"], "link"> | "host";
  readonly internal: boolean;
  /** What new links get; null where it is the parent's, and that is not there, and of an overlay before its first endpoint. */
  readonly mtuBytes: number | null;
  /** Whether the MTU was asked for: otherwise it follows the parent, or is the kernel's. */
  readonly mtuIsSet: boolean;
  readonly subnets: readonly SubnetAnswer[];
  /** Number of endpoints. */
  readonly endpoints: number;
  /** null: the host does not reach the containers so, as in mode bridge, where it does by the bridge. */
  readonly hostAccess: HostAccessAnswer | null;
  /** Whether the segment is asked before an address is given to a container; null in mode bridge. */
  readonly duplicateCheck: boolean | null;
  readonly state: NetworkState;
  /** Name of the link that `state` is about; null for "up", "removing" and "unfinished". */
  readonly at: string | null;
}

export interface SubnetAnswer {
  readonly family: 4 | 6;
  /** "192.168.1.0/24" */
  readonly subnet: string;
  /** The containers' default route; null for none. */
  readonly gateway: string | null;
}

/** A network of the swarm that this manager was asked for in vain: no node has it. */
export interface FailedNetworkAnswer {
  /** Full ID. */
  readonly id: string;
  /** null for a mode that there is not. */
  readonly mode: Network["mode"] | null;
  /** "10.5.0.0/24" */
  readonly subnets: readonly string[];
  /** Why, and what to do. */
  readonly error: string;
  /** Since when it fails so: ISO 8601. */
  readonly since: string;
}

/** GET /v1/networks */
export interface NetworksAnswer {
  readonly networks: readonly NetworkAnswer[];
  /** Of the swarm's, on its managers. */
  readonly failed: readonly FailedNetworkAnswer[];
}

/**
 * "waiting": in the host's namespace, for a container that Docker has not started yet, or has stopped.
 * "down": the link, or in mode bridge one of its two ends. "no carrier": the link is up, and its parent is down or has none.
 * "lost with its parent": the container lives and has the link no more. "gone": neither is there.
 */
export type LinkState = "up" | "waiting" | "down" | "no carrier" | "lost with its parent" | "gone" | "removing";

/** A container's end of a network. */
export interface EndpointAnswer extends Place {
  /** Full IDs. */
  readonly id: string;
  readonly network: string;
  /** null where it has the parent's, and that is not there. */
  readonly mac: string | null;
  /** In mode ipvlan, and in the macvlan mode passthru. */
  readonly macIsParents: boolean;
  /** "192.168.1.10/24", at most one a family. */
  readonly addresses: readonly string[];
  /** Path of the container's network namespace; null while it has none. */
  readonly sandbox: string | null;
  /** The link's name in the container; null while it is not there. */
  readonly link: string | null;
  /** What the link has; null while it is not in the container. */
  readonly mtuBytes: number | null;
  /** Name of the pair's other end, or of the link itself while it waits in the host's namespace; null for none. */
  readonly hostLink: string | null;
  readonly state: LinkState;
}

/** GET /v1/endpoints?network=ID */
export interface EndpointsAnswer {
  readonly endpoints: readonly EndpointAnswer[];
}
