/** Docker's answers about its swarm, as values. */
import { z } from "zod";
import type { DockerNode, DockerSwarm } from "../plan/docker-swarm.ts";
import { get } from "./api.ts";

const infoShape = z.object({
  Swarm: z
    .object({
      NodeID: z.string().nullish(),
      NodeAddr: z.string().nullish(),
      LocalNodeState: z.string().nullish(),
      ControlAvailable: z.boolean().nullish(),
      Error: z.string().nullish(),
      RemoteManagers: z.array(z.object({ NodeID: z.string(), Addr: z.string() })).nullish(),
    })
    .nullish(),
});

const nodesShape = z.array(
  z.object({
    ID: z.string(),
    Description: z.object({
      Hostname: z.string(),
      Engine: z.object({ Plugins: z.array(z.object({ Type: z.string(), Name: z.string() })).nullish() }).nullish(),
    }),
    Status: z.object({ State: z.string(), Addr: z.string().nullish() }),
  }),
);

const servicesShape = z.array(
  z.object({
    Endpoint: z.object({ VirtualIPs: z.array(z.object({ Addr: z.string().nullish() })).nullish() }).nullish(),
  }),
);

const tasksShape = z.array(
  z.object({
    Status: z.object({ State: z.string() }),
    NetworksAttachments: z.array(z.object({ Addresses: z.array(z.string()).nullish() })).nullish(),
  }),
);

const pluginsShape = z.array(z.object({ Id: z.string(), Name: z.string() }));

/**
 * What Docker says of the swarm that this host is a node of; null if it is of none. Not for what answers Docker.
 * @throws Error if Docker cannot be asked
 */
export async function askSwarm(socketPath: string, signal: AbortSignal): Promise<DockerSwarm | null> {
  const swarm = parseSwarm(await get(socketPath, "/info", signal));
  if (!swarm?.isManager) return swarm;
  // without a leader, a manager does not know the others
  const nodes = await get(socketPath, "/nodes", signal).then(parseNodes, () => null);
  return { ...swarm, nodes };
}

/** Those of services, and of plain containers on networks of the swarm. */
const allTasks = `/tasks?filters=${encodeURIComponent(JSON.stringify({ runtime: ["container", "attachment"] }))}`;

/** States of tasks that have ended: their addresses are the swarm's again (swarmkit, api/types.proto: TaskState). */
const hasEnded = /^(complete|shutdown|failed|rejected|remove|orphaned)$/;

/**
 * The addresses that a swarm has given out, "10.5.0.2": those of services, and of tasks that have not ended. Not for what answers Docker.
 * @throws Error if Docker cannot be asked, or is no manager of a swarm that has a leader
 */
export async function askSwarmAddresses(socketPath: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const tasks = tasksShape.parse(await get(socketPath, allTasks, signal));
  const services = servicesShape.parse(await get(socketPath, "/services", signal));
  const alive = tasks.filter(({ Status }) => !hasEnded.test(Status.State));
  const ofTasks = alive.flatMap((task) => (task.NetworksAttachments ?? []).flatMap(({ Addresses }) => Addresses ?? []));
  const ofServices = services.flatMap(({ Endpoint }) => (Endpoint?.VirtualIPs ?? []).flatMap(({ Addr }) => Addr ?? []));
  return new Set([...ofTasks, ...ofServices].map((address) => address.replace(/\/\d+$/, "")));
}

/** Asks Docker about the swarm for this managed plugin. Not for what answers Docker. */
export class SwarmQuestions {
  readonly #socketPath: string | null;
  readonly #pluginId: string;
  readonly #end = new AbortController();

  /**
   * @param socketPath "/run/docker.sock"; null where Docker is not to be asked
   * @param pluginId 64 digits
   */
  constructor(socketPath: string | null, pluginId: string) {
    this.#socketPath = socketPath;
    this.#pluginId = pluginId;
  }

  /** As `askSwarm`; null as well where Docker is not to be asked. */
  async swarm(): Promise<DockerSwarm | null> {
    return this.#socketPath === null ? null : await askSwarm(this.#socketPath, this.#end.signal);
  }

  /** The plugin's full name, "tsnet-plugin:latest"; null where nobody says it. @throws Error if Docker cannot be asked */
  async pluginName(): Promise<string | null> {
    return this.#socketPath === null ? null : await askPluginName(this.#socketPath, this.#pluginId, this.#end.signal);
  }

  /** Ends what waits for an answer, too, with an error. */
  stop(): void {
    this.#end.abort();
  }
}

/** The full name of a managed plugin; null if Docker has none with that ID. @throws Error if Docker cannot be asked */
export async function askPluginName(socketPath: string, id: string, signal: AbortSignal): Promise<string | null> {
  const plugins = pluginsShape.parse(await get(socketPath, "/plugins", signal));
  return plugins.find((plugin) => plugin.Id === id)?.Name ?? null;
}

/**
 * The answer to GET /info, without nodes. A node that is starting, locked or in trouble is one of a swarm as well.
 * @returns null for a node of none
 * @throws Error if it is no such answer
 */
export function parseSwarm(answer: unknown): DockerSwarm | null {
  const { Swarm } = infoShape.parse(answer);
  const state = Swarm?.LocalNodeState ?? "";
  if (Swarm == null || ["", "inactive"].includes(state)) return null;
  return {
    nodeId: Swarm.NodeID ?? "",
    address: Swarm.NodeAddr ?? "",
    isManager: Swarm.ControlAvailable ?? false,
    ...{ state, error: Swarm.Error ?? "" },
    managers: (Swarm.RemoteManagers ?? []).flatMap(({ NodeID, Addr }) => {
      const [, address = "", port = ""] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(Addr) ?? [];
      return address === "" ? [] : [{ nodeId: NodeID, address, port: Number(port) }];
    }),
    nodes: null,
  };
}

/** The answer to GET /nodes. @throws Error if it is none */
export const parseNodes = (answer: unknown): DockerNode[] =>
  nodesShape.parse(answer).map(({ ID, Description, Status }) => ({
    ...{ id: ID, name: Description.Hostname, isReady: Status.State === "ready" },
    address: noAddress.test(Status.Addr ?? "") ? "" : (Status.Addr ?? ""),
    networkPlugins: (Description.Engine?.Plugins ?? []).flatMap(({ Type, Name }) => (Type === "Network" ? [Name] : [])),
  }));

/** A manager may see a node, itself above all, where no other does. */
const noAddress = /^(0\.0\.0\.0|127\..*|::1?)$/;
