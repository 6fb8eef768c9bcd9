import type { FactsAnswering, FactsAsking } from "../plan/facts-message.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import type { NameAnswer, NameQuestions } from "../plan/name-questions.ts";
import type { TableName } from "../plan/nft-script.ts";
import type {
  Observed,
  ObservedAddress,
  ObservedCounters,
  ObservedFirewall,
  ObservedForward,
  ObservedLink,
  ObservedNamespace,
  ObservedPath,
  ObservedRoutes,
} from "../plan/observed.ts";
import type { Op, SetSysctl } from "../plan/op.ts";
import type { PathAnswer, PathProbes } from "../plan/path-probe.ts";

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

/** Addresses of which a segment is asked whether they are free. */
export interface AddressProbe {
  /** A link of the host's namespace, which is up: what it sends reaches the segment, and it listens. */
  readonly link: string;
  /** Another link that listens: the parent of an ipvlan link, which gets answers to a sender without an address. null for none. */
  readonly alsoOn: string | null;
  /** Without prefix length: "192.168.1.10", "fd00::10". */
  readonly addresses: readonly string[];
}

/** Who has an address. */
export interface AddressHolder {
  /** As it was asked for. */
  readonly address: string;
  /** "02:42:ac:12:00:02" */
  readonly mac: string;
}

/** Addresses that a segment is told of. */
export interface AddressAnnouncement {
  /** The file of the network namespace (SandboxKey of Join); it may not exist yet. */
  readonly sandbox: string;
  /** Of the link in it that has the addresses, or of the port of a bridge that leads to it. */
  readonly alias: string;
  /** As above. */
  readonly addresses: readonly string[];
  /** By which other link of the namespace it is told, and which MAC address has them; if left out, the link tells of itself. */
  readonly through?: { readonly link: string; readonly mac: string };
}

/** Who is asked by the short way: plan/direct.ts. */
export interface WayProbe {
  readonly namespace: string;
  /** The port of the bridge that leads to the host's namespace, and the MAC address behind it. */
  readonly port: string;
  readonly gatewayMac: string;
  /** An endpoint of this host. */
  readonly source: { readonly mac: string; readonly ip: string };
  /** Addresses of endpoints of other hosts, of the family of the source. */
  readonly targets: readonly string[];
  /** How long answers are waited for. */
  readonly waitMs: number;
}

/** Something in the kernel changed, and not by us. It only says "look again". */
export type KernelChange =
  /** A link that is ours, a bridge, or one that is followed appeared, changed or went. */
  | { readonly what: "link"; readonly removed: boolean; readonly link: ObservedLink }
  /** An address or a route of a bridge or a shim went, or a neighbor of a shim changed; or a link that is followed got or lost an address. */
  | { readonly what: "addresses" }
  /** Somebody else changed something in a network namespace of ours, which this is the name of. */
  | { readonly what: "namespace"; readonly name: string }
  /** The ways to hosts that are followed may be others. */
  | { readonly what: "paths" }
  /** Somebody else changed an nft table of ours, or it is gone. */
  | { readonly what: "firewall" }
  /** Somebody else changed a chain of iptables that decides whether our packets pass, or names Docker's bridges. */
  | { readonly what: "forward" }
  /** Events were lost: compare everything. `error` says why, if the kernel has not lost them itself. */
  | { readonly what: "everything"; readonly error?: string };

/** What the use cases need of the kernel. `kernel/` implements it; tests have one in memory. */
export interface Kernel {
  /**
   * Executes the operations in order and stops at the first that fails.
   * @throws TsnetError "kernel" or "conflict", whose message begins with the operation and its object, and which keeps the errno
   */
  apply(ops: readonly Op[]): Promise<void>;
  /**
   * Links and addresses of the host's namespace, and its unicast routes: those that go out by bridges, shims and gateways of overlay
   * networks, or all of them. There may be 100,000, which would keep the main thread for a tenth of a second: nothing that comes again and again may ask for all.
   */
  observe(routes?: ObservedRoutes): Promise<Observed>;
  /**
   * All that the host's namespace routes, in any table, or drops, and the subnets of its addresses. One text, as 100,000 objects
   * would keep the main thread for a tenth of a second; a line is "DESTINATION KIND TABLE LINK", and the link's name is empty where
   * there is none or several: "10.8.0.0/16 unicast 254 tun0", "10.9.0.0/16 blackhole 52 ", "192.0.2.7/24 address 0 eth0". The kinds
   * are unicast, local, blackhole, unreachable, prohibit and address, which may have host bits set.
   */
  observeRouted(): Promise<string>;
  /** The addresses of the host's namespace alone: a fraction of what `observe` costs. */
  observeAddresses(): Promise<readonly ObservedAddress[]>;
  /** One link by name. */
  observeLink(name: string): Promise<ObservedLink | undefined>;
  /** The way to another host; undefined where there is none. */
  observePath(address: string): Promise<ObservedPath | undefined>;
  /**
   * Sends probes, never in fragments whatever is known of the path, and waits for their answers.
   * @returns what came of each, in their order
   * @throws TsnetError "kernel" for want of descriptors, or of the namespace
   */
  probePaths(probes: PathProbes): Promise<readonly PathAnswer[]>;
  /**
   * From now on this is answered there, and nothing else; null ends it, which the namespace waits for when it is to go. Who asks for the
   * same again changes nothing.
   * @throws TsnetError "kernel" for want of descriptors, of the namespace or of the address; then nothing is answered
   */
  answerFacts(answering: FactsAnswering | null): Promise<void>;
  /**
   * Asks other hosts what they are.
   * @returns what each has told, in their order; null for who has not
   * @throws TsnetError "kernel" for want of descriptors, or of the namespace
   */
  askFacts(asking: FactsAsking): Promise<readonly (HostFacts | null)[]>;
  /**
   * Asks Docker's name server from within a container.
   * @returns what came of each question, in their order
   * @throws TsnetError "kernel", with errno ENOENT for a container that is gone, ECONNREFUSED where there is no such server
   */
  askNames(questions: NameQuestions): Promise<readonly NameAnswer[]>;
  /** Whether a VXLAN link of this host can have a VNI with this UDP port, from a tunnel address of this family. */
  isVniFree(question: { readonly vni: number; readonly port: number; readonly local: string }): Promise<boolean>;
  /** The names of the network namespaces that are ours. */
  observeNamespaces(): Promise<readonly string[]>;
  /** One of them; null for one that is gone. */
  observeNamespace(name: string): Promise<ObservedNamespace | null>;
  /**
   * Compares the forwarding entries and neighbors in a namespace with what it was told to have, and mends them.
   * @param isComplete whether it was told of all: then what it was not told of goes
   * @returns what was wrong, in words
   */
  repairEntries(name: string, isComplete: boolean): Promise<readonly string[]>;
  /** Sysctls of a namespace of ours, in their order; null for those that the kernel lacks, as all of a namespace that is gone. */
  observeSysctls(name: string, keys: readonly SetSysctl["key"][]): Promise<readonly (string | null)[]>;
  /**
   * Compares the table of virtual IPs in a namespace with what it was told to have, and mends it: plan/vip-table.ts.
   * @returns what was wrong, in words
   */
  repairTable(name: string): Promise<readonly string[]>;
  /**
   * Compares the tables and the routes of what goes the short way with what was asked for, and mends them: plan/direct.ts.
   * @param names of the namespaces
   * @param isComplete whether all was asked for that there is to be in the tables: then the rest goes
   * @param hasAllRoutes the same of the routes, if it is not the same
   * @returns what was wrong, in words
   */
  repairDirect(names: readonly string[], isComplete: boolean, hasAllRoutes?: boolean): Promise<readonly string[]>;
  /**
   * Asks endpoints of other hosts by echo requests that take the way of packets of containers of this host, if these went the short
   * way: routes are to be there before.
   * @returns those that have answered, by whichever way
   * @throws TsnetError "kernel" for want of descriptors, of the namespace or of the port
   */
  probeWays(probe: WayProbe): Promise<readonly string[]>;
  /**
   * From now on, "paths" is told when the ways to these hosts may be others, or somebody else has changed the routing table of
   * plan/direct.ts. The hosts given last count; with none, nothing is told.
   * @param hosts their tunnel addresses
   * @param links the names of those that the ways lead out by
   */
  followPaths(hosts: readonly string[], links: readonly string[]): Promise<void>;
  /** One of our nft tables; undefined if it does not exist. */
  observeFirewall(table: TableName): Promise<ObservedFirewall | undefined>;
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
   * The links that are ours in these network namespaces, in their order; null for a path that is none. Each costs a socket: ask
   * for many only where something is to be looked into.
   */
  observeSandboxLinks(paths: readonly string[]): Promise<readonly (readonly ObservedLink[] | null)[]>;
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
  /**
   * Who has one of these addresses already, or is about to take it: as soon as the first answers; nobody after 900 ms. Asks three
   * times, by ARP probes (RFC 5227) and the neighbor solicitations of duplicate address detection (RFC 4862), of which nobody
   * learns anything. The host's own addresses are not found.
   * @throws TsnetError "kernel" that names the addresses and the link, with errno ENODEV or ENXIO for a link that is not there,
   *   ENETDOWN for one that is not up or has no carrier, or that does not stay so; also when the kernel is closed meanwhile
   */
  probeAddresses(probe: AddressProbe): Promise<readonly AddressHolder[]>;
  /**
   * Tells a segment once which MAC address has these addresses, when the link is up in its sandbox and has a carrier: gratuitous ARP
   * (RFC 5227, 2.3), unsolicited neighbor advertisements (RFC 4861, 7.2.6).
   * @returns false if that is not so within 5 s, or the kernel is closed before
   * @throws TsnetError "kernel" that names the addresses and the link
   */
  announceAddresses(announcement: AddressAnnouncement): Promise<boolean>;
  /**
   * From now on, changes of the links with these names are told of as well, and "addresses" when one of them gets or loses one:
   * parents of networks, and what their VLANs are on. The names given last count.
   */
  follow(names: readonly string[]): Promise<void>;
  /** Calls back for each change that was not ours, until the kernel is closed. */
  watch(onChange: (change: KernelChange) => void): void;
}
