import { hasErrno, TsnetError } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import { shimName } from "../net/names.ts";
import type { Expected } from "../plan/elements.ts";
import {
  isHostNear,
  type ParentState,
  planReach,
  planReachRemoval,
  planShim,
  planShimAddresses,
  planShimRemoval,
  shimAddresses,
} from "../plan/host-access.ts";
import { hostAccessTable, reachElements, shimElements, wantedHostAccess } from "../plan/host-access-table.ts";
import { type Endpoint, isLan, type LanNetwork } from "../plan/network.ts";
import type { Observed } from "../plan/observed.ts";
import type { Repair, Wanted } from "../plan/reconcile.ts";
import { planHostAccessRepairs } from "../plan/reconcile-host-access.ts";
import { KeptTable } from "./kept-table.ts";
import type { Kernel } from "./kernel.ts";
import { findHolder } from "./lan-addresses.ts";
import type { Log } from "./log.ts";
import type { State } from "./state.ts";

export interface HostAccessNeeds {
  readonly kernel: Kernel;
  readonly state: State;
  readonly log: Log;
}

/** The host's own way to the containers of networks with a parent (recipes F1): a link on the parent, and a route to each container. */
export class HostAccess {
  readonly #needs: HostAccessNeeds;
  /** Keeps shims from answering for the host on the LAN. */
  readonly #table: KeptTable;
  /** Networks and endpoints, by ID, whose access is there, or about to be. One that is recorded may be asking its segment yet. */
  readonly #active = new Set<string>();

  constructor(needs: HostAccessNeeds) {
    this.#needs = needs;
    this.#table = new KeptTable(needs.kernel, hostAccessTable, () => this.#expected());
  }

  /** Puts the table in place if a network needs it, before there is a shim; once, at the start, with all that is recorded. */
  async install(): Promise<void> {
    const { state } = this.#needs;
    for (const network of state.networks()) {
      if (!isLan(network) || network.hostAccess === null) continue;
      for (const { id } of [network, ...state.endpointsOf(network.id)]) this.#active.add(id);
    }
    if (this.#expected() === null) await this.#table.repair();
    else await this.#table.install();
  }

  /**
   * Compares the table with the records and repairs it.
   * @returns whether something had to be done
   */
  repairTable(): Promise<boolean> {
    return this.#table.repair();
  }

  /** What mends the rest. The operations are to be handed over in the same turn: plan/reconcile.ts. */
  planRepairs(wanted: Wanted, observed: Observed, busy: ReadonlySet<string>): Repair[] {
    return planHostAccessRepairs(this.#onlyActive(wanted), observed, busy);
  }

  /**
   * Makes the shim of a network that has host access; its parent is there.
   * @throws TsnetError "conflict" if somebody has an address of tsnet.host_address
   */
  async ensureNetwork(network: LanNetwork): Promise<void> {
    if (network.hostAccess === null) return;
    const { kernel } = this.#needs;
    const parent = await this.#parentOf(network);
    this.#active.add(network.id);
    if (parent === undefined) return; // the reconciler makes it when the parent is there
    if (!network.ready) await this.#warnOfGateway(network, parent);
    await this.#putTable(network);
    await kernel.apply(planShim(network, parent));
    await this.#refuseTaken(network);
    await kernel.apply(planShimAddresses(network));
  }

  /** From a parent without an IPv4 address the kernel sends with that of another link, which may be on the same LAN. */
  async #warnOfGateway(network: LanNetwork, parent: ParentState): Promise<void> {
    const { kernel, log } = this.#needs;
    if (isHostNear(network, parent)) return;
    const hasOwn = parent.addresses.some((address) => !address.includes(":"));
    const addresses = hasOwn ? [] : (await kernel.observeAddresses()).map(({ address }) => address);
    if (isHostNear(network, { addresses })) return;
    const what = "the host has no IPv4 address in the network's subnet";
    log.warn(
      { network: network.id, parent: network.parent.name },
      `${what}, so that containers answer it by their gateway: give it one with tsnet.host_address`,
    );
  }

  async removeNetwork(network: LanNetwork): Promise<void> {
    if (network.hostAccess === null) return;
    this.#active.delete(network.id);
    const shim = this.#needs.kernel.apply(planShimRemoval(network));
    await Promise.all([shim, this.#table.removeElements(shimElements(network))]);
  }

  /** The host reaches this endpoint from now on; without its parent, the reconciler sees to it later. */
  async ensureEndpoint(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    if (network.hostAccess === null) return;
    const parent = await this.#parentOf(network);
    this.#active.add(endpoint.id);
    await this.#table.addElements(reachElements(endpoint));
    if (parent === undefined) return;
    const reach = planReach(network, endpoint, parent);
    await this.#needs.kernel.apply(reach).catch(async (error: unknown) => {
      if (!hasErrno(error, "ENODEV") && !hasErrno(error, "ENETDOWN")) throw error;
      // somebody has removed the shim, or taken it down
      await this.#needs.kernel.apply([...planShim(network, parent), ...planShimAddresses(network), ...reach]);
    });
  }

  async removeEndpoint(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    if (network.hostAccess === null) return;
    this.#active.delete(endpoint.id);
    // in one turn: a comparison finds both or none
    const reach = this.#needs.kernel.apply(planReachRemoval(network, endpoint));
    await Promise.all([reach, this.#table.change(reachElements(endpoint), [])]);
  }

  #expected(): Expected | null {
    const wanted = wantedHostAccess(this.#onlyActive(this.#needs.state.wanted()));
    return wanted && { wanted, leaving: {} };
  }

  #onlyActive({ networks, endpoints }: Wanted): Wanted {
    if (this.#active.size === 0) return { networks: new Map(), endpoints: new Map() };
    const isActive = ([id]: readonly [string, unknown]): boolean => this.#active.has(id);
    return { networks: new Map([...networks].filter(isActive)), endpoints: new Map([...endpoints].filter(isActive)) };
  }

  async #putTable(network: LanNetwork): Promise<void> {
    try {
      await this.#table.addElements(shimElements(network));
    } catch (cause) {
      if (!hasErrno(cause, "EOPNOTSUPP")) throw cause;
      const advice = "use a kernel with CONFIG_NF_TABLES_ARP, or leave the option out";
      throw new TsnetError("kernel", `tsnet.host_access=true needs nft tables of the family arp: ${advice}`, { cause });
    }
  }

  /** undefined if it is not there. */
  async #parentOf({ parent }: LanNetwork): Promise<ParentState | undefined> {
    const { kernel } = this.#needs;
    const [link, addresses] = await Promise.all([kernel.observeLink(parent.name), kernel.observeAddresses()]);
    if (link === undefined) return undefined;
    return { mac: link.mac, addresses: addresses.flatMap((one) => (one.link === link.index ? [one.address] : [])) };
  }

  /** Of tsnet.host_address, what the shim does not have yet: the host, a container or somebody on the LAN may have it. */
  async #refuseTaken(network: LanNetwork): Promise<void> {
    const { kernel } = this.#needs;
    if (network.hostAccess === null || network.hostAccess.addresses.length === 0) return;
    const [shim, held] = await Promise.all([kernel.observeLink(shimName(network.id)), kernel.observeAddresses()]);
    const own = new Set(held.flatMap(({ link, address }) => (link === shim?.index ? [address] : [])));
    const asked = shimAddresses(network)
      .filter((address) => !own.has(address))
      .map(withoutPrefix);
    if (asked.length === 0) return;
    const ofHost = new Set(held.map(({ address }) => withoutPrefix(address)));
    for (const address of asked) {
      if (ofHost.has(address))
        throw taken(address, "the host has it already: leave the option out, or give another one");
      this.#refuseContainers(network, address);
    }
    await this.#refuseAnswered(network, asked);
  }

  #refuseContainers(network: LanNetwork, address: string): void {
    const { state } = this.#needs;
    for (const { id } of state.networksBeside(network)) {
      const holder = state.endpointAt(id, address);
      if (holder !== undefined) throw taken(address, `endpoint ${holder.id} of network ${id} has it: give another one`);
    }
  }

  async #refuseAnswered(network: LanNetwork, addresses: readonly string[]): Promise<void> {
    if (!network.duplicateCheck || network.parent.kind === "dummy") return;
    const holder = await findHolder(this.#needs, network, { link: shimName(network.id), addresses });
    if (holder === undefined) return;
    const why = `${holder.mac} has it on ${network.parent.name}: give another one`;
    throw taken(holder.address, `${why}; tsnet.duplicate_check=false turns the check off`);
  }
}

const withoutPrefix = (address: string): string => parseHostAddress(address).ip.text;

const taken = (address: string, why: string): TsnetError =>
  new TsnetError("conflict", `tsnet.host_address=${address}: ${why}`);
