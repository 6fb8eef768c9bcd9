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
