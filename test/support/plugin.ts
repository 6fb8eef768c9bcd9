import { readFileSync } from "node:fs";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Host } from "./host.ts";
import type { Daemon } from "./namespace.ts";
import { until } from "./poll.ts";

/** The driver under test. `TEST_TSNET_DRIVER=bridge` shows what Docker's own does, and the plugin is not started. */
export const driver = process.env["TEST_TSNET_DRIVER"] ?? "tsnet";

const socketInside = "/run/docker/plugins/tsnet.sock";
const main = fileURLToPath(new URL("../../src/start.ts", import.meta.url));

/** Until it listens; restoring state comes after that. */
const startDeadlineMs = 15_000;

/** tsnet itself, running from the sources on a host. */
export class Plugin {
  readonly #host: Host;
  #daemon: Daemon | undefined;
  #settings: NodeJS.ProcessEnv = {};

  constructor(host: Host) {
    this.#host = host;
  }

  /** Its log: one JSON object a line. */
  get logFile(): string {
    return `${this.#host.directory}/tsnet.log`;
  }

  get stateDirectory(): string {
    return `${this.#host.directory}/tsnet`;
  }

  /** Starts it and waits until it answers; `settings` are further environment variables, by default those of the last start. */
  async start(settings: NodeJS.ProcessEnv = this.#settings): Promise<void> {
    this.#settings = settings;
    const env = { ...process.env, TSNET_SOCKET: socketInside, TSNET_STATE_DIR: this.stateDirectory, ...settings };
    const daemon = await this.#host.namespace.start([process.execPath, main], this.logFile, env);
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
    if (ended !== undefined) throw new Error(`tsnet has ended with code ${ended}: ${this.#logTail()}`);
  }

  /** SIGTERM. @returns its exit code */
  async stop(): Promise<number> {
    return await this.#end("SIGTERM");
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Process number as this process sees it. */
  get pid(): number {
    if (!this.#daemon) throw new Error("tsnet is not running");
    return this.#daemon.pid;
  }

  /** Its socket, reachable from outside the host. */
  get socket(): string {
    return this.#host.path(socketInside);
  }

  /** One call of the plugin protocol, as dockerd makes it. */
  // biome-ignore lint/suspicious/noExplicitAny: answers differ by method; each test says what it reads
  async call(method: string, body?: object): Promise<any> {
    const socketPath = this.socket;
    const headers = { accept: "application/vnd.docker.plugins.v1.2+json" };
    return await new Promise((resolve, reject) => {
      const call = request({ socketPath, method: "POST", path: `/${method}`, headers }, (response) => {
        json(response).then(resolve, reject);
      });
      call.on("error", reject);
      call.end(body ? JSON.stringify(body) : undefined);
    });
  }

  /** Lines of the log with this level or worse: 40 is warn, 50 is error. */
  logged(level: number): { level: number; msg: string; [field: string]: unknown }[] {
    const lines = readFileSync(this.logFile, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("{"));
    return lines.map((line) => JSON.parse(line)).filter((entry) => entry.level >= level);
  }

  async #end(signal: NodeJS.Signals): Promise<number> {
    const daemon = this.#daemon;
    if (!daemon) throw new Error("tsnet is not running");
    process.kill(daemon.pid, signal);
    this.#daemon = undefined;
    return await daemon.ended;
  }

  #logTail = (): string => readFileSync(this.logFile, "utf8").split("\n").slice(-15).join("\n");
}
