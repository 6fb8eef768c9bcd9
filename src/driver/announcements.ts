import { explain } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import { linkAlias } from "../net/names.ts";
import { isLayer2 } from "../plan/network.ts";
import type { Kernel } from "./kernel.ts";
import type { Log } from "./log.ts";
import type { State } from "./state.ts";

export interface AnnouncementsNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly log: Log;
}

/**
 * Tells segments of the containers that are new on them, so that nobody goes on sending to who had the address before: Docker up to
 * 27 does not do it.
 */
export class Announcements {
  readonly #needs: AnnouncementsNeeds;
  readonly #running = new Set<Promise<void>>();

  constructor(needs: AnnouncementsNeeds) {
    this.#needs = needs;
  }

  /** The link of this endpoint has left the host's namespace, or is back in its container. */
  announce(id: string): void {
    const done = this.#announce(id).catch((error: unknown) => {
      this.#needs.log.warn(
        { endpoint: id, error: explain(error) },
        "the addresses of a container could not be announced",
      );
    });
    this.#running.add(done);
    void done.then(() => this.#running.delete(done));
  }

  /** Waits for those that run. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #announce(id: string): Promise<void> {
    const { state, kernel, log } = this.#needs;
    const endpoint = state.endpoint(id);
    const network = endpoint && state.network(endpoint.network);
    if (endpoint === undefined || endpoint.sandbox === null || state.removing.has(id)) return;
    if (network === undefined || network.mode === "bridge") return;
    if (!isLayer2(network) || network.parent.kind === "dummy") return;
    const addresses = endpoint.addresses.map((address) => parseHostAddress(address).ip.text);
    const { sandbox } = endpoint;
    const isDone = await kernel.announceAddresses({ sandbox, alias: linkAlias("lan", id), addresses });
    if (!isDone) log.debug({ endpoint: id, addresses }, "addresses were not announced: their link did not come up");
  }
}
