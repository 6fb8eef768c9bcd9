import { readFileSync } from "node:fs";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { describeFailure } from "./commands.ts";
import type { Host } from "./host.ts";
import type { Daemon } from "./namespace.ts";
import { until } from "./poll.ts";
import { readProcess } from "./processes.ts";

/** dockerd waits up to 15 s for each call to a plugin that is away, and for its containerd. */
const deadlineMs = 60_000;

/** The Docker daemon of a host, with a containerd of its own. */
export class Dockerd {
  readonly #host: Host;
  readonly #wrapper: readonly string[];
  #daemon: Daemon | undefined;
  #flags: readonly string[] = [];

  /** @param wrapper comes before its command line: see enterEngineOnHost */
  constructor(host: Host, wrapper: readonly string[] = []) {
    this.#host = host;
    this.#wrapper = wrapper;
  }

  get logFile(): string {
    return `${this.#host.directory}/dockerd.log`;
  }

  /** Starts it and waits until it answers; without flags, with those of the last start. */
  async start(flags: readonly string[] = this.#flags): Promise<void> {
    const { directory, socket, namespace } = this.#host;
    this.#flags = flags;
    const command = [
      ...this.#wrapper,
      "dockerd",
      "-H",
      `unix://${socket}`,
      "-H",
      "unix:///run/docker.sock",
      "--data-root",
      `${directory}/docker`,
    ];
    const places = ["--exec-root", "/run/docker", "--pidfile", "/run/docker.pid"];
    const daemon = await namespace.start([...command, ...places, ...flags], this.logFile, process.env);
    this.#daemon = daemon;
    void daemon.ended.then(() => {
      if (this.#daemon === daemon) this.#daemon = undefined;
    });
    const died = daemon.ended.then((code) => {
      throw new Error(describeFailure(["dockerd", ...flags], { code, stdout: "", stderr: this.#logTail() }));
    });
    await Promise.race([until("dockerd answers", deadlineMs, () => this.api("GET", "/_ping").then(() => true)), died]);
    died.catch(() => {}); // later its end is nobody's error
    await this.#host.plugin.dockerdStarted();
  }

  /** As `systemctl stop docker`. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** It stays, and its connections too, but it answers nothing until it is resumed. */
  pause(): void {
    process.kill(this.pid, "SIGSTOP");
  }

  /** nsenter, which has started it, has stopped itself as well. */
  resume(): void {
    const { pid } = this;
    process.kill(pid, "SIGCONT");
    process.kill(readProcess(pid)?.parent ?? pid, "SIGCONT");
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  get isRunning(): boolean {
    return this.#daemon !== undefined;
  }

  /** Process number as this process sees it. */
  get pid(): number {
    if (!this.#daemon) throw new Error("dockerd is not running");
    return this.#daemon.pid;
  }

  /**
   * One request to Docker's API, without the docker command.
   * @throws Error with Docker's words for a status of 400 and more
   */
  // biome-ignore lint/suspicious/noExplicitAny: answers of the API have no type; each test says what it reads
  async api(method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<any> {
    const { socket } = this.#host;
    const headers = body ? { "content-type": "application/json" } : {};
    return await new Promise((resolve, reject) => {
      const call = request({ socketPath: socket, method, path, headers, timeout: deadlineMs }, async (response) => {
        const isJson = response.headers["content-type"]?.startsWith("application/json");
        const answer = isJson ? await json(response).catch(reject) : response.resume();
        const status = response.statusCode ?? 0;
        if (status < 400) resolve(answer);
        else reject(new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`));
      });
      call.on("timeout", () => call.destroy(new Error(`${method} ${path}: no answer in ${deadlineMs} ms`)));
      call.on("error", reject);
      call.end(body ? JSON.stringify(body) : undefined);
    });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon;
    if (!daemon) return;
    process.kill(daemon.pid, signal);
    await daemon.ended;
  }

  #logTail = (): string => readFileSync(this.logFile, "utf8").split("\n").slice(-15).join("\n");
}
