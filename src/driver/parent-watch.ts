import { linkAlias, parseLinkAlias } from "../net/names.ts";
import { isLan } from "../plan/network.ts";
import type { Observed, ObservedLink } from "../plan/observed.ts";
import { followedLinks, hasParent, linksByName, type Restoration, type SandboxLinks } from "../plan/reconcile-lan.ts";
import type { Kernel } from "./kernel.ts";
import type { Log } from "./log.ts";
import type { State } from "./state.ts";

/** So many sandboxes are looked into by one call, which keeps others waiting for 2 ms. */
const sandboxesPerCall = 20;

export interface ParentWatchNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly log: Log;
}

/** What is known of the parents of networks, which come and go, and whether that has changed. */
export class ParentWatch {
  readonly #needs: ParentWatchNeeds;
  #followed: ReadonlySet<string> = new Set();
  /** The links that are followed, by name, as they were when everything was compared last. */
  #seen: ReadonlyMap<string, ObservedLink> = new Map();
  /** The links of endpoints, by endpoint, as they were seen last, and where. */
  readonly #inside = new Map<string, { readonly sandbox: string; readonly name: string }>();
  /** Networks without their parent, by ID, and how many links have come back since. */
  readonly #cutOff = new Map<string, { links: number }>();

  constructor(needs: ParentWatchNeeds) {
    this.#needs = needs;
  }

  /** Has the kernel tell of changes of the parents that there are now. */
  async follow(): Promise<void> {
    const { state, kernel } = this.#needs;
    const names = followedLinks(state.networks());
    if (names.size === this.#followed.size && [...names].every((name) => this.#followed.has(name))) return;
    await kernel.follow([...names]);
    this.#followed = names;
  }

  /** Whether a link is a parent, or what one is on, and came, went, or changed so that links on it may have to be mended. */
  isAmiss(link: ObservedLink, removed: boolean): boolean {
    if (!this.#followed.has(link.name)) {
      return [...this.#seen.values()].some(({ index }) => index === link.index); // it has another name now
    }
    const seen = this.#seen.get(link.name);
    if (removed) return seen === undefined || seen.index === link.index;
    return seen === undefined || !isSame(seen, link);
  }

  /**
   * What there is, all of it.
   * @param intoSandboxes also where no parent seems to have changed
   */
  async look(intoSandboxes: boolean): Promise<{ readonly observed: Observed; readonly sandboxes: SandboxLinks }> {
    const { kernel } = this.#needs;
    await this.follow();
    const sandboxes = intoSandboxes ? await this.#lookIntoSandboxes() : new Map();
    const observed = await kernel.observe();
    if (intoSandboxes || !this.#hasChanged(observed)) return { observed, sandboxes };
    return this.look(true);
  }

  /** The links in the sandboxes of all endpoints on parents. */
  async #lookIntoSandboxes(): Promise<SandboxLinks> {
    const { state, kernel } = this.#needs;
    const paths = new Set<string>();
    for (const { sandbox, network } of state.endpoints()) {
      const on = state.network(network);
      if (sandbox !== null && on !== undefined && isLan(on)) paths.add(sandbox);
    }
    const all = [...paths];
    const found = new Map<string, readonly ObservedLink[] | null>();
    for (let first = 0; first < all.length; first += sandboxesPerCall) {
      const some = all.slice(first, first + sandboxesPerCall);
      const links = await kernel.observeSandboxLinks(some);
      for (const [index, path] of some.entries()) found.set(path, links[index] ?? null);
    }
    this.#noteNames(found);
    return found;
  }

  /** dockerd's names of links. A link that is gone may come back. */
  #noteNames(sandboxes: SandboxLinks): void {
    const { state } = this.#needs;
    for (const [id, { sandbox }] of this.#inside) {
      if (state.endpoint(id)?.sandbox !== sandbox) this.#inside.delete(id);
    }
    for (const [sandbox, links] of sandboxes) {
      for (const { alias, name } of links ?? []) {
        const owner = parseLinkAlias(alias);
        if (owner?.role === "lan") this.#inside.set(owner.id, { sandbox, name });
      }
    }
  }

  /** What the links of endpoints are called in their containers, by endpoint, as far as that is known. */
  namesInside(): ReadonlyMap<string, string> {
    return new Map([...this.#inside].map(([id, { name }]) => [id, name]));
  }

  /**
   * Gives a container its link back. Looks again before: dockerd may have moved it between the looks into the sandbox and into the
   * host's namespace.
   * @returns false if the container does not miss it
   */
  async restore({ network, endpoint: { id, sandbox }, ops }: Restoration): Promise<boolean> {
    const { state, kernel } = this.#needs;
    const [links = null] = await kernel.observeSandboxLinks([sandbox]);
    if (links === null || links.some(({ alias }) => alias === linkAlias("lan", id))) return false;
    if (state.removing.has(id) || state.endpoint(id)?.sandbox !== sandbox) return false;
    await kernel.apply(ops);
    const cutOff = this.#cutOff.get(network);
    if (cutOff !== undefined) cutOff.links += 1;
    return true;
  }

  /** Whether a parent is not as it was when everything was compared last. */
  #hasChanged(observed: Observed): boolean {
    const seen = this.#followedOf(observed);
    return seen.size !== this.#seen.size || [...seen.values()].some((link) => this.isAmiss(link, false));
  }

  /** Says which networks have lost their parent since the last time. */
  noteLosses(observed: Observed): void {
    const { state, log } = this.#needs;
    const before = this.#seen;
    const links = this.#followedOf(observed);
    this.#seen = links;
    for (const network of state.networks()) {
      if (!isLan(network) || !network.ready) continue;
      const { id, parent } = network;
      if (this.#cutOff.has(id) || hasParent(network, links)) continue;
      this.#cutOff.set(id, { links: 0 });
      const { name } = parent;
      const renamed = observed.links.find(({ index }) => index === before.get(name)?.index);
      const what =
        renamed === undefined
          ? "is gone: its containers are cut off until it is back"
          : `is called ${renamed.name} now: no container can start on it until it is ${name} again`;
      log.warn({ network: id, parent: name }, `parent ${name} of network ${id} ${what}`);
    }
  }

  /** Says which networks have their parent again, with the links that were restored. */
  noteReturns(observed: Observed): void {
    const { state, log } = this.#needs;
    const links = this.#followedOf(observed);
    for (const [id, { links: count }] of this.#cutOff) {
      const network = state.network(id);
      if (network !== undefined && isLan(network) && !hasParent(network, links)) continue;
      this.#cutOff.delete(id);
      if (network === undefined || !isLan(network)) continue;
      const { name } = network.parent;
      log.info(
        { network: id, parent: name, links: count },
        `parent ${name} of network ${id} is back: ${count} ${count === 1 ? "link" : "links"} restored`,
      );
    }
  }

  /** Few of many: a host of a thousand containers has as many links, and may have no parent. */
  #followedOf({ links }: Observed): ReadonlyMap<string, ObservedLink> {
    return linksByName({ links: links.filter(({ name }) => this.#followed.has(name)) });
  }
}

/** In what links on a link depend on. */
const isSame = (a: ObservedLink, b: ObservedLink): boolean =>
  a.index === b.index && a.up === b.up && a.mtuBytes === b.mtuBytes && a.mac === b.mac;
