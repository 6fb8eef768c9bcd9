import { hasErrno } from "../errors.ts";
import { lanLinkName } from "../net/names.ts";
import { planLanLink, planLanLinkRemoval, planParent, planParentRemoval } from "../plan/lan.ts";
import { planLanRoutes } from "../plan/lan-routes.ts";
import { type Endpoint, isLan, type LanNetwork, type Network } from "../plan/network.ts";
import type { HostAccess } from "./host-access.ts";
import { isProbed, LanAddresses } from "./lan-addresses.ts";
import { LanParents, type LanParentsNeeds } from "./lan-parents.ts";
import type { JoinAnswer, Mode } from "./mode.ts";
import type { ParentWatch } from "./parent-watch.ts";
import type { Removals } from "./removals.ts";
import type { State } from "./state.ts";

export interface LanModeNeeds extends LanParentsNeeds {
  readonly state: State;
  readonly hostAccess: HostAccess;
  readonly parents: ParentWatch;
  readonly removals: Removals;
}

/** Networks on a parent, and endpoints that are macvlan or ipvlan links on it. */
export class LanMode implements Mode<LanNetwork> {
  readonly #needs: LanModeNeeds;
  readonly #parents: LanParents;
  readonly #addresses: LanAddresses;

  constructor(needs: LanModeNeeds) {
    this.#needs = needs;
    this.#parents = new LanParents(needs);
    this.#addresses = new LanAddresses(needs);
  }

  /** Finds whether the parent is there, or is for tsnet to make. */
  checkNetwork(network: LanNetwork, others: Iterable<Network>): Promise<LanNetwork> {
    return this.#parents.check(network, others);
  }

  withFound(asked: LanNetwork, { parent }: LanNetwork): LanNetwork {
    return parent.name === asked.parent.name ? { ...asked, parent } : asked;
  }

  async ensureNetwork(network: LanNetwork): Promise<void> {
    const { kernel, hostAccess, parents } = this.#needs;
    await parents.follow();
    const parent = planParent(network);
    if (parent.length > 0) await kernel.apply(parent);
    await hostAccess.ensureNetwork(network);
  }

  async removeNetwork(network: LanNetwork): Promise<void> {
    const { kernel, hostAccess, removals } = this.#needs;
    await hostAccess.removeNetwork(network);
    await kernel.apply(planParentRemoval(network, this.#isShared(network)));
    removals.schedule();
  }

  /** @throws TsnetError "conflict" that names who has the address, or the parent */
  async createEndpoint(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    const { hostAccess } = this.#needs;
    await this.#addresses.refuseTaken(network, endpoint);
    await this.#explained(network, endpoint, async () => {
      await this.#makeLink(network, endpoint);
      if (isProbed(network)) await this.#addresses.refuseAnswered(network, endpoint);
    });
    await hostAccess.ensureEndpoint(network, endpoint);
  }

  async ensureEndpoint(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    // the link of one that has joined is in its container, or on its way
    if (endpoint.sandbox === null) {
      await this.#explained(network, endpoint, () => this.#makeLink(network, endpoint));
    }
    await this.#needs.hostAccess.ensureEndpoint(network, endpoint);
  }

  async removeEndpoint(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    const { kernel, hostAccess, removals } = this.#needs;
    await hostAccess.removeEndpoint(network, endpoint);
    await kernel.apply(planLanLinkRemoval(endpoint));
    removals.schedule();
  }

  join(network: LanNetwork, endpoint: Endpoint): JoinAnswer {
    return {
      link: lanLinkName(endpoint.id),
      interfacePrefix: network.interfacePrefix,
      withoutGatewayService: true,
      ...planLanRoutes(endpoint, network),
    };
  }

  async #makeLink(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    const { kernel } = this.#needs;
    const ops = planLanLink(network, endpoint);
    await kernel.apply(ops).catch((error: unknown) => {
      // a parent of ours that has just gone, and of which the reconciler does not know yet
      if (!hasErrno(error, "ENODEV") || network.parent.kind === "link") throw error;
      return kernel.apply([...planParent(network), ...ops]);
    });
  }

  /** Runs `work`; its error says what the parent has to do with it. */
  async #explained(network: LanNetwork, endpoint: Endpoint, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw (await this.#parents.explain(error, network, endpoint)) ?? error;
    }
  }

  #isShared({ id, parent }: LanNetwork): boolean {
    const { state } = this.#needs;
    return [...state.networks()].some(
      (other) => isLan(other) && other.id !== id && other.parent.name === parent.name && !state.removing.has(other.id),
    );
  }
}
