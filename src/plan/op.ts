/**
 * The changes that tsnet makes to the kernel, as values. Each is idempotent: applied twice it has the effect of once.
 * Requests and the reconciler both produce lists of these; `kernel/apply.ts` executes them in order.
 */

import type { IpvlanFlag, IpvlanMode, MacvlanMode } from "./network.ts";
import type { NftTable } from "./nft-script.ts";
import type { Elements } from "./observed.ts";
import type { Place } from "./places.ts";

/** A bridge link, up. Equivalent to: `ip link add NAME address MAC type bridge`, `ip link set NAME mtu N up alias …`. */
export interface EnsureBridge {
  readonly op: "ensure-bridge";
  readonly name: string;
  /** The alias that marks the link as ours; null for a bridge of the user's, which is used as it is and must exist. */
  readonly alias: string | null;
  /** "02:42:ac:12:00:01". Only for a bridge of our own. */
  readonly mac: string;
  /** null leaves the MTU alone. */
  readonly mtuBytes: number | null;
  /** Whether bridged packets pass ip, ip6 and inet tables: `bridge` attributes nf_call_iptables, nf_call_ip6tables. null leaves them alone. */
  readonly nfCall: boolean | null;
  /** Whether forwarding entries are for no VLAN, not for VLAN 1 as well: `vlan_default_pvid 0`. Only said of a bridge that is made. */
  readonly withoutVlans?: true;
}

/**
 * A veth pair: the host end is a port of a bridge and up, the container end waits in the host's namespace for dockerd.
 * Does nothing to a container end that has been moved away.
 */
export interface EnsureVeth {
  readonly op: "ensure-veth";
  readonly name: string;
  readonly peer: string;
  readonly alias: string;
  readonly peerAlias: string;
  readonly master: string;
  readonly mtuBytes: number | null;
  /** `bridge link set dev NAME hairpin on`: a container may reach itself through its own published port. */
  readonly hairpin: boolean;
}

/**
 * An 802.1Q link, up, without an IPv6 address of its own, with the MTU of its base. On a base that is down it is made all the same:
 * the kernel takes it up with its base. Equivalent to: `ip link add NAME link BASE type vlan id N`, `ip link set NAME up alias …`.
 */
export interface EnsureVlan {
  readonly op: "ensure-vlan";
  readonly name: string;
  readonly alias: string;
  /** The link that the tagged frames pass, which must exist. */
  readonly base: string;
  /** 1 to 4094. */
  readonly vlanId: number;
}

/** A link that leads nowhere, up, without an IPv6 address of its own. Equivalent to: `ip link add NAME type dummy`, `ip link set NAME up alias …`. */
export interface EnsureDummy {
  readonly op: "ensure-dummy";
  readonly name: string;
  readonly alias: string;
  readonly mtuBytes: number | null;
}

/** What a link on a parent is: ip-link(8), "type macvlan" and "type ipvlan". */
export type LanLinkKind =
  | { readonly kind: "macvlan"; readonly mode: MacvlanMode }
  | { readonly kind: "ipvlan"; readonly mode: IpvlanMode; readonly flag: IpvlanFlag };

/** A macvlan or ipvlan link that is to be there. */
export interface LanLink {
  readonly name: string;
  readonly alias: string;
  /** The parent, which must exist. */
  readonly parent: string;
  readonly link: LanLinkKind;
  /** null: the kernel's own choice, which is the parent's for ipvlan and for the macvlan mode passthru. */
  readonly mac: string | null;
  /** null: what the parent has. */
  readonly mtuBytes: number | null;
}

/**
 * A macvlan or ipvlan link in the host's namespace, without addresses of its own of any family. Does nothing if a link of this
 * name and alias is there on this parent. Equivalent to: `ip link add NAME link PARENT [address MAC] type macvlan mode MODE`.
 */
export interface EnsureLanLink extends LanLink {
  readonly op: "ensure-lan-link";
  /** Whether it is up: those that wait for dockerd are not, unless they probe. One that is up already is left so. */
  readonly up: boolean;
}

/** A link of ours goes down, which has probed and waits for dockerd. One that is gone is success. Equivalent to: `ip link set NAME down`. */
export interface SetLinkDown {
  readonly op: "set-link-down";
  readonly name: string;
  readonly alias: string;
}

/**
 * A link that its container lost with its parent, made anew in the container as dockerd had made it: moved there, named, with
 * addresses and routes, up. Does nothing where a link with this alias is in the sandbox already.
 */
export interface RestoreLanLink extends LanLink {
  readonly op: "restore-lan-link";
  /** Path of the container's network namespace. */
  readonly sandbox: string;
  /** Its name there, less the number: the lowest that is free is taken. */
  readonly interfacePrefix: string;
  /** The name that it had there, if that is known: it gets it if it is free. */
  readonly interfaceName?: string;
  /** "192.168.1.10/24", at most one a family. */
  readonly addresses: readonly string[];
  /** Default routes, at most one a family; only where the container has no other. */
  readonly gateways: readonly string[];
  /** Destinations without a gateway; "0.0.0.0/0" and "::/0" only where the container has no other default route. */
  readonly onLink: readonly string[];
}

/** The MTU of the link with this alias in a sandbox; a link or a sandbox that is gone is success. */
export interface SetSandboxMtu {
  readonly op: "set-sandbox-mtu";
  readonly sandbox: string;
  readonly alias: string;
  readonly mtuBytes: number;
}

/** An existing host end is a port of the bridge again, and up. Equivalent to: `ip link set NAME master BRIDGE up`. */
export interface EnsurePort {
  readonly op: "ensure-port";
  readonly name: string;
  readonly master: string;
  readonly hairpin: boolean;
}

/** Equivalent to: `ip addr replace ADDRESS dev LINK` (IPv6 with `nodad`). */
export interface EnsureAddress {
  readonly op: "ensure-address";
  readonly link: string;
  /** "172.18.0.1/16". */
  readonly address: string;
  /** "host": nothing that is sent has it as its source. */
  readonly scope?: "host";
}

/** Equivalent to: `ip addr del ADDRESS dev LINK`; an address or a link that is gone is success. */
export interface RemoveAddress {
  readonly op: "remove-address";
  readonly link: string;
  readonly address: string;
}

/** Equivalent to: `ip route replace DESTINATION dev LINK proto kernel scope link src SOURCE`. */
export interface EnsureRoute {
  readonly op: "ensure-route";
  readonly link: string;
  readonly destination: string;
  /** null leaves the choice to the kernel. */
  readonly source: string | null;
}

/** Equivalent to: `ip route del DESTINATION dev LINK`; a route or a link that is gone is success. */
export interface RemoveRoute {
  readonly op: "remove-route";
  readonly link: string;
  readonly destination: string;
}

/** Equivalent to: `ip neigh replace ADDRESS lladdr MAC dev LINK nud permanent`. */
export interface EnsureNeighbor {
  readonly op: "ensure-neighbor";
  readonly link: string;
  readonly address: string;
  readonly mac: string;
}

/** Equivalent to: `ip neigh del ADDRESS dev LINK`; one that is gone, or a link that is, is success. */
export interface RemoveNeighbor {
  readonly op: "remove-neighbor";
  readonly link: string;
  readonly address: string;
}

/**
 * Takes links out of use at once and leaves their deletion to the next flush of the group (recipes G): down, no master,
 * renamed, moved to the group of what waits for deletion. A link that is gone is success; so is one with another alias: ours is
 * gone, and that one is left alone.
 */
export interface RemoveLinks {
  readonly op: "remove-links";
  readonly links: readonly { readonly name: string; readonly alias: string }[];
}

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

/** Operations on what is in a namespace of ours. */
export interface InNamespace {
  readonly op: "in-namespace";
  readonly namespace: string;
  readonly ops: readonly InnerOp[];
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

/** Writes a sysctl if it differs. The key is a path below /proc/sys, in parts, since link names may contain dots. */
export interface SetSysctl {
  readonly op: "set-sysctl";
  readonly key: readonly string[];
  readonly value: string;
  /** Whether a kernel without this sysctl is fine. */
  readonly optional: boolean;
}

/** One nft transaction, in nft's own language. */
export interface RunNft {
  readonly op: "run-nft";
  readonly script: string;
}

/**
 * Makes the kernel forget UDP flows: those to one of these ports, of the host or of others, but for flows that the host only
 * masquerades; and those whose destination was translated to one of these addresses. The next packet of each is translated by
 * the rules as they are now. Only the families of the addresses are looked at. See kernel/conntrack.ts.
 */
export interface ForgetFlows {
  readonly op: "forget-flows";
  readonly protocol: "udp";
  readonly hostPorts: readonly number[];
  /** Of a container, without prefix length: "172.18.0.2". */
  readonly addresses: readonly string[];
}

/** A virtual IP, and the addresses to which flows to it may go on being translated. */
export interface VirtualTargets {
  readonly vip: string;
  readonly targets: readonly string[];
}

/**
 * Makes a namespace of ours forget UDP flows to virtual IPs that go elsewhere than to one of their targets, and connections of TCP that
 * were not answered there: the next packet of each is translated by the rules as they are now. A namespace that is gone is success.
 */
export interface ForgetVirtualFlows {
  readonly op: "forget-virtual-flows";
  readonly namespace: string;
  readonly virtual: readonly VirtualTargets[];
}

/** iptables' two back ends, for both families, by the names of their programs. */
export type IptablesProgram = "iptables-nft" | "iptables-legacy" | "ip6tables-nft" | "ip6tables-legacy";

/** The one rule in FORWARD that accepts our mark. Equivalent to: `iptables -I FORWARD POSITION -m mark …`. */
export interface InsertForwardRule {
  readonly op: "insert-forward-rule";
  readonly program: IptablesProgram;
  /** From 1. */
  readonly position: number;
  /** The mark bit, as in 0x01000000. */
  readonly mark: number;
}

/** Removes that rule, once; if it is not there, that is success. */
export interface RemoveForwardRule {
  readonly op: "remove-forward-rule";
  readonly program: IptablesProgram;
  readonly mark: number;
}

/** What can be done in a namespace of ours. */
export type InnerOp =
  | EnsureBridge
  | EnsureAddress
  | RemoveAddress
  | EnsureRoute
  | RemoveRoute
  | RemoveLinks
  | SetSysctl
  | SetTxChecksum
  | SetHairpin
  | SetBridgeFilter
  | SetTable
  | EnsurePlaces
  | RemovePlaces
  | SetFloodList
  | ChangeDirect;

export type Op =
  | EnsureNamespace
  | RemoveNamespace
  | InNamespace
  | EnsureVxlan
  | EnsureInnerVeth
  | PutDirectRoutes
  | RemoveDirectRoutes
  | KeepDirectRoutes
  | EnsureBridge
  | EnsureVeth
  | EnsureVlan
  | EnsureDummy
  | EnsureLanLink
  | SetLinkDown
  | RestoreLanLink
  | SetSandboxMtu
  | EnsurePort
  | EnsureAddress
  | RemoveAddress
  | EnsureRoute
  | RemoveRoute
  | EnsureNeighbor
  | RemoveNeighbor
  | RemoveLinks
  | SetSysctl
  | RunNft
  | ForgetFlows
  | ForgetVirtualFlows
  | InsertForwardRule
  | RemoveForwardRule;
