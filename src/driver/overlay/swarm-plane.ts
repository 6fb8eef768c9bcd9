import { TsnetError } from "../../errors.ts";
import { isSwarmNetwork } from "../../plan/gossip.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { RemoteEndpoint } from "../../plan/overlay-places.ts";
import type { ControlPlane, RemoteListener } from "./control-plane.ts";
import { GossipFeed } from "./gossip-feed.ts";
import { joinByFlooding } from "./join-by-flooding.ts";
import type { SwarmPlaneNeeds } from "./swarm-needs.ts";

const remedy = "set TSNET_ETCD_ENDPOINTS, or TSNET_PEERS to their addresses";

const reasons = {
  flood: "the nodes of a swarm find plain containers by flooding",
  datapath: "the nodes of a swarm do not tell each other where endpoints are",
};

/**
 * A swarm's nodes, which tell each other of their networks themselves: what is for all goes to the nodes that have the network, and
 * from the answers each learns who is where; tasks are known before, so that nobody has to ask for them. Where Docker is not to be
 * asked, all nodes are taken to have all networks.
 *
 * Networks that are of no swarm were made when etcd or peers were set. They go on with what the kernel has of them, and can be removed;
 * there are no new ones.
 */
export class SwarmPlane implements ControlPlane {
  readonly knowsPlaces = false;
  readonly #needs: SwarmPlaneNeeds;
  readonly #feed: GossipFeed;
  #ownAddresses: ReadonlySet<string> = new Set();
  #listener: RemoteListener | undefined;

  constructor(needs: SwarmPlaneNeeds) {
    this.#needs = needs;
    this.#feed = new GossipFeed(needs);
  }

  missingFor(network: Pick<OverlayNetwork, "id">): string | undefined {
    return isSwarmNetwork(network) ? undefined : `mode=overlay needs to know of the other hosts: ${remedy}`;
  }

  isTold(): boolean {
    return this.isComplete();
  }

  /** What the kernel has of other hosts in a network that is of no swarm is nobody's to judge. */
  isComplete(vni?: number): boolean {
    const hasLeft = [...this.#needs.own()].some(
      ({ network, endpoints }) =>
        !isSwarmNetwork(network) && endpoints.length > 0 && (vni === undefined || network.vni === vni),
    );
    return !hasLeft && this.#feed.isComplete(vni);
  }

  /** Another host rather than this one: the routing says which address leads there, also before Docker says anything. */
  somewhere = (): string | null => {
    const { gossip, nodes, own } = this.#needs;
    for (const { network } of own()) {
      const [host] = this.#hostsOf(network.id);
      if (host !== undefined) return host;
    }
    return nodes.addresses()[0] ?? gossip?.nodeAddress() ?? nodes.self();
  };

  /** @throws TsnetError as well for a network that no other host can have */
  async joinNetwork(network: OverlayNetwork): Promise<number> {
    if (!isSwarmNetwork(network)) {
      const what = `mode=overlay for network ${network.id.slice(0, 12)}, which is of this host alone, needs to know of the other hosts`;
      const other = "make the network in a swarm (TSNET_SCOPE=global on all nodes)";
      throw new TsnetError("invalid", `${what}: ${remedy}, or ${other}`);
    }
    return await joinByFlooding(network, reasons, this.#needs.isFree);
  }

  async leaveNetwork(): Promise<void> {}

  /** Addresses are the swarm's own to give. */
  async claim(network: OverlayNetwork): Promise<void> {
    const missing = this.missingFor(network);
    if (missing !== undefined) throw new TsnetError("invalid", missing);
  }

  async release(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    this.#feed.release(network, endpoint);
  }

  remotes(vni: number): Iterable<RemoteEndpoint> {
    return this.#feed.remotes(vni);
  }

  remote(vni: number, mac: string): RemoteEndpoint | undefined {
    return this.#feed.remote(vni, mac);
  }

  hostsOf(vni: number): readonly string[] {
    const networks = [...this.#needs.own()].map(({ network }) => network);
    const asked = networks.filter((network) => network.vni === vni && isSwarmNetwork(network));
    return asked.flatMap(({ id }) => this.#hostsOf(id));
  }

  start(listener: RemoteListener): void {
    this.#listener = listener;
    this.#needs.nodes.onChange(() => this.#lookAgain());
    this.#feed.start(listener, { look: () => this.#look(), of: (id) => this.#hostsOf(id) });
  }

  async close(): Promise<void> {
    this.#listener = undefined;
    this.#feed.close();
  }

  /** Other hosts may have a network than was told, while the gossip has not changed. */
  #lookAgain(): void {
    this.#feed.hearAgain();
    this.#listener?.onHosts(null);
  }

  /** What cannot be asked for is as it was. */
  async #look(): Promise<void> {
    this.#ownAddresses = await this.#needs.ownAddresses().then(
      (addresses) => new Set(addresses),
      () => this.#ownAddresses,
    );
  }

  #hostsOf(id: string): string[] {
    const { gossip, nodes } = this.#needs;
    const self = [gossip?.nodeAddress(), nodes.self()];
    const peers = this.#feed.peersOf(id) ?? nodes.addresses();
    return peers.filter((peer) => !self.includes(peer) && !this.#ownAddresses.has(peer));
  }
}
