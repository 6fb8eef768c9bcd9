import type {
  Observed,
  ObservedCounters,
  ObservedFirewall,
  ObservedForward,
  ObservedLink,
  ObservedRoutes,
} from "../plan/observed.ts";
import type { Op } from "../plan/op.ts";

/** A block of consecutive ports of this host that is held against everybody else (DESIGN.md, D14). */
export interface HostPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** The host address: "0.0.0.0" stands for all of IPv4, "::" for all of IPv6. */
  readonly address: string;
  /** The first port. */
  readonly port: number;
  /** So many ports, at least 1. */
  readonly count: number;
  /**
   * null where the kernel translates: the sockets carry the mark, and are never answered from. Otherwise what arrives at port + i is
   * passed on to this address, port + i. SCTP is never passed on.
   */
  readonly target: { readonly address: string; readonly port: number } | null;
  /** Subnets from which clients are passed on, besides this host itself; none for everybody. */
  readonly sources: readonly string[];
}

/** Something in the kernel changed, and not by us. It only says "look again". */
export type KernelChange =
  /** A link that is ours, or a bridge, appeared, changed or went. */
  | { readonly what: "link"; readonly removed: boolean; readonly link: ObservedLink }
  /** An address or a route of the kernel's went. */
  | { readonly what: "addresses" }
  /** Somebody else changed our nft table, or it is gone. */
  | { readonly what: "firewall" }
  /** Somebody else changed a chain of iptables that decides whether our packets pass, or names Docker's bridges. */
  | { readonly what: "forward" }
  /** Events were lost: compare everything. */
  | { readonly what: "everything" };

/** What the use cases need of the kernel. `kernel/` implements it; tests have one in memory. */
export interface Kernel {
  /**
   * Executes the operations in order and stops at the first that fails.
   * @throws TsnetError "kernel" or "conflict", whose message begins with the operation and its object, and which keeps the errno
   */
  apply(ops: readonly Op[]): Promise<void>;
  /**
   * Links and addresses of the host's namespace, and its unicast routes: those that go out by bridges, or all of them. There may be
   * 100,000, which would keep the main thread for a tenth of a second: nothing that comes again and again may ask for all.
   */
  observe(routes?: ObservedRoutes): Promise<Observed>;
  /**
   * All that the host's namespace routes, in any table, or drops, and the subnets of its addresses. One text, as 100,000 objects
   * would keep the main thread for a tenth of a second; a line is "DESTINATION KIND TABLE LINK", and the link's name is empty where
   * there is none or several: "10.8.0.0/16 unicast 254 tun0", "10.9.0.0/16 blackhole 52 ", "192.0.2.7/24 address 0 eth0". The kinds
   * are unicast, local, blackhole, unreachable, prohibit and address, which may have host bits set.
   */
  observeRouted(): Promise<string>;
  /** One link by name. */
  observeLink(name: string): Promise<ObservedLink | undefined>;
  /** Our nft table; undefined if it does not exist. */
  observeFirewall(): Promise<ObservedFirewall | undefined>;
  observeForward(): Promise<ObservedForward>;
  /** The host's range of ephemeral ports, both ends included: net.ipv4.ip_local_port_range. */
  observeEphemeralPorts(): Promise<{ readonly first: number; readonly last: number }>;
  /** What the host keeps out of that range, both ends included: net.ipv4.ip_local_reserved_ports. */
  observeReservedPorts(): Promise<readonly { readonly first: number; readonly last: number }[]>;
  /** What has passed through published ports; the elements of our nft table are none if it does not exist. */
  observeCounters(): Promise<ObservedCounters>;
  /** Which of these network namespace files exist (SandboxKey of Join). */
  observeSandboxes(paths: readonly string[]): Promise<readonly string[]>;
  /**
   * Holds all of these ports or none.
   * @throws TsnetError "conflict" whose message is the index of the block in `ports`, followed by the port in the way if the block
   *   has several ("0 8081"), with errno EALREADY if it is held already, or the kernel's EADDRINUSE, EADDRNOTAVAIL or EACCES;
   *   "kernel" for any other refusal, with errno EMFILE if this process may not open that many files
   */
  reservePorts(ports: readonly HostPort[]): Promise<void>;
  /**
   * Lets go of ports, by protocol, address, port and count; those that are not held are ignored. What is passed on through them ends
   * at once, and they are free when it resolves.
   */
  releasePorts(ports: readonly HostPort[]): Promise<void>;
  /** Deletes all links that `remove-links` has taken out of use, in one request. */
  flushRemovedLinks(): Promise<void>;
  /** Calls back for each change that was not ours, until the kernel is closed. */
  watch(onChange: (change: KernelChange) => void): void;
}
