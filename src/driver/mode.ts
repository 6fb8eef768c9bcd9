import type { BridgeNetwork, Endpoint, LanNetwork, Network, OverlayNetwork } from "../plan/network.ts";
import type { Routes } from "../plan/routes.ts";

/** What dockerd has to do with the container's link: the answer to Join. */
export interface JoinAnswer extends Routes {
  /** Name of the link in the host's namespace. */
  readonly link: string;
  /** What it is called in the container, less the number. */
  readonly interfacePrefix: string;
  /** Whether Docker is to leave the container without docker_gwbridge, although no gateway is named. */
  readonly withoutGatewayService: boolean;
}

/**
 * What the modes of networks do differently. The caller holds the locks and keeps the records: what is made is recorded before,
 * and what is removed is still recorded, and not wanted any more. All can be asked twice.
 */
export interface Mode<N extends Network> {
  /**
   * Asks other hosts for the network, where they have it as well. That may take its time, in which other networks are made.
   * What it has come to is taken back by removeNetwork, or by checkNetwork if it refuses the network.
   * @returns the network with what they say
   * @throws TsnetError "conflict" that names what is in the way, "store" if they cannot be asked
   */
  agree?(network: N, others: Iterable<Network>): Promise<N>;
  /**
   * Compares a network that is asked for with the others, and with the host.
   * @returns the network with what was found on the host
   * @throws TsnetError "conflict" or "invalid" that names what is in the way
   */
  checkNetwork(network: N, others: Iterable<Network>): Promise<N>;
  /** A network that is asked for again, with what `agree` and `checkNetwork` found when it was made. */
  withFound(asked: N, known: N): N;
  ensureNetwork(network: N): Promise<void>;
  removeNetwork(network: N): Promise<void>;
  /** Makes the link of an endpoint that is new. */
  createEndpoint(network: N, endpoint: Endpoint): Promise<void>;
  /** Makes sure that the link of an endpoint is there. */
  ensureEndpoint(network: N, endpoint: Endpoint): Promise<void>;
  removeEndpoint(network: N, endpoint: Endpoint): Promise<void>;
  join(network: N, endpoint: Endpoint): JoinAnswer;
}

/** The modes, by network. */
export class Modes {
  readonly #bridge: Mode<BridgeNetwork>;
  readonly #lan: Mode<LanNetwork>;
  readonly #overlay: Mode<OverlayNetwork>;

  constructor(modes: {
    readonly bridge: Mode<BridgeNetwork>;
    readonly lan: Mode<LanNetwork>;
    readonly overlay: Mode<OverlayNetwork>;
  }) {
    this.#bridge = modes.bridge;
    this.#lan = modes.lan;
    this.#overlay = modes.overlay;
  }

  /** The mode of this network. */
  of<N extends Network>(network: N): Mode<N> {
    const modes = { bridge: this.#bridge, macvlan: this.#lan, ipvlan: this.#lan, overlay: this.#overlay };
    // the network's mode says which of the types it has
    return modes[network.mode] as unknown as Mode<N>;
  }
}
