import { planForwarding } from "../plan/bridge.ts";
import type { GatewayNetwork } from "../plan/network.ts";
import type { Kernel } from "./kernel.ts";

/**
 * Forwarding between the host's links. It is not turned on before Docker asks for something: a dockerd that finds it on at its own
 * start leaves the policy of FORWARD at ACCEPT, and the host a router for everybody.
 */
export class Forwarding {
  readonly #kernel: Kernel;
  /** Networks for which it has been turned on, by ID. */
  readonly #networks = new Map<string, GatewayNetwork>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Turns it on for a network's families, once. */
  async ensure(network: GatewayNetwork): Promise<void> {
    if (this.#networks.has(network.id)) return;
    await this.#kernel.apply(planForwarding([network]));
    this.#networks.set(network.id, network);
  }

  /** The network is gone. */
  forget(id: string): void {
    this.#networks.delete(id);
  }

  /** Turns it on again where somebody has turned it off. */
  async repair(): Promise<void> {
    await this.#kernel.apply(planForwarding([...this.#networks.values()]));
  }
}
