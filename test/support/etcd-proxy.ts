/** Stands between our store and an etcd, and spoils what a test wants spoilt. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";

/**
 * "drop": the connection ends before etcd hears of the request. "lose": etcd does what it is asked for, and the answer never
 * comes: the connection ends.
 */
export type Fate = "pass" | "drop" | "lose";

export class EtcdProxy implements AsyncDisposable {
  /** Each request's path, and when it came, by performance.now(). */
  readonly requests: { readonly path: string; readonly atMs: number }[] = [];
  /** Decides on each request; may do something first. */
  decide: (path: string) => Fate | Promise<Fate> = () => "pass";
  readonly #server: Server;
  /** The etcd that requests go to from now on. */
  target: string;
  readonly #connections = new Set<Socket>();
  readonly #frozen = new WeakSet<Socket>();

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.target = target;
  }

  static async start(target: string): Promise<EtcdProxy> {
    const server = createServer();
    const proxy = new EtcdProxy(server, target);
    server.on("connection", (socket) => proxy.#connections.add(socket));
    server.on("request", (incoming, outgoing) => void proxy.#handle(incoming, outgoing));
    await once(server.listen(0, "127.0.0.1"), "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How often a path was asked for. */
  count = (path: string): number => this.requests.filter((one) => one.path === path).length;

  /** From now on, nothing that comes by the connections that there are is answered. New ones are as before. */
  freeze(): void {
    for (const socket of this.#connections) this.#frozen.add(socket);
  }

  /** Ends all connections. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.cut();
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const path = incoming.url ?? "";
    this.requests.push({ path, atMs: performance.now() });
    const body = await buffer(incoming);
    if (this.#frozen.has(incoming.socket)) return;
    const fate = await this.decide(path);
    if (fate === "drop") return void outgoing.destroy();
    const forwarded = request(`${this.target}${path}`, { method: "POST", headers: incoming.headers });
    forwarded.on("error", () => outgoing.destroy());
    outgoing.on("close", () => forwarded.destroy());
    forwarded.on("response", async (answer) => {
      if (fate === "lose") {
        await buffer(answer);
        return void outgoing.destroy();
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      outgoing.flushHeaders();
      answer.on("error", () => outgoing.destroy()).pipe(outgoing);
    });
    forwarded.end(body);
  }
}
