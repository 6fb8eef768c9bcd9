/** What Docker on a node says of its swarm: GET /info, and on a manager GET /nodes. */
export interface DockerSwarm {
  readonly nodeId: string;
  /** Where the other nodes reach this one: "10.0.0.1". */
  readonly address: string;
  readonly isManager: boolean;
  /** "active"; or "pending", "locked", "error". */
  readonly state: string;
  /** What Docker says of it; "" for nothing. */
  readonly error: string;
  /** Those that this node knows, itself among them if it is one. */
  readonly managers: readonly { readonly nodeId: string; readonly address: string; readonly port: number }[];
  /** All nodes; null where nobody says: on a worker, and on a manager without a leader. */
  readonly nodes: readonly DockerNode[] | null;
}

export interface DockerNode {
  readonly id: string;
  /** The host's. */
  readonly name: string;
  /** "" where the manager does not know it. */
  readonly address: string;
  /** Whether the managers hear of it. */
  readonly isReady: boolean;
  /** Enabled plugins for networks, managed ones by their full name: "tsnet-plugin:latest". */
  readonly networkPlugins: readonly string[];
}

/** What a host is in a swarm: none, if it is in no swarm; and a manager as long as there is a leader. */
export type SwarmRole = "none" | "worker" | "manager";
