import { during, explain, TsnetError } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import { sharedMode } from "../plan/allocation.ts";
import { isSwarmNetwork } from "../plan/gossip.ts";
import { parseLanOptions } from "../plan/lan-options.ts";
import { modeOf, withMode } from "../plan/mode-options.ts";
import { isLan, type Network } from "../plan/network.ts";
import { difference, type NetworkRequest, planNetwork, type RequestedSubnet } from "../plan/network-request.ts";
import { refuseIsolated } from "../plan/option-conflicts.ts";
import { parseBridgeOptions } from "../plan/options.ts";
import { parseOverlayOptions } from "../plan/overlay-options.ts";
import { refuseOtherPort } from "../plan/overlay-request.ts";
import { auxiliaryIp } from "../plan/subnet-request.ts";
import type { Endpoints } from "./endpoints.ts";
import type { AttachedSubnet } from "./ipam/backend.ts";
import type { Locks } from "./locks.ts";
import type { Log } from "./log.ts";
import type { Modes } from "./mode.ts";
import { withRollback } from "./rollback.ts";
import type { State } from "./state.ts";

/** What the networks need. */
export interface NetworksNeeds {
  readonly state: State;
  readonly modes: Modes;
  readonly endpoints: Endpoints;
  readonly locks: Locks;
  readonly log: Log;
  /** Of a network whose options say none. "bridge" if left out. */
  readonly defaultMode?: Network["mode"];
  /** TSNET_VXLAN_PORT, if overlay networks have to have been made for it. */
  readonly vxlanPort?: number;
  /** Tells tsnet's own IPAM which pools a network has its addresses from. The same again is no error. */
  readonly attach: (network: string, subnets: readonly AttachedSubnet[]) => Promise<void>;
  /** Holds the host's own addresses in a network, as far as it has them from tsnet's IPAM. The same again is no error. */
  readonly hold: (network: string, addresses: readonly string[]) => Promise<void>;
}

/** Answer to GwAllocCheck. */
export interface GatewayCheck {
  readonly SkipIPv4: boolean;
  readonly SkipIPv6: boolean;
}

/** NetworkDriver's requests about networks. */
export class Networks {
  readonly #needs: NetworksNeeds;
  /** By ID: which of all requests to make networks the last one for this was. */
  readonly #requested = new Map<string, number>();
  #requests = 0;

  constructor(needs: NetworksNeeds) {
    this.#needs = needs;
  }

  /**
   * Makes a network, or, if it exists with the same content, makes sure that it is all there.
   * @param overdue aborted when Docker has been told that it failed: then the network is taken back, since Docker will not ask
   * @throws TsnetError "invalid" or "conflict"; then nothing was changed
   */
  create(request: NetworkRequest, overdue?: AbortSignal): Promise<void> {
    const note = (): void => void this.#requested.set(request.id, ++this.#requests);
    note();
    return this.#needs.locks.exclusive(request.id, async () => {
      note(); // a removal may have come before
      try {
        await this.#createInTurn(request, overdue);
      } finally {
        this.#forgetRequests(request.id);
      }
    });
  }

  async #createInTurn(request: NetworkRequest, overdue: AbortSignal | undefined): Promise<void> {
    const { locks, log, vxlanPort, defaultMode } = this.#needs;
    const { network, ignored } = planNetwork({ ...request, options: this.#withMode(request.options, request.id) });
    const isAllocated = defaultMode === sharedMode && isSwarmNetwork(network);
    if (network.mode === "overlay" && vxlanPort !== undefined) refuseOtherPort(request.options, vxlanPort, isAllocated);
    if (ignored.length > 0)
      log.warn({ network: network.id, options: ignored }, "options of Docker's that tsnet ignores");
    const subnets = [...request.ipv4, ...request.ipv6].map(attachedSubnet);
    overdue?.throwIfAborted();
    const agreed = await this.#agree(network);
    // Two networks at once must not both find the same subnet free.
    await locks.exclusive("networks", () => this.#create(agreed, subnets, overdue));
  }

  /** Of one that is known nobody is asked again. */
  async #agree(asked: Network): Promise<Network> {
    const { state, modes } = this.#needs;
    if (state.removing.has(asked.id)) await this.#removeInTurn(asked.id);
    if (state.network(asked.id) !== undefined) return asked;
    return (await modes.of(asked).agree?.(asked, state.networks())) ?? asked;
  }

  async #create(asked: Network, subnets: readonly AttachedSubnet[], overdue: AbortSignal | undefined): Promise<void> {
    const { state, modes } = this.#needs;
    const known = state.network(asked.id);
    const mode = modes.of(asked);
    if (known !== undefined) {
      const again = known.mode === asked.mode ? mode.withFound(asked, known) : asked;
      const differs = difference({ ...again, ready: known.ready }, known);
      if (differs !== "") throw new TsnetError("conflict", `network ${asked.id} exists, and its ${differs}`);
      return this.#ensure(known, subnets);
    }
    const network = await mode.checkNetwork(asked, state.networks());
    await withRollback(async (undo) => {
      undo(() => this.#remove(network));
      overdue?.throwIfAborted();
      await state.saveNetwork(network);
      await this.#ensure(network, subnets);
      overdue?.throwIfAborted();
      await state.saveNetwork({ ...network, ready: true });
    });
  }

  /** If it fails after the IPAM was told: Docker releases the pools of a network that could not be made. */
  async #ensure(network: Network, subnets: readonly AttachedSubnet[]): Promise<void> {
    const { modes, attach, hold } = this.#needs;
    await during(`create network ${network.id}`, async () => {
      await modes.of(network).ensureNetwork(network);
      await attach(network.id, subnets);
      if (isLan(network)) await hold(network.id, network.hostAccess?.addresses ?? []);
    });
  }

  /**
   * Whether Docker's IPAM can do without choosing gateways for a network like this. One with a parent has the gateway that
   * --gateway names, as with Docker's own driver from 29 on, and no other: an address of the LAN that is nobody's routes nothing.
   * An internal one whose bridge gets no address has no use for one.
   * @throws TsnetError "invalid"
   */
  checkGateways({ options: given, internal }: Pick<NetworkRequest, "options" | "internal">): GatewayCheck {
    const options = this.#withMode(given);
    const mode = modeOf(options);
    if (mode === "overlay") {
      parseOverlayOptions(options);
      return { SkipIPv4: internal, SkipIPv6: internal };
    }
    if (mode !== "bridge") {
      parseLanOptions(mode, options);
      return { SkipIPv4: true, SkipIPv6: true };
    }
    const parsed = parseBridgeOptions(options).options;
    refuseIsolated(parsed, internal);
    return {
      SkipIPv4: parsed.gatewayMode4 === "isolated" || (internal && parsed.inhibitIpv4 === true),
      SkipIPv6: parsed.gatewayMode6 === "isolated",
    };
  }

  /** One that is known has the mode that it had, whatever is usual now. */
  #withMode(options: NetworkRequest["options"], id?: string): NetworkRequest["options"] {
    const known = id === undefined ? undefined : this.#needs.state.network(id);
    return withMode(options, known?.mode ?? this.#needs.defaultMode ?? "bridge");
  }

  /** Takes back the networks whose creation was cut off by a crash: Docker had no answer, and will ask again or give up. */
  async removeUnready(): Promise<void> {
    const { state, log } = this.#needs;
    for (const { id, ready } of [...state.networks()]) {
      if (ready) continue;
      // One that cannot be removed must not keep the others from starting; the reconciler tries again.
      await this.delete(id).catch((error: unknown) => {
        log.error({ network: id, error: explain(error) }, "an unfinished network could not be removed yet");
      });
    }
  }

  /** The removals that have failed, by ID: Docker has forgotten what it asked for, and does not ask again. */
  unfinishedRemovals(): string[] {
    const { state, locks } = this.#needs;
    return [...state.removing].filter((id) => !locks.isBusy(id));
  }

  /** Finishes the removal of a network or an endpoint. */
  finishRemoval(id: string): Promise<void> {
    const { state, endpoints } = this.#needs;
    const endpoint = state.endpoint(id);
    return endpoint === undefined ? this.delete(id) : endpoints.delete(endpoint.network, id);
  }

  /** Removes a network and what is left of its endpoints. One that is unknown is success: the goal is reached. */
  delete(id: string): Promise<void> {
    return this.#needs.locks.exclusive(id, () => this.#removeInTurn(id));
  }

  /** Another number after each request to make a network; 0 where there was none since the start. */
  lastRequest(id: string): number {
    return this.#requested.get(id) ?? 0;
  }

  /**
   * As `delete`, if it is still meant when all that came before has been answered.
   * @returns whether it was
   */
  deleteIf(id: string, isMeant: () => boolean): Promise<boolean> {
    return this.#needs.locks.exclusive(id, async () => {
      if (!isMeant()) return false;
      await this.#removeInTurn(id);
      return true;
    });
  }

  #removeInTurn(id: string): Promise<void> {
    const { locks, state } = this.#needs;
    const remove = (): Promise<void> => this.#removeIfKnown(id);
    // Its parent may go with it, which a network that is being made must not count on.
    const network = state.network(id);
    return network === undefined || isLan(network) ? locks.exclusive("networks", remove) : remove();
  }

  async #removeIfKnown(id: string): Promise<void> {
    const { state } = this.#needs;
    const network = state.network(id);
    if (network === undefined) state.removing.delete(id);
    else await during(`delete network ${id}`, () => this.#remove(network));
    this.#forgetRequests(id);
  }

  #forgetRequests(id: string): void {
    if (this.#needs.state.network(id) === undefined) this.#requested.delete(id);
  }

  async #remove(network: Network): Promise<void> {
    const { state, modes, endpoints, locks } = this.#needs;
    state.removing.add(network.id);
    if (network.ready) await state.saveNetwork({ ...network, ready: false });
    for (const { id } of state.endpointsOf(network.id)) await locks.exclusive(id, () => endpoints.remove(id));
    await modes.of(network).removeNetwork(network);
    await state.forgetNetwork(network.id);
  }
}

const attachedSubnet = ({ addressSpace, pool, gateway, auxiliary }: RequestedSubnet): AttachedSubnet => ({
  addressSpace,
  pool,
  gateway: gateway === null ? null : parseHostAddress(gateway).ip.text,
  auxiliary: Object.entries(auxiliary).map(([name, text]) => auxiliaryIp(name, text).text),
});
