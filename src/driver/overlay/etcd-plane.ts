import { explain } from "../../errors.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { RemoteEndpoint } from "../../plan/overlay-places.ts";
import { Attempts } from "../ipam/attempts.ts";
import type { ControlPlane, RemoteListener } from "./control-plane.ts";
import { EtcdFeed } from "./etcd-feed.ts";
import { EtcdHosts } from "./etcd-hosts.ts";
import { type EtcdPlaneNeeds, type EtcdPlaneTiming, timingOf } from "./etcd-needs.ts";
import { EtcdNetworks } from "./etcd-networks.ts";
import { EtcdPlaces, withPatience } from "./etcd-places.ts";
import { EtcdSettle } from "./etcd-settle.ts";
import { HostList } from "./host-list.ts";

/**
 * etcd knows the networks, who is where, and the hosts. What this host has stands in its own records first: whatever etcd has lost,
 * or could not be told, is put right when it can be reached.
 */
export class EtcdPlane implements ControlPlane {
  readonly knowsPlaces = true;
  readonly list: HostList;
  readonly #needs: EtcdPlaneNeeds;
  readonly #timing: EtcdPlaneTiming;
  readonly #attempts: Attempts;
  readonly #feed: EtcdFeed;
  readonly #networks: EtcdNetworks;
  readonly #places: EtcdPlaces;
  readonly #settle: EtcdSettle;

  constructor(needs: EtcdPlaneNeeds) {
    const timing = timingOf(needs);
    const hint =
      "overlay networks need it for what is new, and what runs goes on without; try again when it can be reached";
    const attempts = new Attempts({ endpoints: needs.etcd, hint, timing });
    const feed = new EtcdFeed({ ...needs, graceMs: timing.graceMs, onOwn: (hasLost) => this.#settle.soon(hasLost) });
    const common = { ...needs, feed, attempts };
    const hosts = new EtcdHosts(common);
    this.#needs = needs;
    this.#timing = timing;
    this.#attempts = attempts;
    this.#feed = feed;
    this.#networks = new EtcdNetworks({ ...common, hosts });
    this.#places = new EtcdPlaces({ ...common, hosts });
    this.#settle = new EtcdSettle({ ...common, hosts, networks: this.#networks, places: this.#places }, timing);
    this.list = new HostList({ ...needs, feed, hosts, beatMs: timing.beatMs });
  }

  isTold(): boolean {
    return this.#feed.isTold;
  }

  isComplete(): boolean {
    return this.#feed.isComplete;
  }

  /** The first member that is given by its address. */
  somewhere = (): string | null => {
    for (const url of this.#needs.etcd) {
      const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
      if (host.includes(":") || /^[\d.]+$/.test(host)) return host;
    }
    return null;
  };

  start(listener: RemoteListener): void {
    this.#feed.start(listener);
    this.#settle.start();
  }

  async close(): Promise<void> {
    this.#attempts.close();
    await Promise.all([this.#feed.close(), this.#settle.close()]);
  }

  async joinNetwork(network: OverlayNetwork): Promise<number> {
    try {
      return await this.#networks.join(network);
    } catch (error) {
      this.#settle.soon(); // the others may have heard of this host for nothing
      throw error;
    }
  }

  leaveNetwork(network: OverlayNetwork): Promise<void> {
    return this.#nowOrLater(this.#networks.leave(network), { network: network.id });
  }

  claim(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    return this.#places.claim(network, endpoint);
  }

  release(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    return this.#nowOrLater(this.#places.release(network, endpoint), { endpoint: endpoint.id });
  }

  networks(): ReadonlyMap<number, readonly string[]> {
    return new Map([...this.#feed.networks].map(([vni, { subnets }]) => [vni, subnets]));
  }

  ipv6Of(vtep: string): string | null {
    return this.#feed.hosts.at(vtep)?.ipv6 ?? null;
  }

  remotes(vni: number): Iterable<RemoteEndpoint> {
    return this.#feed.places.remotes(vni);
  }

  remote(vni: number, mac: string): RemoteEndpoint | undefined {
    return this.#feed.places.remote(vni, mac);
  }

  hostsOf(vni: number): readonly string[] {
    return this.#feed.places.hostsOf(vni);
  }

  #nowOrLater(work: Promise<void>, fields: object): Promise<void> {
    const done = work.catch((error: unknown) => {
      this.#needs.log.warn({ ...fields, error: explain(error) }, "other hosts are told later that something is gone");
      this.#settle.soon();
    });
    return withPatience(done, this.#timing.patienceMs);
  }
}
