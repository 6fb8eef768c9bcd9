import { explain } from "../../errors.ts";
import { namespaceName } from "../../net/names.ts";
import { directElements, mayBeDirect } from "../../plan/direct.ts";
import { planRouteRemoval } from "../../plan/direct-change.ts";
import { planLeftRoutes } from "../../plan/direct-left.ts";
import type { OverlayNetwork } from "../../plan/network.ts";
import type { Firewall } from "../firewall.ts";
import type { Kernel } from "../kernel.ts";
import type { Log } from "../log.ts";
import type { ControlPlane } from "./control-plane.ts";
import { DirectChanges, type DirectNetwork } from "./direct-changes.ts";
import { LeftRoutes } from "./direct-left-routes.ts";
import { DirectTold, type RoutedHost } from "./direct-told.ts";
import { families, hasSource, WayProofs } from "./way-proofs.ts";
import { WayTrials } from "./way-trials.ts";
import { Ways } from "./ways.ts";
import { WaysSaid } from "./ways-said.ts";

export interface DirectNeeds {
  readonly kernel: Pick<Kernel, "apply" | "observe" | "observePath" | "followPaths" | "probeWays" | "repairDirect">;
  readonly plane: Pick<
    ControlPlane,
    "knowsPlaces" | "isTold" | "isComplete" | "remotes" | "remote" | "hostsOf" | "ipv6Of"
  >;
  readonly firewall: Pick<Firewall, "setDirect">;
  readonly log: Log;
  /** directOverlays. */
  readonly recorded: () => readonly OverlayNetwork[];
}

/** How long changes are gathered before something is done about them. */
const gatherMs = 10;

/**
 * The short way between hosts of one segment (plan/direct.ts): which endpoints go it, as the control plane and the routing say, and as
 * packets get through. Whatever it is told, it does in turn, beside the requests: until then, packets go by VXLAN.
 */
export class Direct {
  readonly #needs: DirectNeeds;
  readonly #networks: () => readonly DirectNetwork[];
  readonly #ways: Ways;
  readonly #proofs: WayProofs;
  readonly #trials: WayTrials;
  /** What the kernel has been told, by network ID. */
  readonly #told = new Map<string, DirectTold>();
  /** What is to be looked at, by network ID: MAC addresses, or everything. */
  readonly #due = new Map<string, Set<string> | "all">();
  readonly #said: WaysSaid;
  readonly #changes: DirectChanges;
  readonly #left: LeftRoutes;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  /** @param networks those that this host has in the kernel now */
  constructor(needs: DirectNeeds, networks: () => readonly DirectNetwork[]) {
    this.#needs = needs;
    this.#networks = networks;
    this.#ways = new Ways(needs.kernel, (host) => needs.plane.ipv6Of?.(host) ?? null);
    this.#proofs = new WayProofs(needs.kernel);
    this.#said = new WaysSaid(this.#proofs, needs.log);
    this.#left = new LeftRoutes(needs.kernel);
    this.#changes = new DirectChanges({ ...needs, left: this.#left }, this.#ways, this.#proofs);
    this.#trials = new WayTrials({
      run: (id) => this.#tryWays(id),
      isOpen: (id) => this.#mine().some((one) => one.network.id === id && this.#isOpen(one)),
      onNews: (id) => this.schedule(id),
    });
  }

  /** Something of a network is to be looked at soon. @param macs of endpoints, besides its hosts; all of them if they are not given */
  schedule(id: string, macs?: readonly string[]): void {
    const due = this.#due.get(id);
    if (macs === undefined) this.#due.set(id, "all");
    else if (due === undefined) this.#due.set(id, new Set(macs));
    else if (due !== "all") for (const mac of macs) due.add(mac);
    if (!this.#isStopped) this.#timer ??= setTimeout(() => void this.#inTurn(() => this.#updateDue()), gatherMs);
  }

  /** What was in a network's namespace is gone: all of it is told again. */
  renew(id: string): void {
    void this.#inTurn(async () => {
      this.#told.get(id)?.doubt();
    });
    this.schedule(id);
  }

  /** A network that this host has no more, whose namespace is gone. */
  async forget(id: string): Promise<void> {
    this.#due.delete(id);
    await this.#inTurn(async () => {
      this.#trials.forget(id);
      this.#proofs.forgetNetwork(id);
      this.#said.forgetNetwork(id);
      await this.#needs.firewall.setDirect(id, []);
      for (const op of planRouteRemoval(this.#told.get(id)?.destinations ?? [])) await this.#needs.kernel.apply([op]);
      if (!this.#left.isOver) await this.#needs.kernel.apply([planLeftRoutes(this.#needs.recorded())]);
      this.#told.delete(id);
    });
  }

  /**
   * Looks at the ways, and compares everything with the kernel.
   * @param namespaces the names of those of the networks; all if they are not given
   * @returns what was wrong there, in words
   */
  async repair(namespaces?: ReadonlySet<string>): Promise<readonly string[]> {
    const { kernel, plane, recorded } = this.#needs;
    const isMeant = ({ network }: DirectNetwork): boolean => namespaces?.has(namespaceName(network.id)) ?? true;
    const isWhole = ({ network }: DirectNetwork): boolean => this.#told.get(network.id)?.isWhole ?? false;
    // routes are compared for all networks: what the control plane has just told of another may still wait for its turn
    const isDue = (one: DirectNetwork): boolean => isMeant(one) || (plane.isComplete() && !isWhole(one));
    let reasons: readonly string[] = [];
    await this.#inTurn(async () => {
      await this.#look();
      for (const { network } of this.#mine().filter(isDue)) await this.#updateOne(network.id, "all");
      const here = new Set(this.#networks().map(({ network }) => network.id));
      const names = [...here].map(namespaceName).filter((name) => namespaces?.has(name) ?? true);
      // what an earlier process has found to be good stays until it is tried
      const isTried = plane.isTold() && !this.#mine().some((one) => this.#isUntried(one));
      // who is not heard of may go on sending by the short way: without a route back, the kernel may drop it (rp_filter=1)
      const isToldOfAll = plane.isComplete() && this.#mine().every(isWhole);
      const isComplete = isTried && isToldOfAll && recorded().every(({ id }) => here.has(id));
      reasons = await kernel.repairDirect(names, isTried, isComplete);
      if (isComplete) this.#left.end();
      for (const { network } of this.#mine().filter(isMeant)) {
        if (network.datapath === "auto") this.#trials.start(network.id);
      }
    });
    return reasons;
  }

  /** Does no more, after what is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#trials.stop();
    await this.#turn;
  }

  async #updateDue(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const due = new Map(this.#due);
    this.#due.clear();
    for (const [id, macs] of due) await this.#updateOne(id, macs);
  }

  /** One that cannot be changed keeps no other from it; one may be gone meanwhile. */
  async #updateOne(id: string, macs: ReadonlySet<string> | "all"): Promise<void> {
    const one = this.#find(id);
    if (one === undefined) return;
    await this.#update(one, macs).catch((error: unknown) => {
      if (this.#find(id) !== undefined) this.#complain(error, id);
    });
  }

  /** Those of which anything may go the short way. It stays as an earlier process has left it until something is known of other hosts. */
  #mine(): DirectNetwork[] {
    const { plane } = this.#needs;
    if (!plane.knowsPlaces || !plane.isTold()) return [];
    return this.#networks().filter(({ network }) => mayBeDirect(network));
  }

  #find(id: string): DirectNetwork | undefined {
    return this.#mine().find(({ network }) => network.id === id);
  }

  /** Networks of hosts to which the way is another now are looked at soon. */
  async #look(): Promise<void> {
    const mine = this.#mine();
    const hosts = new Set(mine.flatMap(({ network }) => this.#needs.plane.hostsOf(network.vni)));
    const known = [...hosts].filter((host) => this.#ways.to(host) !== undefined);
    const changed = await this.#ways.look(hosts, new Set(mine.map(({ local }) => local)));
    for (const host of changed) {
      this.#proofs.forgetHost(host);
      if (!hosts.has(host)) this.#said.forgetHost(host);
    }
    const others = new Set(known.filter((host) => changed.includes(host)));
    for (const { network } of mine) {
      if (this.#needs.plane.hostsOf(network.vni).some((host) => others.has(host))) this.schedule(network.id);
    }
  }

  async #update(one: DirectNetwork, macs: ReadonlySet<string> | "all"): Promise<void> {
    const { plane, firewall } = this.#needs;
    const { network } = one;
    const hosts = plane.hostsOf(network.vni);
    if (!hosts.every((host) => this.#ways.isKnown(host))) await this.#look();
    // whoever is not heard of goes on sending as before
    await firewall.setDirect(network.id, directElements(network, this.#ways.linksTo(hosts)), !plane.isComplete());
    for (const host of hosts) {
      const way = this.#ways.to(host);
      if (way !== undefined) this.#said.say(network, host, way);
    }
    const told = this.#told.get(network.id) ?? new DirectTold();
    this.#told.set(network.id, told);
    if (macs === "all" && plane.isComplete()) told.isWhole = true;
    const before = told.hosts;
    try {
      await this.#changes.make(one, told, macs);
    } finally {
      // who is back may have another firewall, or none yet
      const left = told.hosts;
      for (const host of before) if (!left.has(host)) this.#proofs.forget(network.id, host);
      if (this.#isOpen(one)) this.#trials.start(network.id);
    }
  }

  /** All ways of a network, once: from when its routes are of the ways that are known. */
  async #tryWays(id: string): Promise<boolean> {
    let trial: Promise<boolean> | undefined;
    await this.#inTurn(async () => {
      await this.#updateDue();
      const one = this.#isStopped ? undefined : this.#find(id);
      trial = one && this.#proofs.try(one.network, one.endpoints, this.#routed(one));
    });
    try {
      return (await trial) ?? false;
    } catch (error) {
      const what = "whether other hosts can be reached without a tunnel could not be tried";
      this.#needs.log.warn({ network: id, error: explain(error) }, what);
      return false;
    }
  }

  /** Whether a way is not known to be good, or was not when it was tried last. */
  #isOpen(one: DirectNetwork): boolean {
    return this.#routed(one).some(({ host, family }) => !this.#proofs.isSure(one.network, host, family));
  }

  /** Whether a way was never tried. */
  #isUntried(one: DirectNetwork): boolean {
    return this.#routed(one).some(({ host, family }) => !this.#proofs.isKnown(one.network, host, family));
  }

  /** The ways that can be tried: what no endpoint of this host would send needs none. */
  #routed({ network, endpoints }: DirectNetwork): RoutedHost[] {
    const sent = new Set(families.filter((family) => hasSource(endpoints, family)));
    return (this.#told.get(network.id)?.routed ?? []).filter(({ family }) => sent.has(family));
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work).catch((error: unknown) => this.#complain(error));
    this.#turn = done;
    return done;
  }

  #complain(error: unknown, network?: string): void {
    const what = "the short way to other hosts could not be brought up to date";
    this.#needs.log.error({ ...(network === undefined ? {} : { network }), error: explain(error) }, what);
  }
}
