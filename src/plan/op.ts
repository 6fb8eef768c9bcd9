/**
 * The changes that tsnet makes to the kernel, as values. Each is idempotent: applied twice it has the effect of once.
 * Requests and the reconciler both produce lists of these; `kernel/apply.ts` executes them in order.
 */

import type {
  EnsureAddress,
  EnsureBridge,
  EnsureDummy,
  EnsureLanLink,
  EnsureNeighbor,
  EnsurePort,
  EnsureRoute,
  EnsureVeth,
  EnsureVlan,
  RemoveAddress,
  RemoveLinks,
  RemoveNeighbor,
  RemoveRoute,
  RestoreLanLink,
  SetLinkDown,
  SetSandboxMtu,
} from "./op-links.ts";
import type {
  ChangeDirect,
  EnsureInnerVeth,
  EnsureNamespace,
  EnsurePlaces,
  EnsureVxlan,
  KeepDirectRoutes,
  PutDirectRoutes,
  RemoveDirectRoutes,
  RemoveNamespace,
  RemovePlaces,
  SetBridgeFilter,
  SetFloodList,
  SetHairpin,
  SetTable,
  SetTxChecksum,
} from "./op-overlay.ts";

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

/** Operations on what is in a namespace of ours. */
export interface InNamespace {
  readonly op: "in-namespace";
  readonly namespace: string;
  readonly ops: readonly InnerOp[];
}

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
