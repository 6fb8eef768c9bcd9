/** A host of a swarm, as far as virtual IPs go, in a world of values: what Docker would tell is given. */
import { expect } from "chai";
import { Services } from "../../src/driver/swarm/services.ts";
import { bridgeName, namespaceName } from "../../src/net/names.ts";
import type { GossipNetwork } from "../../src/plan/gossip.ts";
import type { Endpoint } from "../../src/plan/network.ts";
import type { Elements } from "../../src/plan/observed.ts";
import { planInnerVeth, planOverlay, type Underlay } from "../../src/plan/overlay.ts";
import type { RemoteEndpoint } from "../../src/plan/overlay-places.ts";
import { TestLog } from "./driver.ts";
import { Faults } from "./faults.ts";
import { endpointOf, idOf, overlayOf } from "./values.ts";
import { World } from "./world.ts";

export const network = overlayOf({ "tsnet.vni": "4242" }, { id: idOf("d1") });
export const namespace = namespaceName(network.id);
export const underlay: Underlay = { local: "192.0.2.1", port: 4789, mtuBytes: 1500, knowsPlaces: true };
export const vip = "10.5.0.200";
export const own = endpointOf({
  id: idOf("e9"),
  network: network.id,
  addresses: ["10.5.0.9/24"],
  mac: "02:42:0a:05:00:09",
});
export const remote = (n: number): RemoteEndpoint => ({
  mac: `02:42:0a:05:00:${n}`,
  ips: [`10.5.0.${n}`],
  vtep: "192.0.2.2",
});
export const service = (
  name: string,
  address: string | null,
  ...tasks: number[]
): GossipNetwork["services"][number] => ({
  ...{ name, vip: address },
  tasks: tasks.map((n) => ({ name: `${name}.${n}`, endpoint: `e${n}`, ip: `10.5.0.${n}` })),
});

/** A host with one container, 10.5.0.9, that knows of 10.5.0.10 to .12 on others. */
export class ServiceHost {
  readonly world = new World();
  readonly log = new TestLog();
  readonly faults = new Faults();
  readonly draining = new Set<string>();
  gossip: GossipNetwork | undefined;
  endpoints: Endpoint[] = [own];
  remotes = [10, 11, 12].map(remote);
  isTold = true;
  isActive = true;
  nowMs = 1_000;
  kernel = this.world.open(this.faults);
  services = this.#open();

  static async start(): Promise<ServiceHost> {
    const host = new ServiceHost();
    await host.kernel.apply([...planOverlay(network, underlay), ...planInnerVeth(network, own, underlay)]);
    return host;
  }

  async tell(...services: GossipNetwork["services"]): Promise<void> {
    this.gossip = { peers: [], services };
    await this.update();
  }

  async update(): Promise<void> {
    this.services.schedule(network.id);
    await this.services.idle();
  }

  /** @param minutes pass, with the regular comparison at their end. @returns what it found wrong */
  async pass(minutes: number): Promise<readonly string[]> {
    this.nowMs += minutes * 60_000;
    return this.services.repair();
  }

  /** The process ends, and another begins. */
  async restart(): Promise<void> {
    await this.services.stop();
    this.kernel = this.world.open();
    this.services = this.#open();
    this.services.renew(network.id);
    await this.services.idle();
  }

  get vips() {
    return this.world.namespaces.get(namespace)?.vips ?? expect.fail("no namespace");
  }

  get table(): Elements | null {
    return this.vips.table;
  }

  /** Whoever has a slot, in order. */
  get slots(): string[] {
    return Object.values(this.table?.["slots"] ?? {});
  }

  get addresses(): string[] {
    const { links } = this.world;
    const index = links.find(bridgeName(network.id), namespace)?.index;
    return links.addresses.flatMap(({ link, address }) => (link === index ? [address] : []));
  }

  #open(): Services {
    return new Services({
      ...{ kernel: this.kernel, view: { network: () => this.gossip }, log: this.log },
      draining: { isDraining: (_, name, ip) => this.draining.has(`${name} ${ip}`) },
      networks: () => (this.isActive ? [{ network, endpoints: this.endpoints }] : []),
      remotes: () => this.remotes,
      isTold: async () => this.isTold,
      now: () => this.nowMs,
    });
  }
}
