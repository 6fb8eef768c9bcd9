/** How soon an endpoint that is new on one host is found from another, where nothing is flooded: by its entries only. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { exitOf } from "../support/commands.ts";
import type { Container } from "../support/container.ts";
import { createContainer, start } from "./docker-figures.ts";
import type { Figure } from "./figures.ts";
import { createOverlay, type OverlayHosts, runOn } from "./overlay-hosts.ts";

const program = fileURLToPath(new URL("first-echo.mjs", import.meta.url));

const rounds = 200;

/** Asks for echoes from a container. */
class Watcher implements AsyncDisposable {
  readonly #child: ReturnType<typeof spawn>;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ReturnType<typeof spawn>, lines: AsyncIterator<string>) {
    this.#child = child;
    this.#lines = lines;
  }

  static async start(container: Container): Promise<Watcher> {
    // a kernel asks again for a neighbor after a second, which is not what is measured
    const { code, stderr } = await container.exec("sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=5");
    if (code !== 0) throw new Error(stderr);
    const command = ["setpriv", "--pdeathsig", "KILL", process.execPath, program];
    const [file = "", ...args] = await container.enter(command);
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    await lines.next();
    return new Watcher(child, lines);
  }

  /** @returns when the first echo came back: milliseconds of process.hrtime */
  async firstEcho(address: string): Promise<number> {
    this.#child.stdin?.write(`${address}\n`);
    return Number((await this.#lines.next()).value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = exitOf(this.#child);
    this.#child.kill("SIGKILL");
    await ended;
  }
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** From Docker's answer to `network connect` on the one host to the first echo on the other, which asks all the time. */
export async function arrivalFigures({ near, far }: OverlayHosts): Promise<Figure[]> {
  const network = "quiet";
  for (const host of [near, far])
    await createOverlay(host, { network, subnet: 63, options: { "tsnet.flood": "false" } });
  await using watcher = await Watcher.start(await runOn(far, network));
  const container = await createContainer(near, "base");
  await start(near, container);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const IPv4Address = `10.63.8.${round + 1}`;
    const seen = watcher.firstEcho(IPv4Address);
    const body = { Container: container, EndpointConfig: { IPAMConfig: { IPv4Address } } };
    await near.dockerd.api("POST", `/networks/${network}/connect`, body);
    const connectedAt = now();
    times.push(Math.max(0, (await seen) - connectedAt));
    await near.dockerd.api("POST", `/networks/${network}/disconnect`, { Container: container });
  }
  const name = "overlay: from a new endpoint on one host to the first echo on another";
  const figure = { name, unit: "ms", tsnet: times } as const;
  return [
    { ...figure, name: `${name}, p50`, limit: { of: "median", value: 50 } },
    { ...figure, name: `${name}, p99`, limit: { of: "p99", value: 500 } },
  ];
}
