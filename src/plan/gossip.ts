/**
 * What the nodes of a swarm tell each other of a network, as Docker's API on each of them has it: GET /networks/ID?verbose=true.
 * Texts are as Docker writes them.
 */
export interface GossipNetwork {
  /** The nodes that have the network, this one among them: "10.0.0.1". */
  readonly peers: readonly string[];
  readonly services: readonly GossipService[];
}

export interface GossipService {
  /** "" for the plain containers of an attachable network. */
  readonly name: string;
  /** Its virtual IP, "10.5.0.4"; null where it has none. */
  readonly vip: string | null;
  readonly tasks: readonly GossipTask[];
}

export interface GossipTask {
  /** "web.1.k3v…"; of a plain container, its name. */
  readonly name: string;
  readonly endpoint: string;
  /** "10.5.0.9" */
  readonly ip: string;
}

/** Whether a network is one of a swarm, by its ID: 25 characters (NewID() in swarmkit/identity). Others have 64. */
export const isSwarmNetwork = ({ id }: { readonly id: string }): boolean => id.length === 25;
