/** A node of a swarm in a network namespace, below a switch in that of this process, with containers that are namespaces. */
import { type ChildProcessWithoutNullStreams, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { hostVethName } from "../../src/net/names.ts";
import type { OverlayNetwork } from "../../src/plan/network.ts";
import { swarmIdOf } from "./fake-gossip.ts";
import { ip } from "./netns.ts";
import { until } from "./poll.ts";
import { idOf, overlayOf } from "./values.ts";

/** The network that all of them have, without a way out. */
export const swarmNetwork: OverlayNetwork = {
  ...overlayOf({}, { id: swarmIdOf("a1"), internal: true }),
  vni: 8_388_700,
};

/** What is in each host's namespace of that network. */
export const swarmNames = { namespace: "tsnet-a1000000000", bridge: "tsb-a1000000000", vxlan: "tsx-a1000000000" };

const program = fileURLToPath(new URL("./swarm-host-main.ts", import.meta.url));
const execute = promisify(execFile);
const deadlineMs = 2000;

export class SwarmHost {
  readonly name: string;
  readonly address: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: ((line: string) => void)[] = [];
  #errors = "";

  private constructor(number: number) {
    this.name = `h${number}`;
    this.address = `192.168.9.${number}`;
    mkdirSync(this.#directory, { recursive: true });
    const command = [process.execPath, program, this.address, this.#directory];
    this.#child = spawn("nsenter", [`--net=/run/netns/${this.name}`, "--", ...command]);
    this.#child.stderr.on("data", (data) => {
      this.#errors += data;
    });
    createInterface(this.#child.stdout).on("line", (line) => this.#answers.shift()?.(line));
    this.#child.on("close", () => {
      for (const answer of this.#answers.splice(0)) answer(JSON.stringify({ error: `ended: ${this.#errors}` }));
    });
  }

  /** @param number 1 to 250; the switch is there */
  static async start(number: number): Promise<SwarmHost> {
    const name = `h${number}`;
    ip(`netns add ${name}`);
    ip(`link add sw-${name} master sw type veth peer name eth0 netns ${name}`);
    ip(`link set sw-${name} up`);
    for (const words of ["link set lo up", "link set eth0 up"]) ip(`-n ${name} ${words}`);
    ip(`-n ${name} addr add 192.168.9.${number}/24 dev eth0`);
    const host = new SwarmHost(number);
    await host.#next();
    return host;
  }

  get #directory(): string {
    return `/run/netns-h${this.name.slice(1)}`;
  }

  async ask(what: string, values: object = {}): Promise<unknown> {
    const answer = this.#next();
    this.#child.stdin.write(`${JSON.stringify({ what, ...values })}\n`);
    return await answer;
  }

  /** As Docker starts a container, whose name is its namespace's. @param id the endpoint's first digits */
  async run(container: string, id: string, address: string): Promise<void> {
    await this.ask("create", { id: idOf(id), address: `${address}/24` });
    ip(`netns add ${container}`);
    // otherwise it sends by itself, and others learn from that where it is
    const keys = ["all", "default"].map((name) => `net.ipv6.conf.${name}.disable_ipv6=1`);
    ip(`netns exec ${container} sysctl -qw ${keys.join(" ")}`);
    const link = `tsc-${idOf(id).slice(0, 11)}`;
    ip(`-n ${this.name} link set ${link} netns ${container} name eth0`);
    const mac = address.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"));
    ip(`-n ${container} link set eth0 address 02:42:${mac.join(":")}`);
    ip(`-n ${container} addr add ${address}/24 dev eth0`);
    ip(`-n ${container} link set eth0 up`);
    await this.ask("joined", { id: idOf(id), sandbox: `/run/netns/${container}` });
    // some time after the other end is up: what comes before is lost
    const port = ["dev", hostVethName(idOf(id))];
    await until(`${container}'s port forwards`, deadlineMs, () =>
      this.inside("bridge", "link", "show", ...port).includes(" state forwarding "),
    );
  }

  async end(container: string, id: string): Promise<void> {
    ip(`netns del ${container}`);
    await this.ask("remove", { id: idOf(id) });
  }

  /** A command in the network's namespace. */
  inside(...command: readonly string[]): string {
    const words = [`--net=${this.#directory}/${swarmNames.namespace}`, "--", ...command];
    return execFileSync("nsenter", words, { encoding: "utf8", stdio: "pipe" });
  }

  async stop(): Promise<void> {
    await this.ask("stop");
    const closed = once(this.#child, "close");
    this.#child.stdin.end();
    await closed;
    ip(`link del sw-${this.name}`);
    ip(`netns del ${this.name}`);
  }

  async #next(): Promise<unknown> {
    const line = await new Promise<string>((resolve) => void this.#answers.push(resolve));
    const { answer, error } = JSON.parse(line) as { answer?: unknown; error?: string };
    if (error !== undefined) throw new Error(`${this.name}: ${error}`);
    return answer;
  }
}

/** Whether one container reaches another within a second. */
export const pings = (container: string, address: string): Promise<boolean> =>
  execute("nsenter", [`--net=/run/netns/${container}`, "--", "busybox", "ping", "-c", "1", "-W", "1", address]).then(
    () => true,
    () => false,
  );
