import { isSwarmNetwork } from "../plan/gossip.ts";

/** The events of this node's Docker after which it may have something else to tell of the swarm's networks. */

/** Of networks, and of containers: who has started or ended, and is healthy or not any more, is one more task or one less. */
const filters = {
  type: ["container", "network"],
  event: ["connect", "disconnect", "create", "destroy", "start", "health_status", "kill", "die"],
};

/** Where they are followed. */
export const swarmEvents = `/events?filters=${encodeURIComponent(JSON.stringify(filters))}`;

/** A label of each container that is a task: labels() in daemon/cluster/executor/container/container.go of moby. */
const taskLabel = "com.docker.swarm.task.id";

/** The bridge network that Docker makes for each node of a swarm: its ID is like any bridge's. */
const gatewayNetwork = "docker_gwbridge";

export interface DockerEvent {
  readonly Type: string;
  readonly Action: string;
  /** The attributes are a network's name, or a container's labels, among others. */
  readonly Actor: { readonly ID: string; readonly Attributes?: Readonly<Record<string, string>> | null };
}

/** undefined for what is none: then anything may have happened. */
export function eventOf(line: string): DockerEvent | undefined {
  try {
    const event = JSON.parse(line) as Partial<DockerEvent> | null;
    return typeof event?.Actor?.ID === "string" ? (event as DockerEvent) : undefined;
  } catch {
    return undefined;
  }
}

/** A plain container comes and goes with its connection to a network; a task does when it is healthy, too, or is about to stop. */
export const isOfTask = ({ Type, Actor: { Attributes: attributes } }: DockerEvent): boolean =>
  Type === "container" && attributes?.[taskLabel] !== undefined;

/** Whether this host may have joined a swarm, or left it: it gets the ingress network then, if the swarm has one, and a gateway. */
export const hintsAtSwarm = ({ Type, Action, Actor: { ID: id, Attributes: attributes } }: DockerEvent): boolean =>
  Type === "network" &&
  (Action === "create" || Action === "destroy") &&
  (isSwarmNetwork({ id }) || attributes?.name === gatewayNetwork);
