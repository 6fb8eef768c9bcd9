/**
 * A swarm of Docker hosts with the managed plugin, three if not told otherwise: host 1 is a manager, the others are workers, or managers too. Commands are given
 * to `manager`, which a test changes when it ends that host.
 */
import { removeAll } from "./docker-suite.ts";
import { Host } from "./host.ts";
import { image, loadImage } from "./image.ts";
import { type HostNumber, namespacesOf } from "./lab.ts";
import { EtcdCluster } from "./lab-etcd.ts";
import { pluginName } from "./managed-plugin.ts";
import { Outside } from "./outside.ts";
import { until } from "./poll.ts";
import { keysLeftOf, leftOf, removeContainers, telling } from "./swarm-lab-left.ts";
import { restoreManagers } from "./swarm-lab-managers.ts";
import { type Node, Service, type Task } from "./swarm-lab-service.ts";

export interface SwarmOptions {
  /** How many there are: 3 by default. */
  readonly hosts?: 2 | 3;
  /** 1, or all three. */
  readonly managers?: 1 | 3;
  /** Environment variables of all plugins; TSNET_SCOPE is "global" unless they say otherwise. */
  readonly settings?: NodeJS.ProcessEnv;
  /** Whether the hosts are told of each other by TSNET_PEERS, and not by Docker. */
  readonly isStatic?: boolean;
  /** Whether all plugins have an etcd besides, with a member on each host. */
  readonly hasEtcd?: boolean;
  /** "1m": a manager gives a node up, and starts its tasks anew, that is silent for three times as long; Docker's is 5 s. */
  readonly heartbeat?: string;
  /** Hosts whose plugin is installed, and not enabled. */
  readonly without?: readonly HostNumber[];
  /** What may be left of a test, as the plugin removes it minutes later: swarm-left.test.ts waits for that. */
  readonly later?: RegExp;
}

const numbers: readonly HostNumber[] = [1, 2, 3];

/** A new leader is elected after 10 s of silence at most, and nodes are told by gossip. */
export const swarmDeadlineMs = 60_000;

/** Tasks are stopped, networks of nodes removed and deletes batched. */
const settleMs = 30_000;

/** The words that make a network one of the plugin, for all nodes. */
export const globalDriver: readonly string[] = ["-d", pluginName];

/** For tasks on other nodes than host 1. */
export const away: readonly string[] = ["--constraint", "node.hostname!=host1"];

export class SwarmLab implements AsyncDisposable {
  readonly outside: Outside;
  readonly hosts: readonly Host[];
  /** Where commands are given. */
  manager: Host;
  readonly #options: SwarmOptions;
  #etcd: EtcdCluster | undefined;

  private constructor(outside: Outside, hosts: readonly [Host, ...Host[]], options: SwarmOptions) {
    this.outside = outside;
    this.hosts = hosts;
    this.manager = hosts[0];
    this.#options = options;
  }

  /** Hosts with dockerd, the plugin and the test image, as one swarm whose nodes are ready. */
  static async create(options: SwarmOptions = {}): Promise<SwarmLab> {
    await using made = new AsyncDisposableStack();
    const outside = made.use(await Outside.create());
    const hosts: Host[] = [];
    for (const number of numbers.slice(0, options.hosts))
      hosts.push(made.use(await Host.create({ outside, number, packaging: "managed" })));
    const lab = new SwarmLab(outside, hosts as [Host, ...Host[]], options);
    if (options.hasEtcd) lab.#etcd = await EtcdCluster.start(hosts);
    await lab.each((host) => lab.#startHost(host));
    await lab.#makeSwarm();
    made.move();
    return lab;
  }

  host(number: HostNumber): Host {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`the lab has no host ${number}`);
    return host;
  }

  /** @throws Error in a lab without */
  get etcd(): EtcdCluster {
    if (this.#etcd === undefined) throw new Error("this swarm has no etcd");
    return this.#etcd;
  }

  /** The environment of a host's plugin. */
  settingsOf(host: Host): NodeJS.ProcessEnv {
    const { settings, isStatic = false } = this.#options;
    const others = this.hosts.filter((other) => other !== host).map(({ ipv4 }) => ipv4);
    return {
      TSNET_SCOPE: "global",
      ...(isStatic ? { TSNET_PEERS: others.join(",") } : {}),
      ...(this.#etcd ? { TSNET_HOST_ID: `host${host.number}`, TSNET_ETCD_ENDPOINTS: this.#etcd.endpoints } : {}),
      ...settings,
    };
  }

  /** The docker command against `manager`. */
  docker = (...args: string[]): Promise<string> => this.manager.docker(...args);

  /** The same; swarm refuses to change what another has changed since it was read: then it is read again. */
  async change(...args: string[]): Promise<void> {
    await until(`swarm takes: docker ${args.join(" ")}`, settleMs, async () => {
      const { code, stderr } = await this.manager.tryDocker(...args);
      if (code !== 0 && !stderr.includes("update out of sequence")) throw new Error(stderr);
      return code === 0;
    });
  }

  /** A network of the plugin for all nodes, which containers may be connected to. */
  network = (name: string, ...args: string[]): Promise<string> =>
    this.docker("network", "create", ...globalDriver, "--attachable", ...args, name);

  /** `docker service create`, of the test image's server; words after "--" are its command instead. It is not waited for. */
  async service(name: string, ...args: string[]): Promise<Service> {
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    const command = end < args.length ? args.slice(end + 1) : ["serve"];
    const words = ["--no-resolve-image", "-d", "--name", name, ...args.slice(0, end)];
    await this.docker("service", "create", ...words, image, ...command);
    return new Service(this, name);
  }

  /** Of one that somebody else has made, as `docker stack deploy` does. */
  serviceOf = (name: string): Service => new Service(this, name);

  /** As the manager knows them. */
  nodes = (): Promise<Node[]> => this.manager.dockerd.api("GET", "/nodes");

  /** Their IDs. */
  async readyNodes(): Promise<ReadonlySet<string>> {
    const ready = (await this.nodes()).filter(({ Status }) => Status.State === "ready");
    return new Set(ready.map(({ ID }) => ID));
  }

  async node(host: Host): Promise<Node> {
    const name = `host${host.number}`;
    const found = (await this.nodes()).filter(({ Description }) => Description.Hostname === name);
    const node = found.find(({ Status }) => Status.State === "ready") ?? found[0];
    if (node === undefined) throw new Error(`the swarm has no node ${name}`);
    return node;
  }

  /** Where a task is. */
  async hostOf({ NodeID }: Task): Promise<Host> {
    const node = (await this.nodes()).find(({ ID }) => ID === NodeID);
    const host = this.hosts.find(({ number }) => node?.Description.Hostname === `host${number}`);
    if (host === undefined) throw new Error(`no host has the task's node ${NodeID}`);
    return host;
  }

  /** Waits until the manager says that so many nodes are ready: all of them by default. */
  async ready(count: number = this.hosts.length): Promise<void> {
    await until(`${count} nodes are ready`, swarmDeadlineMs, async () => {
      return (await this.readyNodes()).size === count;
    });
  }

  /** Lets a host join the swarm. */
  async join(host: Host, role: "worker" | "manager" = "worker"): Promise<void> {
    const token = await this.docker("swarm", "join-token", "-q", role);
    const address = `${this.manager.ipv4}:2377`;
    await host.docker("swarm", "join", "--advertise-addr", host.ipv4, "--token", token, address);
  }

  /** What a network has on each node that has it: names of namespaces, by the number of the host. */
  async namespaces(): Promise<Record<number, string[]>> {
    const found = await this.each(async (host) => [host.number, await namespacesOf(host)] as const);
    return Object.fromEntries(found.filter(([, names]) => names.length > 0));
  }

  /**
   * Starts what does not run, removes all services, containers and networks, and then looks at what is left.
   * @throws Error that names what tsnet has left in a kernel or on a disk
   */
  async clear(): Promise<void> {
    await this.#etcd?.heal();
    await this.each(async ({ dockerd }) => {
      if (!dockerd.isRunning) await dockerd.start();
    });
    await restoreManagers(this, this.#options.managers === 3 ? this.hosts : []);
    await this.ready();
    const services: { ID: string }[] = await this.manager.dockerd.api("GET", "/services");
    for (const { ID } of services) await this.manager.dockerd.api("DELETE", `/services/${ID}`);
    await this.each(removeContainers);
    await until("swarm has forgotten all tasks", settleMs, async () => (await this.#attachments()).length === 0);
    const networks: { Id: string; Driver: string }[] = await this.manager.dockerd.api("GET", "/networks");
    for (const { Id, Driver } of networks) {
      if (Driver === pluginName) await this.manager.dockerd.api("DELETE", `/networks/${Id}`);
    }
    await this.each(async (host) => {
      await removeAll(host);
      const kept: { Id: string; ConfigOnly: boolean }[] = await host.dockerd.api("GET", "/networks");
      for (const { Id, ConfigOnly } of kept) if (ConfigOnly) await host.dockerd.api("DELETE", `/networks/${Id}`);
    });
    await this.expectNothingLeft();
  }

  /** @throws Error that names what tsnet has left in a kernel or on a disk, with no network there */
  async expectNothingLeft(): Promise<void> {
    let left: string[] = [];
    const gone = until("nothing is left", settleMs, async () => {
      const found = [...(await this.each(leftOf)).flat(), ...(await keysLeftOf(this.#etcd))];
      left = found.filter((what) => this.#options.later?.test(what) !== true);
      return left.length === 0;
    });
    await gone.catch((cause: Error) => {
      throw new Error(`left behind: ${left.join(", ")}`, { cause });
    });
  }

  showLogs(): void {
    for (const host of this.hosts) console.error(`host ${host.number}:\n${telling(host).join("\n")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.each((host) => host[Symbol.asyncDispose]());
    await this.outside[Symbol.asyncDispose]();
  }

  /** At the same time on all hosts. Waits for all, and throws the first error. */
  async each<T>(work: (host: Host) => Promise<T>): Promise<T[]> {
    const done = this.hosts.map(work);
    await Promise.allSettled(done);
    return await Promise.all(done);
  }

  async #startHost(host: Host): Promise<void> {
    const { without = [] } = this.#options;
    if (!without.some((number) => number === host.number)) await host.plugin.start(this.settingsOf(host));
    await host.dockerd.start([]);
    await loadImage(host);
  }

  async #makeSwarm(): Promise<void> {
    const { manager, hosts } = this;
    const { managers, heartbeat = "5s" } = this.#options;
    await manager.docker("swarm", "init", "--advertise-addr", manager.ipv4, "--dispatcher-heartbeat", heartbeat);
    const role = managers === 3 ? "manager" : "worker";
    for (const host of hosts) if (host !== manager) await this.join(host, role);
    await this.ready();
  }

  /** All tasks, those of plain containers on networks of the swarm among them. */
  #attachments = async (): Promise<Task[]> => {
    const filters = encodeURIComponent(JSON.stringify({ runtime: ["container", "attachment"] }));
    return await this.manager.dockerd.api("GET", `/tasks?filters=${filters}`);
  };
}
