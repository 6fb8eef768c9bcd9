import { planRouteRemoval } from "../../plan/direct-change.ts";
import type { Kernel } from "../kernel.ts";

/**
 * The routes that an earlier process has left. As long as not all is told, those to addresses that nobody has told of stay; one to an
 * address that is known goes, unless it is meant to be there.
 */
export class LeftRoutes {
  readonly #kernel: Pick<Kernel, "apply">;
  /** The addresses that have been looked at; undefined when no route is left. */
  #seen: Set<string> | undefined = new Set();

  constructor(kernel: Pick<Kernel, "apply">) {
    this.#kernel = kernel;
  }

  get isOver(): boolean {
    return this.#seen === undefined;
  }

  /** Each address is looked at once. @param isMeant whether there is to be a route to an address */
  async drop(ips: readonly string[], isMeant: (ip: string) => boolean): Promise<void> {
    const unseen = ips.filter((ip) => this.#seen?.has(ip) === false);
    const gone = unseen.filter((ip) => !isMeant(ip));
    for (const op of planRouteRemoval(gone)) await this.#kernel.apply([op]);
    for (const ip of unseen) this.#seen?.add(ip);
  }

  /** Routes were compared with all that there is to be. */
  end(): void {
    this.#seen = undefined;
  }
}
