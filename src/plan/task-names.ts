/**
 * The names under which Docker's name server has the tasks of services. Seen with 20.10 and 28.5: "tasks.SERVICE" is looked for in
 * the container's networks, one after the other, and the first that has it answers; "tasks.SERVICE.NETWORK" in that network
 * (ResolveName() in libnetwork/sandbox.go). Upper and lower case are the same in a service's name, and not in a network's.
 */

/** Whom swarm lets be a service or a network: at most 63 letters, digits, and between them "-" and "_". */
const label = /^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/i;

/**
 * The name to ask for.
 * @param network its name; null where it is not known
 * @returns null for a service that no name server can be asked for
 */
export function tasksName(service: string, network: string | null): string | null {
  if (!label.test(service)) return null;
  return network !== null && label.test(network) ? `tasks.${service}.${network}` : `tasks.${service}`;
}
