/** `tsnet services`: asks the plugin and Docker, and prints. */
import type { ServiceAnswer, ServicesAnswer, TaskAnswer } from "../driver/report-service-answers.ts";
import type { ServicesCommand } from "./arguments.ts";
import { askAdmin } from "./client.ts";
import { dockerNames, type Names } from "./docker-names.ts";
import { compare, formatTable, printable, toJson } from "./table.ts";

/** So many services are named to somebody who asks for one that there is not. */
const namedInErrors = 10;

/** A service with the name that Docker has for its network; null where Docker was not asked or does not know. */
export interface NamedService extends ServiceAnswer {
  readonly networkName: string | null;
}

/** @returns what to print. @throws Error with what to do */
export async function servicesText(
  { socket, json, service }: ServicesCommand,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const [answer, names] = await Promise.all([askAdmin<ServicesAnswer>(socket, "/v1/services"), dockerNames(env)]);
  const all = namedServices(answer.services, names);
  const services = service === null ? all : findService(service, all);
  if (json) return toJson({ services });
  return service === null ? formatServices(services) : services.map(formatTasks).join("\n");
}

/** Sorted by network and service, and their tasks by name. */
export const namedServices = (services: readonly ServiceAnswer[], names: Names): NamedService[] =>
  services
    .map((service) => ({
      ...service,
      networkName: names.networks.get(service.network) ?? null,
      tasks: service.tasks.toSorted((a, b) => compare(a.name, b.name) || compare(a.address, b.address)),
    }))
    .toSorted((a, b) => compare(networkOf(a), networkOf(b)) || compare(a.name, b.name));

/** The network's name, or the beginning of its ID. */
const networkOf = ({ network, networkName }: NamedService): string => networkName ?? network.slice(0, 12);

export const formatServices = (services: readonly NamedService[]): string =>
  formatTable(
    ["NETWORK", "SERVICE", "VIRTUAL IP", "TASKS", "CONNECTIONS"],
    services.map((service) => [
      networkOf(service),
      service.name,
      service.vip ?? "-",
      `${service.tasks.filter(isActive).length}/${service.tasks.length}`,
      `${service.connections ?? "-"}`,
    ]),
  );

const isActive = ({ state }: TaskAnswer): boolean => state === "active";

export function formatTasks(service: NamedService): string {
  const title = `Service ${service.name} on network ${networkOf(service)}, virtual IP ${service.vip ?? "none"}`;
  const rows = service.tasks.map(({ name, address, isHere, state, connections }) => [
    ...[name, address, isHere ? "this one" : "another"],
    ...[state, `${connections ?? "-"}`],
  ]);
  return `${printable(title)}\n\n${formatTable(["TASK", "ADDRESS", "NODE", "STATE", "CONNECTIONS"], rows)}`;
}

/**
 * A service, on each of its networks.
 * @throws Error that names the services that there are
 */
function findService(wanted: string, services: readonly NamedService[]): NamedService[] {
  const found = services.filter(({ name }) => name === wanted);
  if (found.length > 0) return found;
  const known = [...new Set(services.map(({ name }) => name))];
  const more = known.length > namedInErrors ? `, and ${known.length - namedInErrors} more` : "";
  const listed = `there are ${known.slice(0, namedInErrors).join(", ")}${more}`;
  const what = "this node serves no such service: it has none of its networks, or is not told of it";
  throw new Error(`${wanted}: ${what}; ${known.length === 0 ? "there is no service yet" : listed}`);
}
