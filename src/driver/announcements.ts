import { explain } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import { linkAlias, namespaceName, vxlanName } from "../net/names.ts";
import { type Endpoint, isLan, isLayer2, type Network } from "../plan/network.ts";
import type { AddressAnnouncement, Kernel } from "./kernel.ts";
import type { Log } from "./log.ts";
import type { ControlPlane } from "./overlay/control-plane.ts";
import type { State } from "./state.ts";

export interface AnnouncementsNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly plane: Pick<ControlPlane, "knowsPlaces">;
  /** The file of a network namespace of ours. */
  readonly namespacePath: (name: string) => string;
  readonly log: Log;
}

/** Who tells which segment. */
type Way = Omit<AddressAnnouncement, "addresses">;

/**
 * Tells segments of the containers that are new on them, so that nobody goes on sending to who had the address before: Docker up to
 * 27 does not do it, and what a container of an overlay network says of itself does not leave its host, where the bridge answers
 * for all (br_do_proxy_suppress_arp() in net/bridge/br_arp_nd_proxy.c): the other hosts hear it from this one, if no control plane
 * tells them.
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
    const way = network && this.#wayOf(network, endpoint, endpoint.sandbox);
    if (way === undefined) return;
    const addresses = endpoint.addresses.map((address) => parseHostAddress(address).ip.text);
    const isDone = await kernel.announceAddresses({ ...way, addresses });
    if (!isDone) log.debug({ endpoint: id, addresses }, "addresses were not announced: their link did not come up");
  }

  /** undefined where nobody has to hear it. */
  #wayOf(network: Network, { id, mac }: Endpoint, sandbox: string): Way | undefined {
    if (isLan(network)) {
      const hasNeighbors = isLayer2(network) && network.parent.kind !== "dummy";
      return hasNeighbors ? { sandbox, alias: linkAlias("lan", id) } : undefined;
    }
    const { plane, namespacePath } = this.#needs;
    if (network.mode !== "overlay" || plane.knowsPlaces || mac === null) return undefined;
    const namespace = namespacePath(namespaceName(network.id));
    return { sandbox: namespace, alias: linkAlias("veth", id), through: { link: vxlanName(network.id), mac } };
  }
}
