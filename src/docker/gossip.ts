/** What Docker's API tells of a swarm, as values. What is not understood is left out. */
import { z } from "zod";
import { isAddress } from "../net/cidr.ts";
import type { GossipNetwork, GossipService } from "../plan/gossip.ts";
import { parseSwarm } from "./swarm.ts";

const taskShape = z.object({ Name: z.string(), EndpointID: z.string(), EndpointIP: z.string() });

const serviceShape = z.object({ VIP: z.string().nullish(), Tasks: z.array(taskShape).nullish() });

const gossipShape = z.object({
  Peers: z.array(z.object({ IP: z.string() })).nullish(),
  Services: z.record(z.string(), serviceShape).nullish(),
});

/** This host, as a node of a swarm. */
export interface SwarmNode {
  readonly isSwarm: boolean;
  /** The address under which the others know it, "10.0.0.1"; null if Docker does not say. */
  readonly address: string | null;
}

/**
 * The answer to GET /networks/ID?verbose=true: always in the same order, where Docker's is another each time (Services() in
 * libnetwork/agent.go goes through a map of Go's).
 * @returns null if it tells nothing of the network's nodes: a manager answers for networks that it does not have, or has not yet
 * @throws Error if it is no such answer
 */
export function parseGossip(text: string): GossipNetwork | null {
  const { Peers, Services } = gossipShape.parse(JSON.parse(text));
  const peers = (Peers ?? []).map(({ IP }) => IP).filter(isAddress);
  if (peers.length === 0) return null;
  const services = Object.entries(Services ?? {}).map(([name, service]) => serviceOf(name, service));
  return { peers: [...new Set(peers)].toSorted(), services: services.toSorted(by(({ name }) => name)) };
}

/** Where there is no virtual IP, Docker writes "<nil>", or nothing. */
const serviceOf = (name: string, { VIP, Tasks }: z.infer<typeof serviceShape>): GossipService => ({
  name,
  vip: VIP && isAddress(VIP) ? VIP : null,
  tasks: (Tasks ?? [])
    .filter(({ EndpointIP }) => isAddress(EndpointIP))
    .map(({ Name, EndpointID, EndpointIP }) => ({ name: Name, endpoint: EndpointID, ip: EndpointIP }))
    .toSorted(by(({ endpoint }) => endpoint)),
});

const by =
  <T>(key: (value: T) => string) =>
  (one: T, other: T): number =>
    key(one) < key(other) ? -1 : 1;

/**
 * The answer to GET /info. A node that is starting, locked or in trouble is one of a swarm as well.
 * @throws Error if it is no such answer
 */
export function parseNode(text: string): SwarmNode {
  const swarm = parseSwarm(JSON.parse(text));
  return { isSwarm: swarm !== null, address: swarm && isAddress(swarm.address) ? swarm.address : null };
}
