import { during, explain, TsnetError } from "../errors.ts";
import { overlaps, parseCidr, parseHostAddress } from "../net/cidr.ts";
import { bridgeName, parseLinkAlias } from "../net/names.ts";
import { bridgeAddresses, planBridge, planBridgeRemoval } from "../plan/bridge.ts";
import { networkElements } from "../plan/firewall.ts";
import type { Network } from "../plan/network.ts";
import {
  auxiliaryIp,
  difference,
  type NetworkRequest,
  networkConflict,
  planNetwork,
  type RequestedSubnet,
} from "../plan/network-request.ts";
import type { Observed, ObservedLink } from "../plan/observed.ts";
import { refuseIsolated } from "../plan/option-conflicts.ts";
import { parseBridgeOptions } from "../plan/options.ts";
import { removedGroup } from "../plan/reconcile.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Firewall } from "./firewall.ts";
import type { Forwarding } from "./forwarding.ts";
import type { AttachedSubnet } from "./ipam/backend.ts";
import type { Kernel } from "./kernel.ts";
import type { Locks } from "./locks.ts";
import type { Log } from "./log.ts";
import type { Removals } from "./removals.ts";
import { withRollback } from "./rollback.ts";
import type { State } from "./state.ts";

/** What the networks need. */
export interface NetworksNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly firewall: Firewall;
  readonly forwarding: Forwarding;
  readonly removals: Removals;
  readonly endpoints: Endpoints;
  readonly locks: Locks;
  readonly log: Log;
  /** Tells tsnet's own IPAM which pools a network has its addresses from. The same again is no error. */
  readonly attach: (network: string, subnets: readonly AttachedSubnet[]) => Promise<void>;
}

/** Answer to GwAllocCheck. */
export interface GatewayCheck {
  readonly SkipIPv4: boolean;
  readonly SkipIPv6: boolean;
}

/** NetworkDriver's requests about networks. */
export class Networks {
  readonly #needs: NetworksNeeds;

  constructor(needs: NetworksNeeds) {
    this.#needs = needs;
  }

  /**
   * Makes a network, or, if it exists with the same content, makes sure that it is all there.
   * @param overdue aborted when Docker has been told that it failed: then the network is taken back, since Docker will not ask
   * @throws TsnetError "invalid" or "conflict"; then nothing was changed
   */
  create(request: NetworkRequest, overdue?: AbortSignal): Promise<void> {
    const { locks, log } = this.#needs;
    return locks.exclusive(request.id, () =>
      // Two networks at once must not both find the same subnet free.
      locks.exclusive("networks", async () => {
        const { network, ignored } = planNetwork(request);
        if (ignored.length > 0)
          log.warn({ network: network.id, options: ignored }, "options of Docker's that tsnet ignores");
        const subnets = [...request.ipv4, ...request.ipv6].map(attachedSubnet);
        overdue?.throwIfAborted();
        await this.#create(network, subnets, overdue);
      }),
    );
  }

  async #create(asked: Network, subnets: readonly AttachedSubnet[], overdue: AbortSignal | undefined): Promise<void> {
    const { state } = this.#needs;
    if (state.removing.has(asked.id)) await this.#removeIfKnown(asked.id);
    const known = state.network(asked.id);
    if (known !== undefined) {
      const { adopted, kept, ready } = known;
      const differs = difference({ ...asked, adopted, kept, ready }, known);
      if (differs !== "") throw new TsnetError("conflict", `network ${asked.id} exists, and its ${differs}`);
      return this.#ensure(known, subnets);
    }
    const conflict = networkConflict(asked, state.networks());
    if (conflict !== "") throw new TsnetError("conflict", conflict);
    const network = { ...asked, ...(await this.#checkLinks(asked)) };
    await withRollback(async (undo) => {
      undo(() => this.#remove(network));
      await state.saveNetwork(network);
      await this.#ensure(network, subnets);
      overdue?.throwIfAborted();
      await state.saveNetwork({ ...network, ready: true });
    });
  }

  /** If it fails after the IPAM was told: Docker releases the pools of a network that could not be made. */
  async #ensure(network: Network, subnets: readonly AttachedSubnet[]): Promise<void> {
    const { kernel, firewall, forwarding, attach } = this.#needs;
    await during(`create network ${network.id}`, async () => {
      await firewall.change([], networkElements(network));
      await forwarding.ensure(network);
      await kernel.apply(planBridge(network));
      await attach(network.id, subnets);
    });
  }

  /**
   * Compares the network with the links of the host.
   * @returns whether its bridge exists, and is the user's, and which of its addresses are there already
   * @throws TsnetError "conflict" that names the link in the way
   */
  async #checkLinks(network: Network): Promise<Pick<Network, "adopted" | "kept">> {
    const observed = await this.#needs.kernel.observe();
    const link = observed.links.find(({ name }) => name === network.bridge);
    const inTheWay = link === undefined ? "" : whyNotUse(link, network);
    if (inTheWay !== "") throw new TsnetError("conflict", inTheWay);
    const clash = overlappingLink(network, observed);
    if (clash !== "") throw new TsnetError("conflict", clash);
    if (link === undefined || parseLinkAlias(link.alias) !== undefined) return { adopted: false, kept: [] };
    const held = new Set(observed.addresses.flatMap((found) => (found.link === link.index ? [found.address] : [])));
    return { adopted: true, kept: bridgeAddresses(network).filter((address) => held.has(address)) };
  }

  /**
   * Whether Docker's IPAM can do without choosing gateways for a network like this: an internal one whose bridge gets no address
   * has no use for one.
   * @throws TsnetError "invalid"
   */
  checkGateways({ options, internal }: Pick<NetworkRequest, "options" | "internal">): GatewayCheck {
    const parsed = parseBridgeOptions(options).options;
    refuseIsolated(parsed, internal);
    return {
      SkipIPv4: parsed.gatewayMode4 === "isolated" || (internal && parsed.inhibitIpv4 === true),
      SkipIPv6: parsed.gatewayMode6 === "isolated",
    };
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
    return this.#needs.locks.exclusive(id, () => this.#removeIfKnown(id));
  }

  async #removeIfKnown(id: string): Promise<void> {
    const { state } = this.#needs;
    const network = state.network(id);
    if (network === undefined) state.removing.delete(id);
    else await during(`delete network ${id}`, () => this.#remove(network));
  }

  async #remove(network: Network): Promise<void> {
    const { state, kernel, firewall, forwarding, removals, endpoints, locks } = this.#needs;
    state.removing.add(network.id);
    if (network.ready) await state.saveNetwork({ ...network, ready: false });
    for (const { id } of state.endpointsOf(network.id)) await locks.exclusive(id, () => endpoints.remove(id));
    await kernel.apply(planBridgeRemoval(network));
    removals.schedule();
    await firewall.change(networkElements(network), []);
    await state.forgetNetwork(network.id);
    forwarding.forget(network.id);
  }
}

const attachedSubnet = ({ addressSpace, pool, gateway, auxiliary }: RequestedSubnet): AttachedSubnet => ({
  addressSpace,
  pool,
  gateway: gateway === null ? null : parseHostAddress(gateway).ip.text,
  auxiliary: Object.entries(auxiliary).map(([name, text]) => auxiliaryIp(name, text).text),
});

/** Why a link that exists cannot be the network's bridge; "" if it can. */
function whyNotUse(link: ObservedLink, network: Network): string {
  if (link.kind !== "bridge") return `existing interface ${link.name} is not a bridge`;

  const owner = parseLinkAlias(link.alias);
  if (owner !== undefined && owner.id !== network.id) return `the bridge ${link.name} belongs to network ${owner.id}`;
  return owner === undefined && link.name === bridgeName(network.id)
    ? `the bridge ${link.name} exists, and tsnet did not make it`
    : "";
}

/**
 * A link whose own subnet lies in one of the network's, or is the same: its neighbors would be cut off. A wider subnet, such as a
 * VPN's, is no hindrance. "" for none.
 */
function overlappingLink(network: Network, observed: Observed): string {
  const inUse = observed.links.filter(
    ({ name, group }) => name !== network.bridge && name !== "lo" && group !== removedGroup,
  );
  const names = new Map(inUse.map(({ index, name }) => [index, name]));
  for (const { link, address } of observed.addresses) {
    const { ip, subnet } = parseHostAddress(address);
    const name = names.get(link);
    if (name === undefined) continue;
    const clash = network.subnets
      .filter(({ family }) => family === ip.family)
      .find(({ pool }) => overlaps(parseCidr(pool), subnet) && subnet.prefix >= parseCidr(pool).prefix);
    if (clash !== undefined)
      return `the subnet ${clash.pool} overlaps with ${subnet.text} of the link ${name}; give another --subnet`;
  }
  return "";
}
