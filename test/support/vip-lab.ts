/** Hosts of a swarm, as far as virtual IPs go, in network namespaces: real kernels, real containers' links, what Docker would tell is given. */
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Services } from "../../src/driver/swarm/services.ts";
import { KernelClient } from "../../src/kernel/kernel-client.ts";
import { inNamespace } from "../../src/kernel/netlink/in-namespace.ts";
import { parseHostAddress } from "../../src/net/cidr.ts";
import { macOf } from "../../src/net/mac.ts";
import { containerVethName, namespaceName } from "../../src/net/names.ts";
import type { GossipNetwork } from "../../src/plan/gossip.ts";
import type { Endpoint } from "../../src/plan/network.ts";
import { planInnerVeth, planInnerVethRemoval, planOverlay, type Underlay } from "../../src/plan/overlay.ts";
import { ensurePlaces, type RemoteEndpoint, remotePlace, removePlaces } from "../../src/plan/overlay-places.ts";
import { TestLog } from "./driver.ts";
import { ip } from "./netns.ts";
import { until } from "./poll.ts";
import type { Place } from "./probe.ts";
import { endpointOf, idOf, overlayOf } from "./values.ts";
import { VipServer } from "./vip-traffic.ts";

export const vipNetwork = overlayOf({ "tsnet.vni": "4242" }, { id: idOf("d1") });
const mark = 0x0100_0000;
const soonMs = 5_000;

/** A service as the test names it: its tasks by the last number of their addresses. */
export interface LabService {
  readonly name: string;
  readonly vip: string | null;
  readonly tasks: readonly number[];
}

export const addressOf = (number: number): string => `10.5.0.${number}`;

/** A container: the network namespace cN. */
export class LabContainer implements Place {
  readonly endpoint: Endpoint;
  readonly address: string;
  readonly #name: string;
  server: VipServer | undefined;

  constructor(number: number) {
    this.#name = `c${number}`;
    this.address = addressOf(number);
    this.endpoint = endpointOf({
      ...{ id: idOf(`e${number}e`), network: vipNetwork.id, addresses: [`${this.address}/24`] },
      mac: macOf(vipNetwork.id, parseHostAddress(`${this.address}/24`).ip),
    });
  }

  enter = (command: readonly string[]): string[] => ["ip", "netns", "exec", this.#name, ...command];

  /** As dockerd does it with a container's end. */
  start(host: string): void {
    const { id, mac } = this.endpoint;
    ip(`netns add ${this.#name}`);
    ip(`-n ${host} link set ${containerVethName(id)} netns ${this.#name} name eth0 address ${mac}`);
    for (const words of ["link set lo up", "link set eth0 up", `address add ${this.address}/24 dev eth0`])
      ip(`-n ${this.#name} ${words}`);
  }

  async stop(): Promise<void> {
    await this.server?.[Symbol.asyncDispose]();
    this.server = undefined;
    ip(`netns delete ${this.#name}`);
  }
}

/** A host: the network namespace hN, 192.168.77.N. */
export class LabHost {
  readonly name: string;
  readonly local: string;
  readonly log = new TestLog();
  readonly containers = new Map<number, LabContainer>();
  kernel: KernelClient;
  services: Services;
  readonly #lab: VipLab;

  private constructor(lab: VipLab, number: number, kernel: KernelClient) {
    this.#lab = lab;
    this.name = `h${number}`;
    this.local = `192.168.77.${number}`;
    this.kernel = kernel;
    this.services = this.#serve();
  }

  static async start(lab: VipLab, number: number): Promise<LabHost> {
    ip(`netns add h${number}`);
    ip(`link add up${number} type veth peer name eth0 netns h${number}`);
    ip(`link set up${number} master segment up`);
    for (const words of ["link set lo up", "link set eth0 up", `address add 192.168.77.${number}/24 dev eth0`])
      ip(`-n h${number} ${words}`);
    const host = new LabHost(lab, number, await openKernel(`h${number}`));
    await host.kernel.apply(planOverlay(vipNetwork, host.underlay));
    return host;
  }

  get underlay(): Underlay {
    return { local: this.local, port: 4789, mtuBytes: 1500, knowsPlaces: true };
  }

  get endpoints(): Endpoint[] {
    return [...this.containers.values()].map(({ endpoint }) => endpoint);
  }

  get remotes(): RemoteEndpoint[] {
    return this.endpoints.map(({ mac, addresses }) => ({
      ...{ mac: mac ?? "", vtep: this.local },
      ips: addresses.map((address) => parseHostAddress(address).ip.text),
    }));
  }

  /** Where the network is. */
  get namespace(): Place {
    return {
      enter: (command) => ["nsenter", `--net=${directoryOf(this.name)}/${namespaceName(vipNetwork.id)}`, ...command],
    };
  }

  /** The plugin ends, and begins anew. */
  async restart(): Promise<void> {
    await this.stopPlugin();
    this.kernel = await openKernel(this.name);
    this.services = this.#serve();
    await this.kernel.apply(planOverlay(vipNetwork, this.underlay));
    this.services.renew(vipNetwork.id);
    await this.services.idle();
  }

  async stopPlugin(): Promise<void> {
    await this.services.stop();
    await this.kernel.close();
  }

  /** What the reconciler does when the kernel reports something in the namespace. */
  repairWhenTold(): void {
    this.kernel.watch((change) => {
      if (change.what === "namespace") void this.services.repair(new Set([change.name]));
    });
  }

  #serve(): Services {
    return new Services({
      ...{ kernel: this.kernel, view: { network: () => this.#lab.gossip }, log: this.log },
      draining: { isDraining: (_, service, address) => this.#lab.draining.has(`${service} ${address}`) },
      remotes: () => this.#lab.remotesOf(this),
      isTold: async () => this.#lab.isTold,
      now: () => this.#lab.nowMs,
      networks: () => [{ network: vipNetwork, endpoints: this.endpoints }],
    });
  }
}

const directoryOf = (host: string): string => `/run/netns-${host}`;

/** A thread belongs to the network namespace in which it was started. */
async function openKernel(host: string): Promise<KernelClient> {
  mkdirSync(directoryOf(host), { recursive: true });
  return inNamespace(`/run/netns/${host}`, () => KernelClient.open({ mark, namespaceDir: directoryOf(host) }));
}

export class VipLab implements AsyncDisposable {
  readonly hosts: LabHost[] = [];
  /** "web 10.5.0.11" */
  readonly draining = new Set<string>();
  gossip: GossipNetwork | undefined;
  /** Endpoints of hosts that the lab does not have. */
  elsewhere: readonly RemoteEndpoint[] = [];
  nowMs = 0;
  /** Whether the control plane has told all. */
  isTold = true;
  /** Whether all hosts have had a virtual IP. */
  #haveServed = false;

  static async start(count: number): Promise<VipLab> {
    await readFile("/dev/null"); // threads of Node's pool belong to the network namespace of who makes them first, and stay
    ip("link add segment type bridge");
    ip("link set segment up");
    const lab = new VipLab();
    for (let number = 1; number <= count; number++) lab.hosts.push(await LabHost.start(lab, number));
    return lab;
  }

  host(number: number): LabHost {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`no host ${number}`);
    return host;
  }

  remotesOf(host: LabHost): RemoteEndpoint[] {
    return [...this.hosts.filter((other) => other !== host).flatMap(({ remotes }) => remotes), ...this.elsewhere];
  }

  /** A container on a host, of which all hosts know. @param server whether it answers */
  async add(on: number, number: number, server = true): Promise<LabContainer> {
    const host = this.host(on);
    const container = new LabContainer(number);
    await host.kernel.apply(planInnerVeth(vipNetwork, container.endpoint, host.underlay));
    container.start(host.name);
    host.containers.set(number, container);
    for (const other of this.hosts.filter((one) => one !== host)) {
      const places = host.remotes.map((remote) => remotePlace(vipNetwork, remote));
      await other.kernel.apply([ensurePlaces(vipNetwork, places)]);
    }
    if (server) container.server = await VipServer.start(container, container.address);
    return container;
  }

  /** A container dies, and all hosts hear of it. */
  async remove(number: number): Promise<void> {
    for (const host of this.hosts) {
      const container = host.containers.get(number);
      if (container === undefined) continue;
      host.containers.delete(number);
      await container.stop();
      await host.kernel.apply(planInnerVethRemoval(vipNetwork, container.endpoint));
      const { mac } = container.endpoint;
      for (const other of this.hosts.filter((one) => one !== host))
        await other.kernel.apply([removePlaces(vipNetwork, mac === null ? [] : [mac])]);
    }
  }

  /** What the swarm has now; all hosts are up to date when it resolves. */
  async serve(...services: readonly LabService[]): Promise<void> {
    this.gossip = {
      peers: this.hosts.map(({ local }) => local),
      services: services.map(({ name, vip, tasks }) => ({
        ...{ name, vip },
        tasks: tasks.map((n) => ({ name: `${name}.${n}`, endpoint: idOf(`e${n}e`), ip: addressOf(n) })),
      })),
    };
    await this.update();
  }

  async update(): Promise<void> {
    for (const { services } of this.hosts) {
      services.schedule(vipNetwork.id);
      // each opens a socket of libnftables then, and finds it as the only new one of its process (NftSocket): the plugin has one such thread
      if (!this.#haveServed) await services.idle();
    }
    for (const { services } of this.hosts) await services.idle();
    this.#haveServed ||= this.gossip?.services.some(({ vip }) => vip !== null) ?? false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.hosts) {
      for (const container of host.containers.values()) await container.stop();
      await host.kernel.apply([{ op: "remove-namespace", name: namespaceName(vipNetwork.id) }]).catch(() => {});
      await host.stopPlugin();
      ip(`netns delete ${host.name}`);
    }
    ip("link delete segment");
    await until("links are gone", soonMs, () => !ip("link show").includes("up1"));
  }
}
