/** A unix socket of the plugin. It is there before what answers on it: dockerd looks for it half a second after the start. */
import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import type { Server as HttpServer, ServerResponse } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { TsnetError } from "../errors.ts";
import { hostPath } from "../net/host-path.ts";

/** A connection on which nothing has come for so long while all is answered is one that nothing comes on. */
const quietMs = 1000;

/** Longer than any call is under way, but for one whose caller neither sends nor reads. */
const longestMs = 12_000;

/** Where the plugin can be reached from now on; who calls waits until somebody serves. */
export class PluginSocket {
  readonly path: string;
  readonly #server: Server;
  /** Each connection, and how many of its calls are under way; null until the first. */
  readonly #connections = new Map<Socket, number | null>();
  #serving: HttpServer | undefined;

  private constructor(path: string) {
    this.path = path;
    this.#server = createServer({ pauseOnConnect: true }, (connection) => {
      this.#connections.set(connection, null);
      connection.on("error", () => {}); // of a caller who does not wait
      connection.on("close", () => this.#connections.delete(connection));
      if (this.#serving) this.#hand(connection, this.#serving);
    });
  }

  /**
   * Listens on a unix socket, for its owner only. A stale socket is replaced; directories that are missing are made, for their
   * owner only.
   * @param setting the environment variable that names the path
   * @throws TsnetError "conflict" if somebody answers on it
   */
  static async open(path: string, setting: string): Promise<PluginSocket> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await removeStale(path, setting);
    const opened = new PluginSocket(path);
    await new Promise<void>((resolve, reject) => opened.#server.once("error", reject).listen(path, resolve));
    await chmod(path, 0o600);
    return opened;
  }

  /** Whether somebody serves. */
  get isServed(): boolean {
    return this.#serving !== undefined;
  }

  /** Hands everybody who has called, and who will call, to `server`, which listens nowhere itself; once. */
  serve(server: HttpServer): void {
    this.#serving = server;
    // dockerd keeps connections for later; one that we close just as it calls costs it a second, and its retry has no body.
    server.keepAliveTimeout = 0;
    server.on("request", ({ socket }: { socket: Socket }, response: ServerResponse) => this.#count(socket, response));
    for (const connection of this.#connections.keys()) this.#hand(connection, server);
  }

  /**
   * Stops listening, and waits until the requests that are under way are answered: dockerd would repeat them without a body. It may
   * have opened a connection in advance, and send its first request only now.
   */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const startedAt = performance.now();
    let lastCallAt = startedAt;
    const close = (): void => {
      const calls = [...this.#connections.values()];
      if (this.#serving && calls.some((count) => count !== null && count > 0)) lastCallAt = performance.now();
      const isLate = performance.now() - startedAt >= longestMs;
      const isQuiet = !this.#serving || isLate || performance.now() - lastCallAt >= quietMs;
      for (const [connection, count] of this.#connections) if (count === 0 || isQuiet) connection.destroy();
    };
    const closing = setInterval(close, 20);
    close();
    await closed;
    clearInterval(closing);
  }

  #hand(connection: Socket, server: HttpServer): void {
    server.emit("connection", connection);
    connection.resume();
  }

  #count(connection: Socket, response: ServerResponse): void {
    if (!this.#connections.has(connection)) return; // of another socket that the same server serves
    const change = (by: number): void => {
      const count = this.#connections.get(connection);
      if (count !== undefined) this.#connections.set(connection, (count ?? 0) + by);
    };
    change(1);
    response.on("close", () => change(-1));
  }
}

async function removeStale(path: string, setting: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket())
    throw new TsnetError("conflict", `${hostPath(path)} exists and is not a socket; remove it or set ${setting}`);
  const isLive = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => resolve(true));
    // of one that lives, but has too many callers: EAGAIN
    probe.on("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED" && code !== "ENOENT"));
    probe.on("connect", () => probe.destroy());
  });
  const what = `another program is answering on ${hostPath(path)}; stop it or set ${setting}`;
  if (isLive) throw new TsnetError("conflict", what);
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}
