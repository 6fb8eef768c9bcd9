import { TsnetError } from "../../errors.ts";
import { containerVethName } from "../../net/names.ts";
import { networkElements } from "../../plan/firewall.ts";
import { type Endpoint, hasGateway, type Network, type OverlayNetwork } from "../../plan/network.ts";
import { networkConflict } from "../../plan/network-request.ts";
import { planRoutes } from "../../plan/routes.ts";
import type { Firewall } from "../firewall.ts";
import type { Forwarding } from "../forwarding.ts";
import type { JoinAnswer, Mode } from "../mode.ts";
import type { Removals } from "../removals.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Overlays } from "./overlays.ts";

export interface OverlayModeNeeds {
  readonly firewall: Firewall;
  readonly forwarding: Forwarding;
  readonly removals: Removals;
  readonly plane: ControlPlane;
  readonly overlays: Overlays;
}

/** Networks that several hosts have, and endpoints that reach each other wherever they are. */
export class OverlayMode implements Mode<OverlayNetwork> {
  readonly #needs: OverlayModeNeeds;

  constructor(needs: OverlayModeNeeds) {
    this.#needs = needs;
  }

  /** Finds the network that other hosts have: its VNI. */
  async agree(network: OverlayNetwork, others: Iterable<Network>): Promise<OverlayNetwork> {
    refuseConflict(network, others);
    return { ...network, vni: await this.#needs.plane.joinNetwork(network) };
  }

  async checkNetwork(network: OverlayNetwork, others: Iterable<Network>): Promise<OverlayNetwork> {
    try {
      refuseConflict(network, others);
      return network;
    } catch (error) {
      await this.#told(this.#needs.plane.leaveNetwork(network));
      throw error;
    }
  }

  withFound(asked: OverlayNetwork, { vni }: OverlayNetwork): OverlayNetwork {
    return { ...asked, vni: asked.vni === 0 ? vni : asked.vni };
  }

  /** Its namespace is made with the first endpoint. */
  async ensureNetwork(network: OverlayNetwork): Promise<void> {
    const { firewall, forwarding } = this.#needs;
    if (!hasGateway(network)) return;
    await firewall.change([], networkElements(network));
    await forwarding.ensure(network);
  }

  async removeNetwork(network: OverlayNetwork): Promise<void> {
    const { firewall, forwarding, plane, overlays } = this.#needs;
    // first: of a network that is not recorded, because its creation has failed, nobody tells them if the rest fails, too
    await this.#told(plane.leaveNetwork(network));
    await overlays.removeNetwork(network);
    if (hasGateway(network)) await firewall.change(networkElements(network), []);
    forwarding.forget(network.id);
  }

  /** @throws TsnetError "conflict" that names the host that has an address of the endpoint's */
  async createEndpoint(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    if (hasGateway(network)) await this.#needs.forwarding.ensure(network);
    await this.#needs.plane.claim(network, endpoint);
    await this.ensureEndpoint(network, endpoint);
  }

  async ensureEndpoint(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    const { plane, overlays } = this.#needs;
    const missing = plane.missingFor?.(network);
    if (missing) throw new TsnetError("invalid", missing);
    await overlays.ensureEndpoint(network, endpoint);
  }

  async removeEndpoint(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    const { removals, plane, overlays } = this.#needs;
    if (await overlays.removeEndpoint(network, endpoint)) removals.schedule();
    await this.#told(plane.release(network, endpoint));
  }

  join(network: OverlayNetwork, endpoint: Endpoint): JoinAnswer {
    return {
      link: containerVethName(endpoint.id),
      interfacePrefix: network.interfacePrefix,
      withoutGatewayService: network.internal,
      ...planRoutes(endpoint, network),
    };
  }

  /** What others cannot be told now, they are told later. Before all that others have is known, at the start, nobody waits for it. */
  async #told(told: Promise<void>): Promise<void> {
    if (this.#needs.plane.isComplete()) await told;
    else told.catch(() => {}); // the control plane says what is wrong
  }
}

/** @throws TsnetError "conflict" */
function refuseConflict(network: OverlayNetwork, others: Iterable<Network>): void {
  const conflict = networkConflict(network, others);
  if (conflict !== "") throw new TsnetError("conflict", conflict);
}
