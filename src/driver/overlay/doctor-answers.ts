/** What `GET /v1/doctor` answers. */

/** How the way to another host is. */
export type PeerState =
  | "ok"
  /** Big packets of the networks do not pass. */
  | "small-mtu"
  /** ICMP passes through the tunnel, UDP does not, with checksums made by whomever. */
  | "damaged"
  /** The host says that nothing has the UDP port of VXLAN. */
  | "port-closed"
  /** The host answers, but not by VXLAN. */
  | "port-filtered"
  | "unreachable"
  | "no-route"
  /** Of another family than this host's tunnel address. */
  | "other-family"
  /** This host has no endpoint of an overlay network, so that there is no tunnel to probe. */
  | "idle";

/** What is known of the way to another host. */
export interface WayAnswer {
  /** Its tunnel address. */
  readonly address: string;
  readonly state: PeerState;
  /** Of the last probes, the median; null where none was answered. */
  readonly roundTripMs: number | null;
  /** Of the route, as the kernel knows it now; null where there is none. */
  readonly routeMtuBytes: number | null;
  /** The biggest packet that a network here sends to it and that has passed; null where none has. */
  readonly verifiedMtuBytes: number | null;
  /** From 0 to 1, of the last probes; null where there were none. */
  readonly loss: number | null;
  readonly probes: number;
  /** When it answered last, as ISO 8601; null if not since the plugin has started. */
  readonly lastSeen: string | null;
}

export interface PeerAnswer extends WayAnswer {
  /** Of tsnet there: "0.1.0"; null where nobody has told it, as an older tsnet does not. */
  readonly version: string | null;
}

/** What is wrong or worth to be known, and what to do. */
export interface DoctorFinding {
  readonly kind:
    | Exclude<PeerState, "ok" | "idle">
    | ("loss" | "checksums" | "address" | "underlay" | "probes")
    /** Of what is not the same on all hosts. */
    | ("settings" | "version")
    /** Of a swarm. */
    | ("swarm" | "swarm-port" | "plugin-missing" | "gossip" | "docker-socket" | "br-netfilter");
  /** The host's tunnel address; null if it is about this host, or several. */
  readonly peer: string | null;
  readonly text: string;
}

/** This node of a swarm. */
export interface SwarmAnswer {
  /** Where other nodes reach it. */
  readonly address: string;
  readonly role: "manager" | "worker";
  /** So many managers are known to it, and so many nodes, which only a manager is told: null elsewhere. */
  readonly managers: number;
  readonly nodes: number | null;
}

export interface DoctorAnswer {
  /** Of tsnet on this host: "0.1.0". */
  readonly version: string;
  /** This host's tunnel address; null where none could be found. */
  readonly address: string | null;
  /** UDP port of VXLAN. */
  readonly port: number | null;
  /** Overlay networks that have an endpoint here. */
  readonly networks: number;
  /** Whether checksums inside the tunnel are left to the network card; null where there is no tunnel. */
  readonly checksumOffload: boolean | null;
  /** null if this host is a node of none, or Docker does not say; left out where a swarm has no part in it. */
  readonly swarm?: SwarmAnswer | null;
  readonly peers: readonly PeerAnswer[];
  readonly findings: readonly DoctorFinding[];
  /** What is not wrong, but may be tomorrow. */
  readonly notes: readonly DoctorFinding[];
}
