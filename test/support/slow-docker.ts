/** A socket on a host that leads to its Docker, and that can be made slow, or silent. */
import { once } from "node:events";
import { rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Host } from "./host.ts";

/** Where it is on the host, and what the managed plugin there is told of it. */
const pathInside = "/run/slow-docker.sock";
export const slowDockerSetting = { TSNET_DOCKER_SOCKET: `/host${pathInside}` };

export class SlowDocker implements AsyncDisposable {
  /** Before each part of an answer. */
  delayMs = 0;
  #silence = Promise.withResolvers<void>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #path: string;

  private constructor({ socket, path }: Host) {
    this.#path = path(pathInside);
    this.#server = createServer((client) => this.#pass(client, connect(socket)));
    this.speak();
  }

  static async listen(host: Host): Promise<SlowDocker> {
    const docker = new SlowDocker(host);
    docker.#server.listen(docker.#path);
    await once(docker.#server, "listening");
    return docker;
  }

  /** Takes what it is asked from now on, and passes no answer on. */
  fallSilent(): void {
    this.#silence = Promise.withResolvers();
  }

  /** Passes on what waits, and what comes. */
  speak(): void {
    this.#silence.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#path, { force: true });
  }

  #pass(client: Socket, docker: Socket): void {
    for (const socket of [client, docker]) {
      this.#sockets.add(socket);
      socket.on("error", () => {}); // it is closed next
      socket.on("close", () => this.#sockets.delete(socket));
    }
    let passed = Promise.resolve();
    const inTurn = (act: () => unknown): void => {
      passed = passed.then(async () => {
        await this.#silence.promise;
        if (this.delayMs > 0) await sleep(this.delayMs);
        act();
      });
    };
    client.on("data", (data) => docker.write(data));
    client.on("close", () => docker.destroy());
    docker.on("data", (data) => inTurn(() => client.write(data)));
    docker.on("close", () => inTurn(() => client.end()));
  }
}
