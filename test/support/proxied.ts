/** Both sides of a port that is passed on: servers of the container's side, clients of the other. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { HostPort } from "../../src/driver/kernel.ts";
import { HeldPorts, type PortLimits } from "../../src/kernel/ports/held-ports.ts";

export const mark = 0x01000000;

/** The port at which the servers below listen. */
export const targetPort = 7000;

export const limits: PortLimits = {
  ...{ connectTimeoutMs: 5000, idleMs: 90_000, maxConnections: 2000 },
  ...{ maxClients: 2000, maxClientsPerPort: 1000 },
};

/** A port that is passed on to targetPort of 127.0.0.1. */
export const passed = (values: Partial<HostPort> = {}): HostPort => ({
  ...{ protocol: "tcp", address: "127.0.0.1", port: 9500, count: 1, sources: [] },
  target: { address: "127.0.0.1", port: targetPort },
  ...values,
});

/** How many descriptors this process has. */
export const descriptors = (): number => readdirSync("/proc/self/fd").length;

/** A listening server, which goes with its connections. */
export class Target implements AsyncDisposable {
  readonly #server: Server;
  readonly sockets = new Set<Socket>();

  private constructor(onConnection: (socket: Socket) => void) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
      onConnection(socket);
    });
  }

  static async listen(onConnection: (socket: Socket) => void, address = "127.0.0.1"): Promise<Target> {
    const target = new Target(onConnection);
    target.#server.listen({ port: targetPort, host: address, backlog: 1000 });
    await once(target.#server, "listening");
    return target;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

const clients = new Set<Socket>();

/** A client that connects, and may be left open; its errors are for those who wait for them. */
export function dial(port = 9500, address = "127.0.0.1"): Socket {
  const socket = connect({ port, host: address, allowHalfOpen: true });
  socket.on("error", () => {});
  clients.add(socket);
  return socket;
}

/** The same, connected. */
export async function connected(port = 9500, address = "127.0.0.1"): Promise<Socket> {
  const socket = dial(port, address);
  await once(socket, "connect");
  return socket;
}

export function closeClients(): void {
  for (const client of clients) client.destroy();
  clients.clear();
}

/** How a connection ends: "end", or the errno. */
export async function endOf(socket: Socket): Promise<string> {
  const ended = Promise.withResolvers<string>();
  socket.on("end", () => ended.resolve("end"));
  socket.on("error", (error: NodeJS.ErrnoException) => ended.resolve(error.code ?? error.message));
  socket.on("close", () => ended.resolve("close"));
  return ended.promise;
}

/** Opens what a process opens once, and keeps: sockets of Node's own, and what waits in its pool. */
export async function warmUp(): Promise<void> {
  await using _ = await Target.listen((socket) => socket.end());
  const ports = new HeldPorts(mark, limits);
  ports.reserve([passed()]);
  await endOf((await connected()).resume());
  await ports.close();
  closeClients();
}

const ip = (words: string): unknown => execFileSync("ip", words.split(" "));

/** A neighbor in a namespace of its own, at .2 and ::2 of subnets of which this one has .1 and ::1. */
export function addNeighbor(): void {
  ip("netns add neighbor");
  ip("link add v-neighbor type veth peer name eth0 netns neighbor");
  ip("address add 10.97.0.1/24 dev v-neighbor");
  ip("address add fd00:97::1/64 dev v-neighbor nodad");
  ip("link set v-neighbor up");
  ip("-n neighbor address add 10.97.0.2/24 dev eth0");
  ip("-n neighbor address add fd00:97::2/64 dev eth0 nodad");
  ip("-n neighbor link set eth0 up");
  ip("-n neighbor link set lo up");
}

export function removeNeighbor(): void {
  ip("link del v-neighbor");
  ip("netns del neighbor");
}
