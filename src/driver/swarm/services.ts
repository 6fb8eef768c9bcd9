import { explain } from "../../errors.ts";
import { namespaceName } from "../../net/names.ts";
import type { GossipNetwork } from "../../plan/gossip.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { VirtualTargets } from "../../plan/op.ts";
import type { RemoteEndpoint } from "../../plan/overlay-places.ts";
import { planForgetting } from "../../plan/vip-flows.ts";
import {
  inNetwork,
  planVips,
  type VipsFound,
  vipSysctls,
  vipsAsWanted,
  vipsFound,
  type WantedVips,
} from "../../plan/vips.ts";
import type { Kernel } from "../kernel.ts";
import type { Log } from "../log.ts";
import { type NetworkService, type ReadServices, readServices, tasksAmong, virtualIps } from "./service-tasks.ts";
import { Told } from "./told.ts";

/** A network that this host has in the kernel, with its endpoints there. */
export interface ServedNetwork {
  readonly network: OverlayNetwork;
  readonly endpoints: readonly Endpoint[];
}

export interface ServicesNeeds {
  readonly kernel: Pick<Kernel, "apply" | "observeNamespace" | "observeSysctls" | "repairTable">;
  /** What the nodes of the swarm tell each other; undefined for a network of which nothing was told since the start. */
  readonly view: { network(id: string): GossipNetwork | undefined };
  /** Tasks that are about to be stopped, or are not ready yet: they get no new connections. */
  readonly draining: { isDraining(network: string, service: string, ip: string): boolean };
  /** Endpoints of other hosts, of which the kernel has been told. */
  readonly remotes: (network: OverlayNetwork) => Iterable<RemoteEndpoint>;
  /** Those that are all there. */
  readonly networks: () => readonly ServedNetwork[];
  /** Whether those are all that there are: before, what an earlier process has left stays. It is not asked again. */
  readonly isTold: (network: OverlayNetwork) => Promise<boolean>;
  readonly log: Log;
  /** By performance.now(). */
  readonly now: () => number;
}

/** A service as `tsnet services` shows it. */
export interface ListedService extends NetworkService {
  /** Full ID. */
  readonly network: string;
}

/** How long changes are gathered before something is done about them. */
const gatherMs = 10;

/**
 * The virtual IPs of this host's networks (plan/vips.ts), as the swarm's nodes tell of services. A task that drains keeps what it has,
 * UDP flows too, until it is gone. A service that is gone is refused for a while. Nothing is removed of a network of which nothing was
 * told since the start.
 */
export class Services {
  readonly #needs: ServicesNeeds;
  /** By network ID. */
  readonly #told = new Map<string, Told>();
  readonly #due = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(needs: ServicesNeeds) {
    this.#needs = needs;
  }

  /** Something of a network may be another soon: services, tasks, who of them drains, or where they are. */
  schedule(id: string): void {
    this.#due.add(id);
    if (!this.#isStopped) this.#timer ??= setTimeout(() => void this.#inTurn(() => this.#updateDue()), gatherMs);
  }

  /** What was in a network's namespace may be gone, or an endpoint's link is a new one: it is looked at. */
  renew(id: string): void {
    void this.#inTurn(async () => {
      const told = this.#told.get(id);
      if (told) told.found = null;
    });
    this.schedule(id);
  }

  /** A network that this host has no more, whose namespace is gone. */
  forget(id: string): void {
    this.#due.delete(id);
    void this.#inTurn(async () => {
      this.#told.get(id)?.trouble.stop();
      this.#told.delete(id);
    });
  }

  /** Waits for what is under way. */
  async idle(): Promise<void> {
    while (this.#timer !== undefined) await this.#inTurn(() => this.#updateDue());
    await this.#turn;
  }

  /** Does no more, after what is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#turn;
    for (const { trouble } of this.#told.values()) trouble.stop();
  }

  /** All services of this host's networks. */
  list(): ListedService[] {
    return this.#needs.networks().flatMap((one) => {
      const read = this.#read(one);
      return (read?.services ?? []).map((service) => ({ network: one.network.id, ...service }));
    });
  }

  /**
   * Compares with the kernel, and mends what differs.
   * @param namespaces the names of those of the networks; all if they are not given
   * @returns what was wrong, in words
   */
  async repair(namespaces?: ReadonlySet<string>): Promise<readonly string[]> {
    const reasons: string[] = [];
    await this.#inTurn(async () => {
      for (const one of this.#needs.networks()) {
        const name = namespaceName(one.network.id);
        if (namespaces?.has(name) === false || !this.#told.has(one.network.id)) continue;
        const found = await this.#attempt(one.network.id, () => this.#repair(one));
        reasons.push(...(found ?? []).map((reason) => `virtual IPs of network ${one.network.id}: ${reason}`));
      }
    });
    return reasons;
  }

  async #repair(one: ServedNetwork): Promise<readonly string[]> {
    const told = this.#toldOf(one.network.id);
    // nothing is wrong with what is not wanted any more
    if (told.absent.isDue(this.#needs.now())) await this.#update(one);
    const wasKnown = told.found !== null;
    told.found = null;
    const reasons = await this.#update(one);
    const table = await this.#needs.kernel.repairTable(namespaceName(one.network.id));
    return wasKnown ? [...reasons, ...table] : table;
  }

  async #updateDue(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const due = new Set(this.#due);
    this.#due.clear();
    if (due.size === 0) return;
    for (const one of this.#needs.networks()) {
      const { id } = one.network;
      if (due.has(id)) await this.#attempt(id, () => this.#update(one));
    }
  }

  /** @returns what was not as it was to be, in words */
  async #update(one: ServedNetwork): Promise<readonly string[]> {
    const { network, endpoints } = one;
    const told = this.#toldOf(network.id);
    told.isReady ||= this.#needs.view.network(network.id) !== undefined && (await this.#needs.isTold(network));
    const read = told.isReady ? this.#read(one) : undefined;
    if (read === undefined) return [];
    told.said.say(read.services, read.refused);
    const found = told.found ?? (await this.#observe(network));
    if (found === null) return []; // it is made anew, or going
    const nowMs = this.#needs.now();
    if (told.targets === undefined) told.absent.adopt(found.addresses, nowMs);
    const services = [...read.services, ...told.absent.of(read, nowMs)];
    const virtual = virtualIps(services, told.virtual);
    const wanted: WantedVips = { network, virtual, ownTasks: tasksAmong(endpoints, services) };
    const { ops, reasons } = planVips(wanted, found);
    // if that fails, nobody knows what has been done
    told.found = null;
    await this.#needs.kernel.apply([inNetwork(network, ops)]);
    told.found = vipsAsWanted(wanted);
    told.virtual = virtual;
    await this.#forgetFlows(network, told, services);
    told.trouble.end();
    return reasons;
  }

  #read({ network, endpoints }: ServedNetwork): ReadServices | undefined {
    const { view, draining } = this.#needs;
    const gossip = view.network(network.id);
    if (gossip === undefined) return undefined;
    const remotes = new Set<string>();
    for (const { ips } of this.#needs.remotes(network)) for (const ip of ips) remotes.add(ip);
    const isDraining = (service: string, ip: string): boolean => draining.isDraining(network.id, service, ip);
    return readServices({ network, endpoints, remotes, gossip, isDraining });
  }

  async #observe(network: OverlayNetwork): Promise<VipsFound | null> {
    const { kernel } = this.#needs;
    const name = namespaceName(network.id);
    const observed = await kernel.observeNamespace(name);
    if (observed === null) return null;
    const keys = vipSysctls(network).map(([key]) => key);
    const values = await kernel.observeSysctls(name, keys);
    const sysctls = keys.flatMap((key, n) => (values[n] == null ? [] : [[key.join("/"), values[n]] as const]));
    return vipsFound(network, observed, new Map(sysctls));
  }

  /** UDP flows to tasks that are gone; a task that drains is not. */
  async #forgetFlows({ id }: OverlayNetwork, told: Told, services: readonly NetworkService[]): Promise<void> {
    const targets: VirtualTargets[] = services.flatMap(({ vip, tasks }) =>
      vip === null ? [] : [{ vip, targets: tasks.map(({ ip }) => ip) }],
    );
    const op = planForgetting(id, told.targets, targets);
    // if that fails, it is done the next time
    if (op !== null) await this.#needs.kernel.apply([op]);
    told.targets = targets;
  }

  #toldOf(id: string): Told {
    const again = (): void => this.schedule(id);
    const told = this.#told.get(id) ?? new Told({ network: id, log: this.#needs.log, again });
    this.#told.set(id, told);
    return told;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch((error: unknown) => {
      this.#needs.log.error({ error: explain(error) }, "virtual IPs of services could not be brought up to date");
    });
    return done.catch(() => {});
  }

  /** One that cannot be changed keeps no other from it. */
  async #attempt<T>(id: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#toldOf(id).trouble.note(error);
      return undefined;
    }
  }
}
