import { attempt, type Outcome } from "./commands.ts";
import type { Host } from "./host.ts";
import { image, serverSockets } from "./image.ts";
import { until } from "./poll.ts";

export interface ContainerOptions {
  readonly network: string;
  /** Whether it answers on port 80, over tcp and udp, with the address of who asks. */
  readonly serve?: boolean;
}

/** How long a server of the test image may take to listen. */
const listenDeadlineMs = 10_000;

/** A running container. */
export class Container {
  readonly host: Host;
  readonly id: string;

  constructor(host: Host, id: string) {
    this.host = host;
    this.id = id;
  }

  /** `docker run -d --network NETWORK ARGS`; with `serve` it waits until the server listens. */
  static async run(host: Host, { network, serve = false }: ContainerOptions, ...args: string[]): Promise<Container> {
    const command = serve ? [image, "serve"] : [image];
    const id = await host.docker("run", "-d", "--network", network, ...args, ...command);
    const container = new Container(host, id);
    if (serve) await container.listens();
    return container;
  }

  // biome-ignore lint/suspicious/noExplicitAny: what Docker's API says; each test says what it reads
  inspect = (): Promise<any> => this.host.dockerd.api("GET", `/containers/${this.id}/json`);

  /** Its endpoint in a network, as `docker inspect` shows it: IPAddress, GlobalIPv6Address, MacAddress, EndpointID, … */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  async endpoint(network: string): Promise<any> {
    return (await this.inspect()).NetworkSettings.Networks[network];
  }

  ipv4 = async (network: string): Promise<string> => (await this.endpoint(network)).IPAddress;
  ipv6 = async (network: string): Promise<string> => (await this.endpoint(network)).GlobalIPv6Address;

  /** A command line that runs in the container's network namespace, with the machine's programs. */
  async enter(command: readonly string[]): Promise<string[]> {
    const sandbox = (await this.inspect()).NetworkSettings.SandboxKey;
    return ["nsenter", `--net=${this.host.path(sandbox)}`, "--", ...command];
  }

  /** Runs a shell script in the container's network namespace; a failing exit code is an answer. */
  exec = async (script: string): Promise<Outcome> => await attempt(await this.enter(["bash", "-c", script]));

  /** `docker exec`: the container's own programs and files, its resolver among them. A failing exit code is an answer. */
  execInside = (...command: string[]): Promise<Outcome> => this.host.tryDocker("exec", this.id, ...command);

  /** `ip -j ARGS` in its network namespace, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  async ip(args: string): Promise<any> {
    const { stdout } = await this.exec(`ip -j -d ${args}`);
    return stdout.trim() === "" ? [] : JSON.parse(stdout);
  }

  /** Waits until all sockets of the test image's server listen. */
  async listens(): Promise<void> {
    await until(`container ${this.id.slice(0, 12)} listens`, listenDeadlineMs, async () => {
      const { stdout } = await this.exec("ss -Hltun 'sport = :80 or sport = :7'");
      return stdout.split("\n").filter(Boolean).length === serverSockets;
    });
  }

  /** `docker rm -f`. */
  async remove(): Promise<void> {
    await this.host.docker("rm", "-f", this.id);
  }
}
