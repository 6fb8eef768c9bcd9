import { TsnetError } from "../errors.ts";
import { overlaps, parseCidr, parseHostAddress } from "../net/cidr.ts";
import { bridgeName, containerVethName, parseLinkAlias } from "../net/names.ts";
import { bridgeAddresses, planBridge, planBridgeRemoval, planVeth, planVethRemoval } from "../plan/bridge.ts";
import { networkElements } from "../plan/firewall.ts";
import type { BridgeNetwork, Endpoint, Network } from "../plan/network.ts";
import { networkConflict } from "../plan/network-request.ts";
import type { Observed, ObservedLink } from "../plan/observed.ts";
import { removedGroup } from "../plan/reconcile.ts";
import { planRoutes } from "../plan/routes.ts";
import type { Firewall } from "./firewall.ts";
import type { Forwarding } from "./forwarding.ts";
import type { Kernel } from "./kernel.ts";
import type { JoinAnswer, Mode } from "./mode.ts";
import type { Removals } from "./removals.ts";

export interface BridgeModeNeeds {
  readonly kernel: Kernel;
  readonly firewall: Firewall;
  readonly forwarding: Forwarding;
  readonly removals: Removals;
}

/** Networks with a bridge of the host, and endpoints that are its ports. */
export class BridgeMode implements Mode<BridgeNetwork> {
  readonly #needs: BridgeModeNeeds;

  constructor(needs: BridgeModeNeeds) {
    this.#needs = needs;
  }

  /** Finds whether the bridge exists, and is the user's, and which of its addresses are there already. */
  async checkNetwork(network: BridgeNetwork, others: Iterable<Network>): Promise<BridgeNetwork> {
    const conflict = networkConflict(network, others);
    if (conflict !== "") throw new TsnetError("conflict", conflict);
    const observed = await this.#needs.kernel.observe();
    const link = observed.links.find(({ name }) => name === network.bridge);
    const inTheWay = link === undefined ? "" : whyNotUse(link, network);
    if (inTheWay !== "") throw new TsnetError("conflict", inTheWay);
    const clash = overlappingLink(network, observed);
    if (clash !== "") throw new TsnetError("conflict", clash);
    if (link === undefined || parseLinkAlias(link.alias) !== undefined) return { ...network, adopted: false, kept: [] };
    const held = new Set(observed.addresses.flatMap((found) => (found.link === link.index ? [found.address] : [])));
    return { ...network, adopted: true, kept: bridgeAddresses(network).filter((address) => held.has(address)) };
  }

  withFound(asked: BridgeNetwork, { adopted, kept }: BridgeNetwork): BridgeNetwork {
    return { ...asked, adopted, kept };
  }

  async ensureNetwork(network: BridgeNetwork): Promise<void> {
    const { kernel, firewall, forwarding } = this.#needs;
    await firewall.change([], networkElements(network));
    await forwarding.ensure(network);
    await kernel.apply(planBridge(network));
  }

  async removeNetwork(network: BridgeNetwork): Promise<void> {
    const { kernel, firewall, forwarding, removals } = this.#needs;
    await kernel.apply(planBridgeRemoval(network));
    removals.schedule();
    await firewall.change(networkElements(network), []);
    forwarding.forget(network.id);
  }

  async createEndpoint(network: BridgeNetwork, endpoint: Endpoint): Promise<void> {
    await this.#needs.forwarding.ensure(network);
    await this.ensureEndpoint(network, endpoint);
  }

  ensureEndpoint(network: BridgeNetwork, endpoint: Endpoint): Promise<void> {
    return this.#needs.kernel.apply(planVeth(network, endpoint));
  }

  async removeEndpoint(_network: BridgeNetwork, endpoint: Endpoint): Promise<void> {
    await this.#needs.kernel.apply(planVethRemoval(endpoint));
    this.#needs.removals.schedule();
  }

  join(network: BridgeNetwork, endpoint: Endpoint): JoinAnswer {
    return {
      link: containerVethName(endpoint.id),
      interfacePrefix: network.interfacePrefix,
      withoutGatewayService: false,
      ...planRoutes(endpoint, network),
    };
  }
}

/** Why a link that exists cannot be the network's bridge; "" if it can. */
function whyNotUse(link: ObservedLink, network: BridgeNetwork): string {
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
function overlappingLink(network: BridgeNetwork, observed: Observed): string {
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
