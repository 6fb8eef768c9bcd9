import { explain, hasErrno } from "../../errors.ts";
import { namespaceName } from "../../net/names.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { Observed } from "../../plan/observed.ts";
import { planInnerVeth, planInnerVethRemoval, planOverlayRemoval, type Underlay } from "../../plan/overlay.ts";
import type { RemoteEndpoint } from "../../plan/overlay-places.ts";
import { refuseTooSmallMtu } from "../../plan/overlay-request.ts";
import type { Repair } from "../../plan/reconcile.ts";
import { planGatewayRepairs, withMtuOf } from "../../plan/reconcile-overlay.ts";
import type { Kernel } from "../kernel.ts";
import type { Locks } from "../locks.ts";
import type { Log } from "../log.ts";
import type { State } from "../state.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Direct } from "./direct.ts";
import { takeOverDirect } from "./direct-left.ts";
import { Following } from "./following.ts";
import { applyInside, makeNetwork, mendLinks } from "./overlay-effects.ts";
import { endpointsHere, ownOverlays } from "./own-overlays.ts";
import { RemotePlaces } from "./remote-places.ts";
import type { Paths } from "./underlay.ts";

export interface OverlaysNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly locks: Locks;
  readonly plane: ControlPlane;
  /** @param hosts the tunnel addresses of the others that have the network */
  readonly underlay: (hosts: readonly string[], paths?: Paths) => Promise<Underlay>;
  /** Is told when networks, or the hosts that have them, have come or gone. */
  readonly onChange?: () => void;
  /** The short way to other hosts, for those networks that may go it, and what else follows networks: beside.ts. */
  readonly direct?: Pick<Direct, "schedule" | "renew" | "forget" | "repair" | "stop">;
  readonly log: Log;
}

/** The overlay networks that this host has in the kernel: those with an endpoint here. */
export class Overlays {
  readonly #needs: OverlaysNeeds;
  readonly #remotes: RemotePlaces;
  /** By network ID: those that are all there. */
  readonly #active = new Map<string, Underlay>();
  readonly #following: Following;

  constructor(needs: OverlaysNeeds) {
    this.#needs = needs;
    this.#remotes = new RemotePlaces({
      ...needs,
      endpointsOf: (network) => this.#endpointsOf(network),
      localOf: ({ id }) => this.#active.get(id)?.local ?? "",
    });
    this.#following = new Following({
      ...needs,
      remotes: this.#remotes,
      active: () => this.active().map(({ network }) => network),
      inTurn: (network, work) =>
        this.#attempt(network, () => this.#alone(network, async () => this.#active.has(network.id) && (await work()))),
    });
  }

  /**
   * Makes an endpoint's links, and the network before the first.
   * @throws TsnetError "invalid" or "conflict", before anything is made, if the hosts' network carries too little
   */
  ensureEndpoint(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    const { kernel } = this.#needs;
    return this.#alone(network, async () => {
      const underlay = this.#active.get(network.id) ?? (await this.#begin(network));
      const ops = planInnerVeth(network, endpoint, underlay);
      await kernel.apply(ops).catch(async (error: unknown) => {
        if (!hasErrno(error, "ENOENT") && !hasErrno(error, "ENODEV")) throw error;
        // somebody has removed the namespace, or the bridge
        await this.#make(network, underlay);
        await kernel.apply(ops);
      });
      this.#needs.direct?.schedule(network.id, endpoint.mac === null ? [] : [endpoint.mac]);
    });
  }

  /** Removes an endpoint's links, and the network with the last. @returns whether links wait for their deletion */
  removeEndpoint(network: OverlayNetwork, endpoint: Endpoint): Promise<boolean> {
    return this.#alone(network, async () => {
      if (this.#endpointsOf(network).length === 0) {
        await this.#deactivate(network);
        void this.#needs.direct?.forget(network.id);
        return false;
      }
      // it may be on another host already, or still: a refused one was never here
      const now = this.#active.has(network.id) ? this.#remotes.placeAfter(network, endpoint) : null;
      await applyInside(this.#needs, planInnerVethRemoval(network, endpoint, now));
      this.#needs.direct?.schedule(network.id, endpoint.mac === null ? [] : [endpoint.mac]);
      return true;
    });
  }

  async removeNetwork(network: OverlayNetwork): Promise<void> {
    await this.#alone(network, () => this.#deactivate(network));
    await this.#needs.direct?.forget(network.id);
  }

  /** Follows the control plane. What it tells waits its turn for a network that is being made. */
  start(): void {
    this.#following.start();
  }

  /** Follows it no more, and waits for what is under way. */
  async stop(): Promise<void> {
    await this.#following.stop();
    await this.#needs.direct?.stop();
  }

  /** Waits for what the control plane has told. */
  idle(): Promise<void> {
    return this.#following.idle();
  }

  /** Firewall.install, at the start. */
  takeOverDirect(): ReturnType<typeof takeOverDirect> {
    return takeOverDirect(this.#needs);
  }

  /** Removes the namespaces of networks that have no endpoint here: once, at the start. */
  async removeLeftovers(): Promise<void> {
    const { kernel } = this.#needs;
    const names = new Set(this.#wanted().map(({ id }) => namespaceName(id)));
    for (const name of await kernel.observeNamespaces()) {
      if (!names.has(name)) await kernel.apply([{ op: "remove-namespace", name }]);
    }
  }

  /** Completes the networks that have endpoints here: once, at the start. One that cannot be keeps no other from it. */
  async restore(): Promise<void> {
    const { plane, log } = this.#needs;
    for (const network of this.#wanted()) {
      const missing = plane.missingFor?.(network);
      if (missing) log.error({ network: network.id, error: missing }, "an overlay network stays as it is");
      else await this.#attempt(network, () => this.#alone(network, () => this.#restore(network)));
    }
  }

  /** Before it is known who else has a network, its links keep the MTU that they have. */
  async #restore(network: OverlayNetwork): Promise<void> {
    const { kernel, plane } = this.#needs;
    const underlay = await this.#findUnderlay(network);
    const observed = plane.isComplete(network.vni) ? null : await kernel.observeNamespace(namespaceName(network.id));
    await this.#make(network, observed === null ? underlay : withMtuOf(observed, network, underlay));
  }

  /** The networks that are all there. */
  active(): { readonly network: OverlayNetwork; readonly underlay: Underlay }[] {
    return this.#wanted().flatMap((network) => {
      const underlay = this.#active.get(network.id);
      return underlay === undefined ? [] : [{ network, underlay }];
    });
  }

  /** Endpoints of other hosts that can be reached. */
  remotes = (network: OverlayNetwork): Iterable<RemoteEndpoint> => this.#remotes.told(network);

  /** Compares what is in all namespaces, or in some, with what should be, and mends it. @returns what was wrong, in words */
  async repair(namespaces?: ReadonlySet<string>): Promise<string[]> {
    const { plane, direct } = this.#needs;
    const [found, paths]: [string[], Paths] = [[], new Map()];
    for (const network of this.#wanted()) {
      if (namespaces?.has(namespaceName(network.id)) === false || plane.missingFor?.(network)) continue;
      await this.#attempt(network, async () => {
        found.push(...(await this.#alone(network, () => this.#repair(network, paths))));
      });
    }
    return [...found, ...((await direct?.repair(namespaces)) ?? [])];
  }

  /** What mends the gateways. The operations are to be handed over in the same turn: plan/reconcile.ts. */
  planRepairs(observed: Observed): Repair[] {
    return this.active().flatMap(({ network, underlay }) => planGatewayRepairs(network, underlay, observed));
  }

  async #repair(network: OverlayNetwork, paths: Paths): Promise<string[]> {
    const { kernel, locks } = this.#needs;
    const before = this.#active.get(network.id);
    const endpoints = this.#endpointsOf(network);
    if (endpoints.length === 0) return []; // the last went while this waited
    // who makes the first makes the network
    if (before === undefined && endpoints.every(({ id }) => locks.isBusy(id))) return [];
    const name = namespaceName(network.id);
    const observed = await kernel.observeNamespace(name);
    if (before === undefined || observed === null) {
      await this.#make(network, await this.#findUnderlay(network, paths));
      return [`overlay network ${network.id}: ${before === undefined ? "was not made" : `namespace ${name} is gone`}`];
    }
    // this host may have another address than it had
    const underlay = await this.#findUnderlay(network, paths).catch(() => before);
    this.#active.set(network.id, underlay);
    const reasons = await mendLinks(this.#needs, { network, underlay }, observed);
    return [...reasons, ...(await this.#remotes.repair(network))];
  }

  async #begin(network: OverlayNetwork): Promise<Underlay> {
    const underlay = await this.#findUnderlay(network);
    refuseTooSmallMtu(network, underlay);
    await this.#make(network, underlay);
    return underlay;
  }

  /** Makes what is not there, and says who is where. */
  async #make(network: OverlayNetwork, underlay: Underlay): Promise<void> {
    this.#active.delete(network.id);
    await makeNetwork(this.#needs, { network, underlay });
    // from now on, what the control plane tells is for this network too
    this.#active.set(network.id, underlay);
    this.#needs.onChange?.();
    await this.#remotes.put(network);
    this.#needs.direct?.renew(network.id);
  }

  async #deactivate(network: OverlayNetwork): Promise<void> {
    this.#active.delete(network.id);
    this.#remotes.forget(network);
    this.#needs.onChange?.();
    await this.#needs.kernel.apply(planOverlayRemoval(network));
  }

  #findUnderlay({ vni }: OverlayNetwork, paths?: Paths): Promise<Underlay> {
    return this.#needs.underlay(this.#needs.plane.hostsOf(vni), paths);
  }

  async #attempt(network: OverlayNetwork, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const what = "an overlay network could not be brought up to date";
      this.#needs.log.error({ network: network.id, error: explain(error) }, what);
    }
  }

  #alone<T>(network: OverlayNetwork, work: () => Promise<T>): Promise<T> {
    return this.#needs.locks.exclusive(`overlay ${network.id}`, work);
  }

  /** Those that have endpoints here. */
  #wanted(): OverlayNetwork[] {
    const own = [...ownOverlays(this.#needs.state)].filter(({ endpoints }) => endpoints.length > 0);
    return own.map(({ network }) => network);
  }

  #endpointsOf(network: OverlayNetwork): Endpoint[] {
    return endpointsHere(this.#needs.state, network);
  }
}
