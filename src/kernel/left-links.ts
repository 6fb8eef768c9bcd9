import { isDeepStrictEqual } from "node:util";
import type { ObservedPort } from "../plan/observed.ts";

/** How the aliases of the links of containers begin. */
const vethPrefix = "tsnet:veth:";

/** Our links in a namespace of ours, as we have left them: whoever changes one makes it differ from that. */
export class LeftLinks {
  /** By index. */
  readonly #links = new Map<number, ObservedPort>();

  /** It is like this, and by us. */
  note(link: ObservedPort | undefined): void {
    if (link !== undefined) this.#links.set(link.index, link);
  }

  /** What happens to it from now on is none of our concern. */
  forget(name: string): void {
    for (const [index, link] of this.#links) if (link.name === name) this.#links.delete(index);
  }

  /**
   * Whether a link is as it was left; so is what is not ours. Carriers come and go with containers, and so do containers' links.
   * @param now undefined for one that is gone
   */
  isAsLeft(index: number, now: ObservedPort | undefined): boolean {
    const left = this.#links.get(index);
    if (left === undefined) return true;
    if (now !== undefined) return isDeepStrictEqual({ ...left, carrier: now.carrier }, now);
    this.#links.delete(index);
    return left.alias.startsWith(vethPrefix);
  }
}
