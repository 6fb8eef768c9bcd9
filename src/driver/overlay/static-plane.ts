import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { RemoteEndpoint } from "../../plan/overlay-places.ts";
import type { ControlPlane, RemoteListener } from "./control-plane.ts";
import { GossipFeed } from "./gossip-feed.ts";
import { joinByFlooding } from "./join-by-flooding.ts";
import type { GossipFeedNeeds } from "./swarm-needs.ts";

export interface StaticPlaneNeeds extends GossipFeedNeeds {
  /** The other hosts' tunnel addresses. */
  readonly peers: readonly string[];
  /** Whether no VXLAN link of this host, wherever it is, has a VNI. */
  readonly isFree: (vni: number) => Promise<boolean>;
}

const reasons = {
  flood: "hosts that know each other by TSNET_PEERS alone find endpoints by flooding",
  datapath: "hosts that know each other by TSNET_PEERS alone do not know where endpoints are",
};

/**
 * Hosts that know of each other no more than TSNET_PEERS says: what is for all goes to all of them, and from the answers each learns
 * who is where. Networks with the same subnets are the same, unless a VNI is given. The nodes of a swarm tell each other of tasks besides.
 */
export class StaticPlane implements ControlPlane {
  readonly knowsPlaces = false;
  readonly #needs: StaticPlaneNeeds;
  readonly #feed: GossipFeed;

  constructor(needs: StaticPlaneNeeds) {
    this.#needs = needs;
    this.#feed = new GossipFeed(needs);
  }

  isTold(): boolean {
    return this.isComplete();
  }

  isComplete(vni?: number): boolean {
    return this.#feed.isComplete(vni);
  }

  somewhere = (): string | null => this.#needs.peers[0] ?? null;

  joinNetwork(network: OverlayNetwork): Promise<number> {
    return joinByFlooding(network, reasons, this.#needs.isFree);
  }

  async leaveNetwork(): Promise<void> {}

  async claim(): Promise<void> {}

  async release(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    this.#feed.release(network, endpoint);
  }

  remotes(vni: number): Iterable<RemoteEndpoint> {
    return this.#feed.remotes(vni);
  }

  remote(vni: number, mac: string): RemoteEndpoint | undefined {
    return this.#feed.remote(vni, mac);
  }

  hostsOf(): readonly string[] {
    return this.#needs.peers;
  }

  start(listener: RemoteListener): void {
    this.#feed.start(listener);
  }

  async close(): Promise<void> {
    this.#feed.close();
  }
}
