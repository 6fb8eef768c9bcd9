/** A port of this host that is held against everybody else (DESIGN.md, D14). */
export interface HostPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** The host address: "0.0.0.0" stands for all of IPv4, "::" for all of IPv6. */
  readonly address: string;
  readonly port: number;
}
