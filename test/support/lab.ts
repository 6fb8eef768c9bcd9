/**
 * Three Docker hosts with tsnet, which know each other through an etcd of their own, or by a list of peers. What is cut off is cut off
 * in the router around them, so that a host notices nothing but silence.
 */
import { Container, type ContainerOptions } from "./container.ts";
import { expectNothingLeft, removeAll, showLogs } from "./docker-suite.ts";
import { Host } from "./host.ts";
import { loadImage } from "./image.ts";
import { EtcdCluster } from "./lab-etcd.ts";
import { Outside, portOf, type Segment } from "./outside.ts";
import type { Plugin } from "./plugin.ts";
import { until } from "./poll.ts";
import { readProcess } from "./processes.ts";

export interface LabOptions {
  /** How the hosts know each other. */
  readonly plane: "etcd" | "static";
  /** The segment that host 3 is on; the others are on "near", as it is by default. */
  readonly third?: Segment;
  /** Environment variables of all plugins besides. */
  readonly settings?: NodeJS.ProcessEnv;
}

const numbers = [1, 2, 3] as const;
export type HostNumber = (typeof numbers)[number];

/** A plugin tells etcd after it has answered Docker; deletes are batched. */
const settleMs = 5_000;

/** What passes the router's bridges, and what comes to the router itself, which is what is routed. */
const cutTable = `
  nft -f - <<end
  table bridge lab {
    set cut { type ifname; }
    chain through { type filter hook forward priority 0; iifname @cut drop; oifname @cut drop; }
    chain in { type filter hook input priority 0; iifname @cut drop; }
    chain out { type filter hook output priority 0; oifname @cut drop; }
  }
end`;

export class Lab implements AsyncDisposable {
  readonly outside: Outside;
  readonly hosts: readonly Host[];
  /** Only with the plane "etcd". */
  readonly #etcd: EtcdCluster | undefined;
  readonly #settings: NodeJS.ProcessEnv;

  private constructor(outside: Outside, hosts: readonly Host[], etcd: EtcdCluster | undefined, options: LabOptions) {
    this.outside = outside;
    this.hosts = hosts;
    this.#etcd = etcd;
    this.#settings = options.settings ?? {};
  }

  /** Hosts with the plugin and dockerd running, the test image loaded, and a server in the world outside. */
  static async create(options: LabOptions): Promise<Lab> {
    await using made = new AsyncDisposableStack();
    const outside = made.use(await Outside.create());
    await succeed(outside, cutTable);
    await outside.serve();
    const hosts: Host[] = [];
    for (const number of numbers) {
      const segment = number === 3 ? (options.third ?? "near") : "near";
      // that a plugin is managed or not makes no difference between hosts
      hosts.push(made.use(await Host.create({ outside, number, segment, packaging: "socket" })));
    }
    const etcd = options.plane === "etcd" ? await EtcdCluster.start(hosts) : undefined;
    const lab = new Lab(outside, hosts, etcd, options);
    await lab.#each((host) => lab.#startHost(host));
    made.move();
    return lab;
  }

  /** 1, 2 or 3. */
  host(number: HostNumber): Host {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`the lab has no host ${number}`);
    return host;
  }

  get hasEtcd(): boolean {
    return this.#etcd !== undefined;
  }

  /** @throws Error in a lab without */
  get etcd(): EtcdCluster {
    if (this.#etcd === undefined) throw new Error("this lab has no etcd");
    return this.#etcd;
  }

  /** The environment of a host's plugin. */
  settingsOf(host: Host): NodeJS.ProcessEnv {
    const others = this.hosts.filter((other) => other !== host).map(({ ipv4 }) => ipv4);
    return {
      TSNET_HOST_ID: `host${host.number}`,
      ...(this.#etcd ? { TSNET_ETCD_ENDPOINTS: this.#etcd.endpoints } : { TSNET_PEERS: others.join(",") }),
      ...this.#settings,
    };
  }

  /**
   * Makes an overlay network on all hosts: 10.5.0.0/24 and fd00:5::/64, of which host N gives out 10.5.0.(64 N) and fd00:5::N:0 up
   * by itself. Addresses up to 10.5.0.63 and fd00:5::ff are for --ip and --ip6.
   */
  async network(name: string, ...args: string[]): Promise<void> {
    await this.#each((host) => this.networkOn(host, name, ...args));
  }

  /** The same on one host. */
  async networkOn(host: Host, name: string, ...args: string[]): Promise<void> {
    const { number } = host;
    const ipv4 = ["--subnet", "10.5.0.0/24", "--gateway", "10.5.0.1", "--ip-range", `10.5.0.${64 * number}/26`];
    const ipv6 = [
      "--ipv6",
      "--subnet",
      "fd00:5::/64",
      "--gateway",
      "fd00:5::1",
      "--ip-range",
      `fd00:5::${number}:0/112`,
    ];
    await host.docker("network", "create", ...overlay, ...ipv4, ...ipv6, ...args, name);
  }

  /** A container on each host, in their order; each serves. */
  servers(network: string, ...args: string[]): Promise<Container[]> {
    return this.#each((host) => Container.run(host, { network, serve: true }, ...args));
  }

  run = (number: HostNumber, options: ContainerOptions, ...args: string[]): Promise<Container> =>
    Container.run(this.host(number), options, ...args);

  /** Nothing comes from a host or gets to it any more; its links are as they were. */
  cut = (host: Host): Promise<void> =>
    succeed(this.outside, `nft add element bridge lab cut { ${portOf(host.number)} }`);

  /** Pulls the plug of a host's uplink: the link is there, and has no carrier. */
  unplug = (host: Host): Promise<void> => succeed(this.outside, `ip link set ${portOf(host.number)} down`);

  /** Ends all cuts, and plugs in what was unplugged. */
  async heal(): Promise<void> {
    const up = numbers.map((number) => `ip link set ${portOf(number)} up`);
    await succeed(this.outside, ["nft flush set bridge lab cut", ...up].join("\n"));
  }

  /**
   * Heals all, removes all containers and networks, and then looks at what is left.
   * @throws Error that names what tsnet has left in a kernel, on a disk or in etcd
   */
  async clear(): Promise<void> {
    await this.heal();
    await this.#etcd?.heal();
    await this.#each(async (host) => {
      await this.revive(host);
      await removeAll(host);
      await expectNothingLeft(host);
    });
    await this.#expectNothing("namespaces", async () => (await this.#each(namespacesOf)).flat());
    const etcd = this.#etcd;
    if (etcd === undefined) return;
    const prefixes = ["/tsnet/overlay/", "/tsnet/place/"];
    const keys = async () => (await Promise.all(prefixes.map((prefix) => etcd.keys(prefix)))).flat();
    await this.#expectNothing("records in etcd", keys);
  }

  /** Starts of a host's etcd member, plugin and daemon what does not run, in this order. */
  async revive(host: Host): Promise<void> {
    await this.#etcd?.revive(host);
    if (!isRunning(host.plugin)) await host.plugin.start();
    if (!host.dockerd.isRunning) await host.dockerd.start();
  }

  showLogs(): void {
    for (const host of this.hosts) showLogs(host);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#each((host) => host[Symbol.asyncDispose]());
    await this.outside[Symbol.asyncDispose]();
  }

  async #startHost(host: Host): Promise<void> {
    await host.plugin.start(this.settingsOf(host));
    await host.dockerd.start([]);
    await loadImage(host);
  }

  async #expectNothing(what: string, find: () => Promise<string[]>): Promise<void> {
    let left: string[] = [];
    const gone = until(`no ${what} are left`, settleMs, async () => {
      left = await find();
      return left.length === 0;
    });
    await gone.catch((cause: Error) => {
      throw new Error(`${what} are left behind: ${left.join(", ")}`, { cause });
    });
  }

  /** At the same time on all hosts. Waits for all, and throws the first error. */
  async #each<T>(work: (host: Host) => Promise<T>): Promise<T[]> {
    const done = this.hosts.map(work);
    await Promise.allSettled(done);
    return await Promise.all(done);
  }
}

function isRunning(plugin: Plugin): boolean {
  try {
    return readProcess(plugin.pid) !== undefined;
  } catch {
    return false;
  }
}

/** The words that make a network one of mode overlay. */
export const overlay: readonly string[] = ["-d", "tsnet", "-o", "mode=overlay"];

/** The namespaces of overlay networks on a host, by name. "tsnet-probe" is of none: hosts look through it at each other. */
export async function namespacesOf(host: Host): Promise<string[]> {
  const names = await host.sh("ls /run/netns 2>/dev/null || true");
  return names.split("\n").filter((name) => /^tsnet-[0-9a-z]{11}$/.test(name));
}

async function succeed({ router }: Outside, script: string): Promise<void> {
  const { code, stderr } = await router.exec(script);
  if (code !== 0) throw new Error(`the router: ${script}: ${stderr}`);
}
