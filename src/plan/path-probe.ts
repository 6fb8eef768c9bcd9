/** What the way to another host is tried with, and what comes of it. */

/** A packet that asks another host for an answer. */
export interface PathProbe {
  /** A datagram to a port where nobody listens, whose checksum is verified there; or an ICMP echo request. */
  readonly kind: "udp" | "echo";
  /** "192.168.77.2", "fd00::2". */
  readonly address: string;
  /** UDP port; echo has none. */
  readonly port: number;
  /** Of the whole IP packet. */
  readonly bytes: number;
}

/** Probes that are sent at once. */
export interface PathProbes {
  /** A network namespace of ours, by name; null for the host's. */
  readonly namespace: string | null;
  /** The sender's address; null leaves it to the routing. */
  readonly source: string | null;
  readonly probes: readonly PathProbe[];
  /** How long answers are waited for. */
  readonly waitMs: number;
}

/** What came of a probe. */
export interface PathAnswer {
  /** "answered" by the other host; "silent"; or the errno of what the kernel said: "EMSGSIZE" for too big, "EHOSTUNREACH", "EPERM". */
  readonly outcome: string;
  /** Until the answer. */
  readonly ms: number;
}
