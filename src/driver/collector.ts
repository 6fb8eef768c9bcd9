import { explain } from "../errors.ts";
import { containerVethName, hostVethName, lanLinkName } from "../net/names.ts";
import type { Endpoint, Network } from "../plan/network.ts";
import type { ObservedLink } from "../plan/observed.ts";
import { endpointState, loneEndpointState } from "../plan/reconcile.ts";
import type { Kernel } from "./kernel.ts";
import type { Locks } from "./locks.ts";
import type { Log } from "./log.ts";
import type { State } from "./state.ts";

/**
 * How long an endpoint may have both ends of its links in the host's namespace and no sandbox. dockerd gives up on a call after
 * at most 30 s (moby, pkg/plugins/client.go); a container's process may take longer than that to start.
 */
const waitingMs = 120_000;

/** What the collector needs. */
export interface CollectorNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly locks: Locks;
  readonly log: Log;
  /** Gives an endpoint's addresses back, where they came from tsnet's IPAM and are still its own. */
  readonly releaseLeases: (endpoint: Endpoint) => Promise<void>;
  /** Removes an endpoint; its lock is held. */
  readonly remove: (id: string) => Promise<void>;
  /** Milliseconds of a clock that does not go back. */
  readonly now: () => number;
}

/**
 * Removes the endpoints that died without a word: Docker ignores our errors when it deletes, and after a SIGKILL of dockerd a
 * socket plugin is not told of them.
 */
export class Collector {
  readonly #needs: CollectorNeeds;
  readonly #waitingSince = new Map<string, number>();

  constructor(needs: CollectorNeeds) {
    this.#needs = needs;
  }

  /** Removes this endpoint if it is dead, or, if that is enough, waiting. It may stand in a request's way. */
  collect(endpoint: Endpoint, atLeast: "waiting" | "dead"): Promise<boolean> {
    const { locks, state, kernel } = this.#needs;
    return locks.exclusive(endpoint.id, async () => {
      const current = state.endpoint(endpoint.id);
      if (current === undefined) return true;
      const links = await Promise.all(this.#linksOf(current).map((name) => kernel.observeLink(name)));
      const found = new Set(links.flatMap((link) => (link === undefined ? [] : [link.name])));
      const sandboxes = new Set(current.sandbox === null ? [] : await kernel.observeSandboxes([current.sandbox]));
      const is = this.#stateOf(current, (name) => found.has(name), sandboxes);
      if (is === "alive" || (is === "waiting" && atLeast === "dead")) return false;
      await this.#remove(current, is);
      return true;
    });
  }

  /**
   * Looks at all endpoints that no request is busy with.
   * @param isStart whether no request was answered yet: then none waits for Docker without a link
   */
  async sweep(links: readonly ObservedLink[], isStart = false): Promise<void> {
    const { state, kernel, locks } = this.#needs;
    const names = new Set(links.map(({ name }) => name));
    const hasLink = (name: string): boolean => names.has(name);
    const suspects = [...state.endpoints()].filter(
      (endpoint) => !locks.isBusy(endpoint.id) && this.#stateOf(endpoint, hasLink, new Set()) !== "alive",
    );
    const paths = suspects.flatMap(({ sandbox }) => sandbox ?? []);
    const sandboxes = new Set(paths.length === 0 ? [] : await kernel.observeSandboxes(paths));
    this.#forgetWaiting(suspects);
    for (const endpoint of suspects) {
      const is = this.#stateOf(endpoint, hasLink, sandboxes);
      const isLate = (): boolean =>
        this.#waitedTooLong(endpoint.id) || (isStart && !this.#linksOf(endpoint).some(hasLink));
      if (is === "dead" || (is === "waiting" && isLate())) await this.#tryCollect(endpoint, is);
    }
  }

  #stateOf(endpoint: Endpoint, hasLink: (name: string) => boolean, sandboxes: ReadonlySet<string>) {
    if (this.#modeOf(endpoint) === "bridge") return endpointState(endpoint, hasLink, sandboxes);
    return loneEndpointState(endpoint, this.#linksOf(endpoint).some(hasLink), sandboxes);
  }

  /** The links of an endpoint that may be in the host's namespace. */
  #linksOf(endpoint: Endpoint): string[] {
    const { id } = endpoint;
    switch (this.#modeOf(endpoint)) {
      case "bridge":
        return [hostVethName(id), containerVethName(id)];
      case "overlay":
        return [containerVethName(id)];
      default:
        return [lanLinkName(id)];
    }
  }

  #modeOf({ network }: Endpoint): Network["mode"] {
    return this.#needs.state.network(network)?.mode ?? "bridge";
  }

  async #tryCollect(endpoint: Endpoint, is: "waiting" | "dead"): Promise<void> {
    try {
      await this.collect(endpoint, is);
    } catch (error) {
      this.#needs.log.error({ endpoint: endpoint.id, error: explain(error) }, "a dead endpoint could not be removed");
    }
  }

  async #remove(endpoint: Endpoint, is: "waiting" | "dead"): Promise<void> {
    // First: while the record is there, it is tried again, and whoever gets the address waits for the removal.
    await this.#needs.releaseLeases(endpoint);
    await this.#needs.remove(endpoint.id);
    this.#needs.log.info(
      { endpoint: endpoint.id, network: endpoint.network, state: is },
      "removed an endpoint that Docker has left behind",
    );
  }

  #waitedTooLong(id: string): boolean {
    const since = this.#waitingSince.get(id) ?? this.#needs.now();
    this.#waitingSince.set(id, since);
    return this.#needs.now() - since >= waitingMs;
  }

  #forgetWaiting(suspects: readonly Endpoint[]): void {
    const ids = new Set(suspects.map(({ id }) => id));
    for (const id of this.#waitingSince.keys()) if (!ids.has(id)) this.#waitingSince.delete(id);
  }
}
