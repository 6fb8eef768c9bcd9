/** What a plugin knows, before and after an upgrade. */
import { setTimeout as sleep } from "node:timers/promises";
import type { EndpointsAnswer, NetworksAnswer } from "../driver/report-link-answers.ts";
import { ask, askAdmin } from "./client.ts";
import { parseNames } from "./docker-names.ts";
import type { PluginApi } from "./plugin-api.ts";

/** IDs. */
export interface Known {
  readonly networks: ReadonlySet<string>;
  readonly endpoints: ReadonlySet<string>;
}

/** Where it is asked. */
export interface Sockets {
  readonly admin: string;
  /** Docker's; null where it cannot be told. */
  readonly plugin: string | null;
}

/** From its start on it may take so long until it answers, in which it may compile all of its modules. */
const silenceMs = 12_000;
const pauseMs = 50;
const callMs = 10_000;

/** "2 networks and 1 endpoint" */
export const knownText = ({ networks, endpoints }: Known): string =>
  `${count(networks.size, "network")} and ${count(endpoints.size, "endpoint")}`;

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;

/** @throws Error with what to do */
export async function known(admin: string): Promise<Known> {
  const { networks } = await askAdmin<NetworksAnswer>(admin, "/v1/networks");
  const { endpoints } = await askAdmin<EndpointsAnswer>(admin, "/v1/endpoints");
  return { networks: new Set(networks.map(({ id }) => id)), endpoints: new Set(endpoints.map(({ id }) => id)) };
}

/** Waits until it answers Docker and us. @throws Error with what it says instead, or that it says nothing */
export async function knownOnceStarted({ admin, plugin }: Sockets, patienceMs = silenceMs): Promise<Known> {
  const end = performance.now() + patienceMs;
  for (;;) {
    try {
      if (plugin !== null) await askAsDocker(plugin);
      return await known(admin);
    } catch (error) {
      if (!isSilence(error) || performance.now() > end) throw error;
      await sleep(pauseMs);
    }
  }
}

async function askAsDocker(socketPath: string): Promise<void> {
  const { body } = await ask({ socketPath }, "/NetworkDriver.GetCapabilities", callMs, "POST").catch((error) => {
    throw new Error(`${socketPath}: it does not answer Docker: ${error.message}`, { cause: error });
  });
  const { Err, Scope } = (body ?? {}) as { Err?: string; Scope?: string };
  if (Err !== undefined || Scope === undefined)
    throw new Error(Err ?? `${socketPath}: it answers Docker with no scope`);
}

/** dockerd starts a plugin that ends again, so that it may answer yet; what it has answered, it will answer again. */
function isSilence(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return ["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT"].includes(cause?.code ?? "");
}

/**
 * Of what the plugin knew, what it does not know any more, although Docker does: containers and networks may end meanwhile.
 * @returns "network web, the endpoint of container shop"; "" if nothing is missing
 */
export async function missing(before: Known, after: Known, api: PluginApi): Promise<string> {
  const { networks, containers } = parseNames(await api.containers(), await api.networks());
  const lost = [
    ...lostOf(before.networks, after.networks, networks, "network"),
    ...lostOf(before.endpoints, after.endpoints, containers, "the endpoint of container"),
  ];
  return lost.join(", ");
}

const lostOf = (
  before: ReadonlySet<string>,
  after: ReadonlySet<string>,
  names: ReadonlyMap<string, string>,
  what: string,
): string[] => [...before].filter((id) => !after.has(id) && names.has(id)).map((id) => `${what} ${names.get(id)}`);
