/** The tasks of services that a swarm's gossip has of a network, by MAC address. */
import { parseIp } from "../../net/cidr.ts";
import { macOf } from "../../net/mac.ts";
import type { GossipNetwork, GossipTask } from "../../plan/gossip.ts";

/** Who has an address: one, but for a moment in which it passes from one to the next. */
export interface AddressTasks {
  readonly ip: string;
  readonly endpoints: readonly string[];
}

/** All of a network, plain containers aside. */
export const tasksOf = ({ services }: GossipNetwork): GossipTask[] =>
  services.flatMap(({ name, tasks }) => (name === "" ? [] : tasks));

/**
 * A task's MAC address follows from its address, as nobody can give it another; that of a plain container is its user's to choose, so
 * that nothing can be said of it.
 */
export function tasksByMac(networkId: string, tasks: Iterable<GossipTask>): Map<string, AddressTasks> {
  const found = new Map<string, AddressTasks>();
  for (const { ip, endpoint } of tasks) {
    const mac = macOf(networkId, parseIp(ip));
    found.set(mac, { ip, endpoints: [...(found.get(mac)?.endpoints ?? []), endpoint] });
  }
  return found;
}
