import { TsnetError } from "../errors.ts";
import { parseLinkAlias } from "../net/names.ts";
import type { DockerNetwork } from "../plan/docker-network.ts";
import { parentConflict } from "../plan/lan-conflicts.ts";
import type { Endpoint, LanNetwork, Network } from "../plan/network.ts";
import type { Observed } from "../plan/observed.ts";
import { findParent } from "../plan/parents.ts";
import { removedGroup } from "../plan/reconcile.ts";
import type { Kernel } from "./kernel.ts";
import type { Log } from "./log.ts";
import type { State } from "./state.ts";

/** What parents are compared with. */
export interface LanParentsNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly log: Log;
  /** Docker's networks as they were last; null while Docker cannot be asked. */
  readonly dockerNetworks: () => readonly DockerNetwork[] | null;
}

/** Who has a parent: networks of tsnet's and of Docker's, and links. */
export class LanParents {
  readonly #needs: LanParentsNeeds;

  constructor(needs: LanParentsNeeds) {
    this.#needs = needs;
  }

  /**
   * Finds whether the parent of a new network is there, or is for tsnet to make.
   * @throws TsnetError "conflict" or "invalid" that names what is in the way
   */
  async check(network: LanNetwork, others: Iterable<Network>): Promise<LanNetwork> {
    const observed = await this.#needs.kernel.observe();
    const found = { ...network, parent: findParent(network, observed.links) };
    const reason = parentConflict(found, others);
    if (reason !== "") throw new TsnetError("conflict", reason);
    const holders = [...this.#dockers(found, clashes(found, true)), ...links(found, observed, clashes(found, false))];
    if (holders.length > 0) throw new TsnetError("conflict", inUse(found, holders));
    return found;
  }

  /**
   * Why the first link on a parent could not be made, where the kernel says too little.
   * @returns undefined if there is nothing to add
   */
  async explain(error: unknown, network: LanNetwork, endpoint: Endpoint): Promise<TsnetError | undefined> {
    if (!(error instanceof TsnetError) || error.errno === undefined) return undefined;
    const { kernel } = this.#needs;
    const { name } = network.parent;
    const observed = await kernel.observe();
    if (!observed.links.some((link) => link.name === name)) {
      return conflict(`the requested parent interface ${name} was not found on the Docker host`, error);
    }
    // of code "invalid" is one about the parent or the MTU
    const isRefused = error.code === "conflict" && error.errno === "EINVAL";
    if (network.mode === "macvlan" && network.macvlanMode === "passthru" && isRefused) {
      const other = this.#needs.state.endpointsOf(network.id).find(({ id }) => id !== endpoint.id);
      if (other !== undefined) {
        return conflict(
          `macvlan_mode=passthru: the network is for one container, and endpoint ${other.id} has it`,
          error,
        );
      }
    }
    if (error.errno !== "EBUSY") return undefined;
    const holders = [...this.#dockers(network, () => true), ...links(network, observed, () => true)];
    const unknown = "somebody: a bridge, a bond, Open vSwitch, or macvlan or ipvlan links";
    return conflict(inUse(network, holders.length === 0 ? [unknown] : holders), error);
  }

  /** Networks of Docker's own drivers on the parent. */
  #dockers({ parent }: LanNetwork, isMeant: (driver: string) => boolean): string[] {
    return (this.#needs.dockerNetworks() ?? [])
      .filter(({ driver, parent: its }) => its === parent.name && lanKinds.has(driver) && isMeant(driver))
      .map(({ name, driver }) => `the Docker network ${name} (${driver})`);
  }
}

const inUse = ({ parent }: LanNetwork, holders: readonly string[]): string =>
  `parent=${parent.name} is in use by ${holders.join(", ")}: give another parent, or remove that first`;

/**
 * Which others cannot be on the parent of this network: a link serves one of macvlan and ipvlan, passthru takes it alone, and the
 * kernel has one mode for all ipvlan links on it, which a second network of ipvlan would change.
 */
function clashes(network: LanNetwork, isNetwork: boolean): (kind: string) => boolean {
  if (network.mode === "ipvlan") return (kind) => isNetwork || !kind.startsWith("ipv");
  return (kind) => network.macvlanMode === "passthru" || kind.startsWith("ipv");
}

const lanKinds: ReadonlySet<string> = new Set(["macvlan", "ipvlan"]);

/** Links of the host on the parent that are not ours. */
function links({ parent }: LanNetwork, observed: Observed, isMeant: (kind: string) => boolean): string[] {
  const index = observed.links.find(({ name }) => name === parent.name)?.index;
  return observed.links
    .filter(
      ({ lower, group, alias }) => lower === index && group !== removedGroup && parseLinkAlias(alias) === undefined,
    )
    .filter(({ kind }) => /^(macv|ipv)(lan|tap)$/.test(kind) && isMeant(kind))
    .map(({ name, kind }) => `the link ${name} (${kind})`);
}

const conflict = (message: string, cause: TsnetError): TsnetError => new TsnetError("conflict", message, { cause });
