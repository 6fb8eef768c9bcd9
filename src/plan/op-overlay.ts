/** Changes in namespaces of ours, in which overlay networks are, and what leads past their tunnels. See op.ts. */
import type { NftTable } from "./nft-script.ts";
import type { Elements } from "./observed.ts";
import type { Place } from "./places.ts";

/**
 * A network namespace of ours, pinned by a file that `ip netns` lists, so that it outlives this process. Its links have no IPv6
 * addresses, and pass no bridged packet to a firewall. Equivalent to: `ip netns add NAME`.
 */
export interface EnsureNamespace {
  readonly op: "ensure-namespace";
  /** "tsnet-4f2a0000000" */
  readonly name: string;
}

/** With all links in it; one that is gone is success. Equivalent to: `ip netns delete NAME`. */
export interface RemoveNamespace {
  readonly op: "remove-namespace";
  readonly name: string;
}

/**
 * A VXLAN link in a namespace of ours, up, a port of the bridge there; its UDP socket is the host's. Equivalent to: `ip link add
 * NAME netns NAMESPACE type vxlan id VNI dstport PORT local LOCAL nolearning df set`.
 */
export interface EnsureVxlan {
  readonly op: "ensure-vxlan";
  readonly namespace: string;
  readonly name: string;
  readonly alias: string;
  readonly master: string;
  readonly vni: number;
  /** UDP port, of this host and of the others. */
  readonly port: number;
  /** This host's tunnel address. */
  readonly local: string;
  readonly mtuBytes: number;
  readonly flags: PortFlags;
  /** As SetTxChecksum, off; if it is not given, it is left alone. */
  readonly withoutTxChecksum?: true;
}

/** What a port of the bridge does by itself: `bridge link set dev PORT …`. */
export interface PortFlags {
  /** Whether it learns who is behind it from frames that come in; of a VXLAN link, also behind which host. */
  readonly learning: boolean;
  /** Whether what is known is not asked for through it, but answered (neigh_suppress). */
  readonly suppress: boolean;
  /** Whether broadcast, multicast and frames to unknown addresses leave by it. */
  readonly flood: boolean;
}

/**
 * A veth pair between a namespace of ours and the host's: the end in the namespace is a port of the bridge there and up, the other
 * waits in the host's namespace. Does nothing to an end that dockerd has moved away.
 */
export interface EnsureInnerVeth {
  readonly op: "ensure-inner-veth";
  readonly namespace: string;
  readonly name: string;
  readonly alias: string;
  readonly master: string;
  readonly flags: PortFlags;
  readonly peer: string;
  readonly peerAlias: string;
  readonly mtuBytes: number;
  /** Of a host's end that stays: its MAC address, and that it is up. null for an end that dockerd takes. */
  readonly peerMac: string | null;
}

/** The bridge knows these places from now on, and each mac and ip in no other: see places.ts. */
export interface EnsurePlaces {
  readonly op: "ensure-places";
  readonly bridge: string;
  readonly vxlan: string;
  readonly places: readonly Place[];
}

/** The bridge forgets these places; those that it does not know are ignored. */
export interface RemovePlaces {
  readonly op: "remove-places";
  readonly macs: readonly string[];
}

/** Broadcast, multicast and frames to unknown addresses go to these hosts, and to no others. */
export interface SetFloodList {
  readonly op: "set-flood-list";
  readonly bridge: string;
  readonly vxlan: string;
  readonly vteps: readonly string[];
}

/** Whether checksums inside are left to whoever sends the packet at last, a network card. Equivalent to: `ethtool -K NAME tx on|off`. */
export interface SetTxChecksum {
  readonly op: "set-tx-checksum";
  readonly name: string;
  readonly on: boolean;
}

/**
 * Changes the elements of a table in a namespace of ours, which is made with the first that goes the short way and goes with the last:
 * plan/direct.ts. What is asked for is compared with the kernel's by Kernel.repairEntries.
 */
export interface ChangeDirect {
  readonly op: "change-direct";
  readonly table: NftTable;
  readonly remove: Elements;
  readonly add: Elements;
}

/**
 * A table in a namespace of ours with exactly these elements, in one transaction; what is in it already stays untouched. Without any
 * element there is no table. What was asked for is compared with the kernel's by Kernel.repairTable.
 */
export interface SetTable {
  readonly op: "set-table";
  readonly table: NftTable;
  readonly elements: Elements;
}

/** Whether a port sends frames back that came by it. One that is gone is success. Equivalent to: `bridge link set dev NAME hairpin on|off`. */
export interface SetHairpin {
  readonly op: "set-hairpin";
  readonly name: string;
  readonly on: boolean;
}

/** Whether a bridge in a namespace of ours shows bridged packets of IPv4 to ip tables. Equivalent to: `ip link set NAME type bridge nf_call_iptables 1|0`. */
export interface SetBridgeFilter {
  readonly op: "set-bridge-filter";
  readonly name: string;
  readonly on: boolean;
}

/** A route to an endpoint of another host, in the routing table of plan/direct.ts. */
export interface DirectRoute {
  /** "10.5.0.9", "fd00:5::9": one address. */
  readonly destination: string;
  /** Next hop: a neighbor on the link. */
  readonly via: string;
  readonly link: string;
}

/**
 * Equivalent to: `ip rule add iif FROM lookup TABLE`, `ip route replace DESTINATION via VIA dev LINK table TABLE`. A route that cannot be
 * put keeps no other from it, and is not there afterwards; those are named at the end, by one error.
 */
export interface PutDirectRoutes {
  readonly op: "put-direct-routes";
  /** The link that has a network's gateways: what comes by it is led by the table. */
  readonly from: string;
  readonly routes: readonly DirectRoute[];
}

/** Those that are gone are success; so goes the rule with the last of its routes. */
export interface RemoveDirectRoutes {
  readonly op: "remove-direct-routes";
  readonly destinations: readonly string[];
}

/** Removes what the routing table of plan/direct.ts, and the rules that lead to it, have of other networks than these. */
export interface KeepDirectRoutes {
  readonly op: "keep-direct-routes";
  /** Those that have the networks' gateways. */
  readonly links: readonly string[];
  /** "10.5.0.0/24" */
  readonly subnets: readonly string[];
}
