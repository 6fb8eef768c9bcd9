import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Host } from "./host.ts";
import type { Daemon } from "./namespace.ts";
import { Plugin, socketInside } from "./plugin.ts";
import { until } from "./poll.ts";

const program = fileURLToPath(new URL("../../src/start.ts", import.meta.url));

/** Until it listens; restoring state comes after that. */
const startDeadlineMs = 15_000;

/** tsnet, running from the sources on a host. */
export class SocketPlugin extends Plugin {
  readonly #host: Host;
  #daemon: Daemon | undefined;
  #settings: NodeJS.ProcessEnv = {};

  constructor(host: Host) {
    super();
    this.#host = host;
  }

  /** One JSON object a line. */
  get logFile(): string {
    return `${this.#host.directory}/tsnet.log`;
  }

  get stateDirectory(): string {
    return `${this.#host.directory}/tsnet`;
  }

  get pid(): number {
    if (!this.#daemon) throw new Error("tsnet is not running");
    return this.#daemon.pid;
  }

  get socket(): string {
    return this.#host.path(socketInside);
  }

  async start(settings: NodeJS.ProcessEnv = this.#settings): Promise<void> {
    this.#settings = settings;
    const env = { ...process.env, TSNET_SOCKET: socketInside, TSNET_STATE_DIR: this.stateDirectory, ...settings };
    const daemon = await this.#host.namespace.start([process.execPath, program], this.logFile, env);
    this.#daemon = daemon;
    let ended: number | undefined;
    void daemon.ended.then((code) => {
      ended = code;
    });
    await until("tsnet answers", startDeadlineMs, async () => {
      if (ended !== undefined) return true;
      await this.call("Plugin.Activate");
      return true;
    });
    if (ended !== undefined) throw new Error(`tsnet has ended with code ${ended}: ${this.logTail()}`);
  }

  /** SIGTERM. @returns its exit code */
  async stop(): Promise<number> {
    return await this.#end("SIGTERM");
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  protected logLines = (): string[] => readFileSync(this.logFile, "utf8").split("\n");

  async #end(signal: NodeJS.Signals): Promise<number> {
    const daemon = this.#daemon;
    if (!daemon) throw new Error("tsnet is not running");
    process.kill(daemon.pid, signal);
    this.#daemon = undefined;
    return await daemon.ended;
  }
}
