/** As much of a swarm node's Docker as a view of its gossip asks. */
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";

/** A question that waits for its answer. */
interface Held {
  readonly path: string;
  readonly response: ServerResponse;
}

export class FakeSwarmDocker {
  readonly socketPath: string;
  node: object = { NodeAddr: "10.0.0.1", LocalNodeState: "active" };
  /** What is answered for networks, by ID: a text as it is. Others are not there. */
  readonly networks = new Map<string, object | string>();
  /** Paths whose questions wait. */
  holds: (path: string) => boolean = () => false;
  readonly held: Held[] = [];
  /** The paths that were asked for, without what comes after "?". */
  readonly asked: string[] = [];
  /** How many questions for one network were open at the same time, at most. */
  mostAtOnce = 0;
  #server: Server | undefined;
  readonly #streams = new Set<ServerResponse>();
  readonly #open = new Map<string, number>();

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** How often something was asked for. */
  countOf = (path: string): number => this.asked.filter((one) => one === path).length;

  /** Docker tells of something that happened. */
  tell(event: object | string): void {
    const line = typeof event === "string" ? event : JSON.stringify(event);
    for (const stream of this.#streams) stream.write(`${line}\n`);
  }

  get isFollowed(): boolean {
    return this.#streams.size > 0;
  }

  release(): void {
    this.holds = () => false;
    for (const { path, response } of this.held.splice(0)) this.#answer(path, response);
  }

  async listen(): Promise<void> {
    rmSync(this.socketPath, { force: true });
    this.#server = createServer((request, response) => {
      const [path = "", query = ""] = (request.url ?? "").split("?");
      if (path === "/events") {
        this.#streams.add(response);
        response.on("close", () => this.#streams.delete(response));
        response.flushHeaders();
        return;
      }
      if (path.startsWith("/networks/") && query !== "verbose=true") response.statusCode = 400;
      this.asked.push(path);
      const open = (this.#open.get(path) ?? 0) + 1;
      this.#open.set(path, open);
      this.mostAtOnce = Math.max(this.mostAtOnce, open);
      response.on("close", () => this.#open.set(path, (this.#open.get(path) ?? 1) - 1));
      if (this.holds(path)) this.held.push({ path, response });
      else this.#answer(path, response);
    });
    this.#server.listen(this.socketPath);
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#streams.clear();
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  }

  #answer(path: string, response: ServerResponse): void {
    const found = path === "/info" ? { Swarm: this.node } : this.networks.get(path.slice("/networks/".length));
    if (found === undefined) response.statusCode = 404;
    response.end(typeof found === "string" ? found : JSON.stringify(found ?? { message: "network not found" }));
  }
}

/** An answer for a network: its nodes, and the tasks of the service "web", by endpoint. */
export const networkAnswer = (peers: readonly string[], tasks: Readonly<Record<string, string>> = {}): object => ({
  Peers: peers.map((IP) => ({ Name: "x", IP })),
  Services: {
    web: {
      VIP: "10.5.0.2",
      Tasks: Object.entries(tasks).map(([EndpointID, EndpointIP]) => ({ Name: "web.1.x", EndpointID, EndpointIP })),
    },
  },
});
