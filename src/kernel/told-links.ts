/** Which links are of concern, and how they were when they were last told of. */
import { isDeepStrictEqual } from "node:util";
import type { ObservedLink } from "../plan/observed.ts";
import type { KernelChange } from "./change.ts";
import { aliasPrefix, gatewayPrefix, removalGroup, shimPrefix } from "./own-links.ts";

type LinkChange = KernelChange & { readonly what: "link" };

/** How the names of our bridges, shims, parents, gateways and host ends begin, in case somebody takes the alias away. */
const ownName = /^ts[bghpv]-/;

/** The index of no link: what is told of it differs from all that is. */
const noIndex = 0;

export class ToldLinks {
  readonly #links = new Map<number, ObservedLink>();
  #followed: ReadonlySet<string> = new Set();

  /** These links are there, and no others. */
  know(links: readonly ObservedLink[]): void {
    const there = new Set(links.map(({ index }) => index));
    for (const index of this.#links.keys()) if (!there.has(index)) this.#links.delete(index);
    for (const link of links) {
      if (this.#concerns(link) && !this.#links.has(link.index)) this.#links.set(link.index, link);
    }
  }

  /** Links with these names are of concern from now on, whoever made them, and no others that were before. */
  follow(names: readonly string[]): void {
    this.#followed = new Set(names);
    for (const [index, link] of this.#links) if (!this.#concerns(link)) this.#links.delete(index);
  }

  /** How the links are is not known any more: the next message of each is told of, whether it is new or not. */
  forget(): void {
    for (const [index, link] of this.#links) this.#links.set(index, { ...link, index: noIndex });
  }

  /**
   * What is to be told of a link that is like this now, or was, if it is removed: nothing of what is none of our concern, or as it
   * was told of. One that is renamed and was followed by its name is gone under that name.
   */
  take(link: ObservedLink, removed: boolean): LinkChange[] {
    const { index } = link;
    const before = this.#links.get(index);
    const concerns = this.#concerns(link);
    if (removed || !concerns) this.#links.delete(index);
    else this.#links.set(index, link);
    if (link.group === removalGroup) return [];
    const isRenamed =
      before !== undefined && before.name !== link.name && (!concerns || this.#followed.has(before.name));
    const gone: LinkChange[] = isRenamed ? [{ what: "link", removed: true, link: { ...before, index } }] : [];
    if (!concerns || (!removed && this.#isAsTold(before, link))) return gone;
    return [...gone, { what: "link", removed, link }];
  }

  isFollowed(index: number): boolean {
    return this.#followed.has(this.#links.get(index)?.name ?? "");
  }

  /** Whether it is a bridge, or has the gateways of an overlay network. */
  isBridge(index: number): boolean {
    const link = this.#links.get(index);
    return link?.kind === "bridge" || (link?.alias.startsWith(gatewayPrefix) ?? false);
  }

  isShim(index: number): boolean {
    return isShim(this.#links.get(index));
  }

  hasShims(): boolean {
    return this.#links.values().some(isShim);
  }

  #concerns(link: ObservedLink): boolean {
    return link.group !== removalGroup && (isOurs(link) || this.#followed.has(link.name));
  }

  /** The carrier of a bridge or a port comes and goes with containers. */
  #isAsTold(before: ObservedLink | undefined, link: ObservedLink): boolean {
    if (before === undefined) return false;
    const carrier = this.#followed.has(link.name) ? before.carrier : link.carrier;
    return isDeepStrictEqual({ ...before, carrier }, link);
  }
}

const isShim = (link: ObservedLink | undefined): boolean => link?.alias.startsWith(shimPrefix) ?? false;

/** Whether a link is ours, or a bridge. */
const isOurs = (link: ObservedLink): boolean =>
  link.kind === "bridge" || link.alias.startsWith(aliasPrefix) || ownName.test(link.name);
