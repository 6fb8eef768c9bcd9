import { explain } from "../errors.ts";
import { isDockerLink, parseLinkAlias } from "../net/names.ts";
import { type Endpoint, type GatewayNetwork, hasGateway } from "../plan/network.ts";
import type { Observed, ObservedLink } from "../plan/observed.ts";
import { dockerLinks, planReconcile, type Recorded, removedGroup, settled } from "../plan/reconcile.ts";
import { planLanReconcile, type SandboxLinks } from "../plan/reconcile-lan.ts";
import { isAmiss } from "./amiss.ts";
import type { Announcements } from "./announcements.ts";
import type { Collector } from "./collector.ts";
import type { Firewall } from "./firewall.ts";
import type { Forwarding } from "./forwarding.ts";
import type { HostAccess } from "./host-access.ts";
import type { Kernel, KernelChange } from "./kernel.ts";
import type { Locks } from "./locks.ts";
import type { Log } from "./log.ts";
import type { Networks } from "./networks.ts";
import type { Overlays } from "./overlay/overlays.ts";
import type { ParentWatch } from "./parent-watch.ts";
import type { Ports } from "./ports.ts";
import { everything, namespacesOf, type Part, partsOf } from "./reconciler-parts.ts";
import type { Removals } from "./removals.ts";
import { type RepairCount, Repairs } from "./repairs.ts";
import { SecondTries } from "./second-tries.ts";
import type { State } from "./state.ts";

/** How long changes are gathered before something is done about them. */
const gatherMs = 10;
/** The least time between the ends and starts of two comparisons, so that a fight with somebody else costs little. */
const pauseMs = 200;
/** Everything is compared this often, whatever the kernel reports. */
const intervalMs = 30_000;
/** What could not be repaired is tried again after this time, and after twice, four times and so on. */
const secondTryMs = 500;

/** What the reconciler needs. */
export interface ReconcilerNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly firewall: Firewall;
  readonly forwarding: Forwarding;
  readonly ports: Ports;
  readonly networks: Networks;
  readonly collector: Collector;
  readonly hostAccess: HostAccess;
  readonly parents: ParentWatch;
  readonly announcements: Announcements;
  readonly overlays: Overlays;
  readonly removals: Removals;
  readonly locks: Locks;
  readonly log: Log;
}

/** Compares wanted with observed when the kernel reports a change, and regularly, and repairs what differs. */
export class Reconciler {
  readonly #needs: ReconcilerNeeds;
  readonly #due = new Set<Part>();
  #timer: NodeJS.Timeout | undefined;
  #interval: NodeJS.Timeout | undefined;
  readonly #secondTries = new SecondTries(secondTryMs, intervalMs);
  #secondTry: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;
  readonly #repairs: Repairs;

  constructor(needs: ReconcilerNeeds) {
    this.#needs = needs;
    this.#repairs = new Repairs(needs.log);
  }

  /** Reads the records and makes the kernel agree with them; once, at the start. What the kernel reports meanwhile waits. */
  async restore(): Promise<void> {
    const restored = this.#restore();
    // Before the records are read, everything that is ours would look like a leftover.
    this.#running = restored.catch(() => {
      this.#isStopped = true;
    });
    await restored;
  }

  async #restore(): Promise<void> {
    const { state, kernel, firewall, hostAccess, parents, ports, networks, overlays, removals, log } = this.#needs;
    kernel.watch((change) => this.#onChange(change));
    await removals.flush();
    await state.restore();
    await parents.follow();
    const { links } = await kernel.observe();
    await firewall.install(dockerLinks(links), await overlays.takeOverDirect());
    await hostAccess.install();
    const lost = await ports.restore(this.#published());
    for (const error of lost) log.error({ error: explain(error) }, "a published port could not be held again");
    await networks.removeUnready();
    await overlays.removeLeftovers();
    await this.#run(new Set(["links", "sandboxes", "endpoints"]), true);
    await overlays.restore();
    // What died with the host is swept by now: containers that are left have been running all the time.
    const inUse = new Set([...state.endpoints()].map((endpoint) => endpoint.network));
    for (const network of state.networks()) {
      if (hasGateway(network) && inUse.has(network.id)) await this.#needs.forwarding.ensure(network);
    }
    this.#interval = setInterval(() => this.#schedule(everything), intervalMs);
  }

  *#published(): Generator<{ readonly endpoint: Endpoint; readonly network: GatewayNetwork }> {
    for (const endpoint of this.#needs.state.endpoints()) {
      const network = this.#needs.state.network(endpoint.network);
      if (network !== undefined && hasGateway(network) && endpoint.ports.length > 0) yield { endpoint, network };
    }
  }

  /** What had to be repaired since the start, by kind. */
  repairs(): Readonly<Record<string, RepairCount>> {
    return this.#repairs.byKind();
  }

  /** Compares everything, now. */
  async run(): Promise<void> {
    this.#schedule(everything);
    await this.#start();
  }

  /** Waits for what runs, and runs no more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#interval);
    clearTimeout(this.#timer);
    clearTimeout(this.#secondTry);
    await this.#running;
  }

  #onChange(change: KernelChange): void {
    if ("error" in change) this.#needs.log.error({ error: change.error }, "changes in the kernel could not be read");
    if (change.what === "link") this.#onLink(change.link, change.removed);
    else this.#schedule(partsOf(change));
  }

  /** Only what is amiss counts: most reports are the echo of our own work, or of a container's end. A gateway may go with its network. */
  #onLink(link: ObservedLink, removed: boolean): void {
    if (link.group === removedGroup) return;
    if (link.kind === "bridge" && isDockerLink(link.name)) {
      const change = () => this.#needs.firewall.setDockerLink(link.name, !removed).then(() => false);
      void this.#repairs
        .attempt("firewall", "Docker's bridges", change)
        .then((hasFailed) => hasFailed && this.#tryAgain(new Set(["firewall"]), true));
    }
    if (this.#needs.parents.isAmiss(link, removed)) this.#schedule(["links", "sandboxes"]);
    const owner = parseLinkAlias(link.alias);
    if (isAmiss(link, removed, this.#needs))
      this.#schedule(owner?.role === "gateway" ? ["overlays", "links"] : ["links"]);
    if (removed && (owner?.role === "lan" || owner?.role === "peer")) this.#needs.announcements.announce(owner.id);
  }

  #schedule(parts: Iterable<Part>): void {
    if (this.#isStopped) return;
    for (const part of parts) this.#due.add(part);
    this.#timer ??= setTimeout(() => void this.#start(), gatherMs);
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer);
    const running = this.#running.then(async () => {
      if (this.#isStopped) return;
      const parts = new Set(this.#due);
      this.#due.clear();
      const failures = this.#repairs.failures;
      await this.#run(parts);
      if (this.#isStopped) return;
      this.#tryAgain(parts, this.#repairs.failures > failures);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        if (this.#due.size > 0) this.#schedule([]);
      }, pauseMs);
    });
    this.#running = running;
    return running;
  }

  #tryAgain(parts: ReadonlySet<Part>, hasFailed: boolean): void {
    if (this.#isStopped) return;
    const waitMs = this.#secondTries.after(parts, hasFailed);
    if (waitMs === undefined) return;
    clearTimeout(this.#secondTry);
    this.#secondTry = setTimeout(() => this.#schedule(this.#secondTries.failed), waitMs);
  }

  /** @param isStart whether no request was answered yet */
  async #run(parts: ReadonlySet<Part>, isStart = false): Promise<void> {
    const { firewall, hostAccess } = this.#needs;
    if (parts.has("firewall")) {
      await this.#repairs.attempt("firewall", "the nft table", () => firewall.repair());
      await this.#repairs.attempt("firewall", "the nft table of host access", () => hostAccess.repairTable());
    }
    if (parts.has("forward"))
      await this.#repairs.attempt("forward", "the rule in FORWARD", () => firewall.repairForward());
    if (parts.has("endpoints")) await this.#finishRemovals();
    await this.#compareOverlays(parts);
    if (!parts.has("links") && !parts.has("endpoints")) return;
    await this.#repairs.attempt("forward", "forwarding", () => this.#needs.forwarding.repair().then(() => false));
    await this.#repairs.attempt("links", "links", () => this.#compareLinks(parts, isStart).then(() => false));
  }

  async #compareLinks(parts: ReadonlySet<Part>, isStart: boolean): Promise<void> {
    const { firewall, parents, collector } = this.#needs;
    const before = this.#recorded();
    const { observed, sandboxes } = await parents.look(parts.has("sandboxes"));
    // An event may have been lost; one that is on its way tells of what came after this observation.
    const known = this.#repairs.attempt("firewall", "Docker's bridges", () =>
      firewall.setDockerLinks(dockerLinks(observed.links)).then(() => false),
    );
    await this.#repairLinks(observed, sandboxes, before);
    await known;
    if (parts.has("endpoints")) await collector.sweep(observed.links, isStart);
  }

  #recorded(): Recorded {
    const { state, locks } = this.#needs;
    const recorded = state.recorded();
    return { ...recorded, busy: new Set([...recorded.endpoints.keys()].filter((id) => locks.isBusy(id))) };
  }

  async #compareOverlays(parts: ReadonlySet<Part>): Promise<void> {
    const names = parts.has("overlays") ? undefined : namespacesOf(parts);
    if (names?.size === 0) return;
    await this.#repairs.attempt("overlays", "overlay networks", async () => {
      for (const reason of await this.#needs.overlays.repair(names)) {
        this.#repairs.count("overlays", reason);
        this.#needs.removals.schedule();
      }
      return false;
    });
  }

  async #finishRemovals(): Promise<void> {
    const { networks, ports } = this.#needs;
    for (const id of networks.unfinishedRemovals()) {
      await this.#repairs.attempt("removals", `the removal of ${id}`, () =>
        networks.finishRemoval(id).then(() => true),
      );
    }
    await this.#repairs.attempt("ports", "published ports that were not held", () => ports.repair());
  }

  /** The plan is handed over in the turn in which the records are read: see plan/reconcile.ts. */
  async #repairLinks(observed: Observed, sandboxes: SandboxLinks, before: Recorded): Promise<void> {
    const { state, kernel, hostAccess, overlays, parents, announcements, removals, locks } = this.#needs;
    const wanted = state.wanted();
    const made = settled(wanted, before);
    const lan = planLanReconcile(made, observed, sandboxes, parents.namesInside());
    parents.noteLosses(observed);
    const access = hostAccess.planRepairs(made, observed, before.busy);
    const repairs = [
      ...planReconcile(wanted, observed, before),
      ...[...lan.repairs, ...access, ...overlays.planRepairs(observed)],
    ];
    const done = repairs.map(({ kind, reason, ops }) =>
      this.#repairs.attempt(kind, reason, () => kernel.apply(ops).then(() => true)),
    );
    if (repairs.length > 0 || observed.links.some(({ group }) => group === removedGroup)) removals.schedule();
    await Promise.all(done);
    for (const one of lan.restorations) {
      await this.#repairs.attempt(one.kind, one.reason, async () => {
        const isBack = await locks.exclusive(one.endpoint.id, () => parents.restore(one));
        if (isBack) announcements.announce(one.endpoint.id);
        return isBack;
      });
    }
    parents.noteReturns(observed);
  }
}
