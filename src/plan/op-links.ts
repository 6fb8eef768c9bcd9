/** Changes of links, and of what is on them: addresses, routes and neighbors. See op.ts. */
import type { IpvlanFlag, IpvlanMode, MacvlanMode } from "./network.ts";

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
