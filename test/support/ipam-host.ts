/** The address management of one host, in a process of its own: its socket, its files and etcd are real; it has no links. */
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Caller } from "./caller.ts";
import { exitOf, startLogged } from "./commands.ts";
import { until } from "./poll.ts";
import { makeDirectory, newName, removeDirectory } from "./scratch.ts";

const program = fileURLToPath(new URL("./ipam-host-main.ts", import.meta.url));
const startDeadlineMs = 15_000;

export class IpamHost implements AsyncDisposable {
  readonly name: string;
  readonly directory: string;
  readonly #etcdUrl: string;
  #child: ReturnType<typeof startLogged> | undefined;
  #running = Promise.withResolvers<void>();

  private constructor(name: string, etcdUrl: string) {
    this.name = name;
    this.#etcdUrl = etcdUrl;
    this.directory = makeDirectory(newName());
  }

  /** @param name its ID for other hosts */
  static async start(name: string, etcdUrl: string): Promise<IpamHost> {
    const host = new IpamHost(name, etcdUrl);
    await host.start();
    return host;
  }

  get socket(): string {
    return `${this.directory}/socket`;
  }

  get logFile(): string {
    return `${this.directory}/log`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves while it runs; callers wait for it when it was killed. */
  get running(): Promise<void> {
    return this.#running.promise;
  }

  /** With the files that it had. */
  async start(): Promise<void> {
    rmSync(this.socket, { force: true });
    const flags = (process.env["TEST_TSNET_HOST_FLAGS"] ?? "").split(" ").filter(Boolean);
    const command = ["setpriv", "--pdeathsig", "KILL", process.execPath, ...flags, program];
    this.#child = startLogged([...command, this.name, this.directory, this.#etcdUrl], this.logFile);
    await until(`host ${this.name} answers`, startDeadlineMs, async () => {
      using caller = await Caller.open(this.socket);
      await caller.call("IpamDriver.GetDefaultAddressSpaces", {});
      return true;
    });
    this.#running.resolve();
  }

  /** As a power cut, but for what is on the disk. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end("SIGKILL");
    removeDirectory(this.directory);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.#child) return;
    this.#running = Promise.withResolvers();
    this.#child.kill(signal);
    await exitOf(this.#child);
    this.#child = undefined;
  }
}
