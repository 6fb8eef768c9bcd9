/** When the names of a swarm get their addresses, as a container sees it. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { exitOf } from "./commands.ts";
import type { Place } from "./probe.ts";

/** Asks Docker's resolver of the network namespace for each name, again and again. */
const script = (names: readonly string[]): string => `
  const { Resolver } = require("node:dns").promises;
  const resolver = new Resolver({ timeout: 1000, tries: 1 });
  resolver.setServers(["127.0.0.11"]);
  const watch = async (name) => {
    for (;;) {
      // without an answer nobody knows
      const none = ({ code }) => (["ENOTFOUND", "ENODATA"].includes(code) ? [] : undefined);
      const addresses = await resolver.resolve4(name).catch(none);
      if (addresses) console.log(JSON.stringify({ at: performance.timeOrigin + performance.now(), name, addresses }));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  ${JSON.stringify(names)}.forEach(watch);`;

export class NameWatch implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  /** By name and address; of those that the name has now. */
  readonly #since = new Map<string, Map<string, number>>();

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    createInterface(child.stdout).on("line", (line) => this.#seen(JSON.parse(line)));
  }

  static async start(from: Place, names: readonly string[]): Promise<NameWatch> {
    const [file = "", ...args] = await from.enter([process.execPath, "-e", script(names)]);
    return new NameWatch(spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] }));
  }

  /** Since when a name has an address, in milliseconds of the system's clock; undefined while it does not. */
  since = (name: string, address: string): number | undefined => this.#since.get(name)?.get(address);

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await exitOf(this.#child);
  }

  #seen({ at, name, addresses }: { at: number; name: string; addresses: readonly string[] }): void {
    const before = this.#since.get(name);
    this.#since.set(name, new Map(addresses.map((address) => [address, before?.get(address) ?? at])));
  }
}
