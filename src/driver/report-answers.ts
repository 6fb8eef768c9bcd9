/** What the admin API answers: plain values that survive JSON, for programs. The command `tsnet` prints them. */
import type { IptablesProgram } from "../plan/op.ts";

export type PortProtocol = "tcp" | "udp" | "sctp";

/** A block of published ports, and what has come through it. */
export interface PublishedPort {
  readonly protocol: PortProtocol;
  /** "0.0.0.0" is all addresses of IPv4, "::" all of IPv6. */
  readonly hostAddress: string;
  readonly hostPort: number;
  /** So many consecutive ports, of the host and of the container in step. */
  readonly count: number;
  readonly containerAddress: string;
  readonly containerPort: number;
  /** Full IDs of Docker's. */
  readonly network: string;
  readonly endpoint: string;
  /** Who passes on what arrives. "both": the kernel, and the proxy for `[::1]`. */
  readonly servedBy: "kernel" | "proxy" | "both" | "nobody";
  /** New connections (of udp: flows) since the port is published. */
  readonly connections: number;
  /** Through the kernel, both directions, of the container's ports: two mappings to one container port share them. */
  readonly packets: number;
  /** As `packets`, and what the proxy has passed on besides. */
  readonly bytes: number;
}

/** GET /v1/ports */
export interface PortsAnswer {
  readonly ports: readonly PublishedPort[];
}

/** One of our chains that hangs on a hook of the kernel's. */
export interface HookedChain {
  readonly chain: string;
  readonly hook: string;
  /** As nft writes it: "dstnat - 5". */
  readonly priority: string;
}

/** The rule that accepts our mark in one program's FORWARD. */
export interface ForwardStatus {
  readonly program: IptablesProgram;
  readonly rule: "in place" | "missing" | "not needed";
  /** "the policy of FORWARD is DROP" */
  readonly why: string;
}

/** How often something was repaired since the start of the plugin. */
export interface RepairsOfKind {
  /** "firewall", "forward", "bridge", … */
  readonly kind: string;
  readonly count: number;
  /** ISO 8601. */
  readonly last: string;
}

/** GET /v1/firewall */
export interface FirewallAnswer {
  readonly table: {
    readonly name: string;
    readonly state: "in place" | "missing";
    readonly chains: readonly HookedChain[];
    /** Set or map → number of its elements in the kernel. */
    readonly elements: Readonly<Record<string, number>>;
  };
  /** "0x01000000" */
  readonly mark: string;
  readonly forward: readonly ForwardStatus[];
  readonly docker: {
    /** How Docker makes its rules. */
    readonly backend: string;
    /** Its bridges that are known: what leaves for them is left to Docker's rules. */
    readonly bridges: readonly string[];
  };
  readonly repairs: readonly RepairsOfKind[];
}

/** One thing that decides, in the order in which a packet meets it. */
export interface Step {
  /** "inet tsnet, map port4" */
  readonly at: string;
  readonly text: string;
  /** Rules of others that may decide otherwise, as iptables prints them. */
  readonly rules?: readonly string[];
}

/** What becomes of a new connection to one address. */
export interface Explanation {
  readonly to: string;
  readonly steps: readonly Step[];
  readonly verdict: {
    /**
     * "reaches" the container; "may reach" it, unless a rule of somebody else's that is listed in the steps drops it; "dropped";
     * "host": it goes to the host's own programs, whose rules (INPUT) decide, or to whom Docker's own rules translate it.
     */
    readonly result: "reaches" | "may reach" | "dropped" | "host";
    readonly why: string;
  };
}

/** GET /v1/firewall/explain */
export interface ExplainAnswer {
  readonly protocol: PortProtocol;
  readonly port: number;
  /** null: any address outside. */
  readonly from: string | null;
  /** One for each address that was asked for, or that the port is published on. */
  readonly answers: readonly Explanation[];
}
