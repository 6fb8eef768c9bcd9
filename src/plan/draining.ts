/**
 * Which tasks get no new connections any more. A task that is to stop is taken out of Docker's name server 2 s before it gets its signal,
 * on all nodes within the time of their gossip, and so is one that is not healthy any more; Docker's API goes on listing it until it has
 * ended. Seen with 20.10 and 28.5; moby, daemon/cluster/executor/container: controller.Shutdown(), defaultGossipConvergeDelay.
 */
import type { GossipTask } from "./gossip.ts";

/** A task that is listed is active; it is missing when it was looked up once and not found, and draining afterwards. */
export type TaskState = "active" | "missing" | "draining";

/** By endpoint: its address may be another task's next. */
export type TaskStates = ReadonlyMap<string, TaskState>;

/**
 * What is known of a service's tasks after an answer. On other nodes than its own, a new task may be listed an instant before the name
 * server has it: one that was never found there is draining only when it is not found a second time.
 * @param addresses that the name server has: all of them
 * @returns null if it has none of the tasks: then it was not asked for them, or knows nothing
 */
export function judgeTasks(
  before: TaskStates,
  tasks: readonly GossipTask[],
  addresses: ReadonlySet<string>,
): TaskStates | null {
  if (!tasks.some(({ ip }) => addresses.has(ip))) return null;
  return new Map(
    tasks.map(({ endpoint, ip }) => {
      if (addresses.has(ip)) return [endpoint, "active"];
      return [endpoint, before.has(endpoint) ? "draining" : "missing"];
    }),
  );
}

/** What stays known of the tasks that are still listed. */
export function keepTasks(before: TaskStates, tasks: readonly GossipTask[]): TaskStates {
  const listed = new Set(tasks.map(({ endpoint }) => endpoint));
  return new Map([...before].filter(([endpoint]) => listed.has(endpoint)));
}

/**
 * Whether new connections go to other tasks than the one with this address. Never to none: who has nowhere else to go goes there.
 * @param tasks of the service, as they are listed now
 */
export function isDraining(states: TaskStates, tasks: readonly GossipTask[], ip: string): boolean {
  const own = tasks.filter((task) => task.ip === ip);
  const drains = ({ endpoint }: GossipTask): boolean => states.get(endpoint) === "draining";
  return own.length > 0 && own.every(drains) && !tasks.every(drains);
}
