/**
 * The changes that tsnet makes to the kernel, as values. Each is idempotent: applied twice it has the effect of once.
 * Requests and the reconciler both produce lists of these; `kernel/apply.ts` executes them in order.
 */

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
  /** Whether bridged packets pass ip, ip6 and inet tables: `bridge` attributes nf_call_iptables, nf_call_ip6tables. */
  readonly nfCall: boolean;
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
  readonly source: string;
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

export type Op =
  | EnsureBridge
  | EnsureVeth
  | EnsurePort
  | EnsureAddress
  | RemoveAddress
  | EnsureRoute
  | RemoveLinks
  | SetSysctl
  | RunNft
  | ForgetFlows
  | InsertForwardRule
  | RemoveForwardRule;
