import { explain } from "../../errors.ts";
import { type GossipNetwork, isSwarmNetwork } from "../../plan/gossip.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { RemoteEndpoint } from "../../plan/overlay-places.ts";
import { Locks } from "../locks.ts";
import type { RemoteListener } from "./control-plane.ts";
import { type AddressTasks, tasksByMac, tasksOf } from "./gossip-tasks.ts";
import { LostNodes } from "./lost-nodes.ts";
import type { GossipFeedNeeds } from "./swarm-needs.ts";

/** The hosts that have a network, where the gossip says that as well. */
export interface HeardHosts {
  /** Finds out what `of` needs besides the gossip, before it is asked. */
  look(): Promise<void>;
  /** @param id of a network */
  of(id: string): readonly string[];
}

/** What the listener was told of a network. */
interface Told {
  /** "10.0.0.2,10.0.0.3"; undefined where somebody else says who has it. */
  readonly hosts: string | undefined;
  readonly tasks: ReadonlyMap<string, AddressTasks>;
}

/**
 * Tells of the tasks of services that other nodes of a swarm have, so that nobody has to ask for them, without where they are: for a
 * control plane that does not know places either.
 */
export class GossipFeed {
  readonly #needs: GossipFeedNeeds;
  readonly #turns = new Locks();
  /** By network ID. */
  readonly #told = new Map<string, Told>();
  /** IDs of the networks of which the kernel has all. */
  readonly #complete = new Set<string>();
  /** Endpoints that this host has no more, of which the gossip may not have heard; with their networks. */
  readonly #left = new Map<string, string>();
  /** By network ID, and MAC address. */
  readonly #tasks = new Map<string, ReadonlyMap<string, AddressTasks>>();
  readonly #lost: LostNodes;
  #listener: RemoteListener | undefined;
  #hosts: HeardHosts | undefined;
  #wasComplete = false;
  #hasSaidMacs = false;

  constructor(needs: GossipFeedNeeds) {
    this.#needs = needs;
    const { nodes, now = () => performance.now() } = needs;
    this.#lost = new LostNodes({ isGone: (address) => nodes.isGone(address), now, onOver: () => this.hearAgain() });
  }

  /** ControlPlane.isComplete, of the networks of the swarm. */
  isComplete(vni?: number): boolean {
    if (this.#needs.gossip === undefined) return true;
    const wanted = [...this.#needs.own()].filter(
      ({ network, endpoints }) =>
        isSwarmNetwork(network) && endpoints.length > 0 && (vni === undefined || network.vni === vni),
    );
    return wanted.every(({ network }) => this.#complete.has(network.id));
  }

  /** This host has an endpoint no more. */
  release({ id }: Pick<OverlayNetwork, "id">, endpoint: Pick<Endpoint, "id">): void {
    if (this.#needs.gossip?.network(id)) this.#left.set(endpoint.id, id);
  }

  /** The nodes that have a network, and those that may; undefined before anything was heard of it. */
  peersOf(id: string): readonly string[] | undefined {
    const peers = this.#needs.gossip?.network(id)?.peers;
    return peers && [...peers, ...this.#lost.peers(id)];
  }

  *remotes(vni: number): Generator<RemoteEndpoint> {
    for (const id of this.#idsOf(vni)) {
      for (const mac of this.#tasksOf(id).keys()) {
        const remote = this.#remote(id, mac);
        if (remote !== undefined) yield remote;
      }
    }
  }

  remote(vni: number, mac: string): RemoteEndpoint | undefined {
    return this.#idsOf(vni)
      .map((id) => this.#remote(id, mac))
      .find((remote) => remote !== undefined);
  }

  /** Begins. */
  start(listener: RemoteListener, hosts?: HeardHosts): void {
    this.#listener = listener;
    this.#hosts = hosts;
    this.#needs.gossip?.onChange((id) => this.#hear(id));
    for (const { network } of this.#needs.own()) this.#hear(network.id);
  }

  /** Something else may be known of the hosts of all networks, and so of their tasks. */
  hearAgain(): void {
    for (const id of new Set([...this.#told.keys(), ...this.#lost.ids()])) this.#hear(id);
  }

  close(): void {
    this.#listener = undefined;
    this.#lost.close();
  }

  /** Something else is known of a network, or nothing more, or of this node. */
  #hear(id: string): void {
    if (id === "") {
      this.hearAgain();
      return;
    }
    const { gossip, makesMacs, log } = this.#needs;
    const network = gossip?.network(id);
    this.#lost.hear(id, network);
    if (network === undefined) {
      this.#forget(id);
      return;
    }
    if (makesMacs) this.#tasks.set(id, tasksByMac(id, [...tasksOf(network), ...this.#lost.tasks(id)]));
    this.#turns
      .exclusive(id, () => this.#tell(id))
      .catch((error: unknown) => {
        log.error(
          { network: id, error: explain(error) },
          "what the swarm's nodes have of a network was not understood",
        );
      });
  }

  #forget(id: string): void {
    this.#told.delete(id);
    this.#tasks.delete(id);
    this.#complete.delete(id);
    for (const [endpoint, network] of this.#left) if (network === id) this.#left.delete(endpoint);
  }

  /** What differs from what was told. */
  async #tell(id: string): Promise<void> {
    const network = [...this.#needs.own()].find((one) => one.network.id === id)?.network;
    await this.#hosts?.look();
    const gossip = this.#needs.gossip?.network(id);
    if (gossip === undefined || network === undefined || this.#listener === undefined) return;
    this.#forgetLeft(id, gossip);
    this.#sayMacs(gossip);
    const { vni } = network;
    const before = this.#told.get(id);
    const told: Told = { hosts: this.#hosts?.of(id).join(), tasks: this.#tasksOf(id) };
    this.#told.set(id, told);
    if (before?.hosts !== told.hosts) this.#listener.onHosts(vni);
    const { put, removed } = this.#changeOf(id, before?.tasks, told.tasks);
    if (put.length > 0 || removed.length > 0 || before === undefined) {
      await this.#listener.onChange({ vni, put, removed });
    }
    // it may have been forgotten meanwhile
    if (this.#told.get(id) === told) this.#complete.add(id);
    if (this.#wasComplete || !this.isComplete()) return;
    this.#wasComplete = true;
    this.#listener?.onHosts(null);
  }

  #changeOf(id: string, before: Told["tasks"] | undefined, tasks: Told["tasks"]) {
    const isNew = (mac: string): boolean => `${before?.get(mac)?.endpoints}` !== `${tasks.get(mac)?.endpoints}`;
    const put = [...tasks.keys()].filter(isNew).flatMap((mac) => this.#remote(id, mac) ?? []);
    const removed = [...(before?.keys() ?? [])].filter((mac) => !tasks.has(mac));
    return { put, removed };
  }

  /** Of an endpoint that is gone from the gossip as well nobody will hear again. */
  #forgetLeft(id: string, { services }: GossipNetwork): void {
    const tasks = [...services.flatMap(({ tasks }) => tasks), ...this.#lost.possibleTasks(id)];
    const known = new Set(tasks.map(({ endpoint }) => endpoint));
    for (const [endpoint, network] of this.#left) {
      if (network === id && !known.has(endpoint)) this.#left.delete(endpoint);
    }
  }

  /** Once, when a virtual IP has a task elsewhere of which nothing can be told. */
  #sayMacs({ services }: GossipNetwork): void {
    const { makesMacs, isOwn, log } = this.#needs;
    if (makesMacs || this.#hasSaidMacs) return;
    const service = services.find(
      ({ name, vip, tasks }) => name !== "" && vip !== null && tasks.some(({ endpoint }) => !isOwn(endpoint)),
    );
    if (service === undefined) return;
    this.#hasSaidMacs = true;
    const what = "virtual IPs of services lead to tasks on this host alone, as Docker makes MAC addresses";
    const remedy =
      "leave TSNET_REQUIRES_MAC_ADDRESS=true out, set TSNET_ETCD_ENDPOINTS, or use --endpoint-mode dnsrr or tasks.SERVICE";
    log.warn({ service: service.name, vip: service.vip, remedy }, what);
  }

  #remote(id: string, mac: string): RemoteEndpoint | undefined {
    const found = this.#tasksOf(id).get(mac);
    const { isOwn } = this.#needs;
    const isElsewhere = found?.endpoints.some((endpoint) => !isOwn(endpoint) && !this.#left.has(endpoint));
    return found && isElsewhere ? { mac, ips: [found.ip], vtep: null } : undefined;
  }

  #tasksOf = (id: string): ReadonlyMap<string, AddressTasks> => this.#tasks.get(id) ?? new Map();

  #idsOf(vni: number): string[] {
    return [...this.#needs.own()].flatMap(({ network }) => (network.vni === vni ? network.id : []));
  }
}
