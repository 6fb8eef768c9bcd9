import { setImmediate } from "node:timers/promises";
import { type DirectEndpoint, localElements, planDirectEndpoint } from "../../plan/direct.ts";
import { compareDirect, type DirectState, planDirectChange, unsure } from "../../plan/direct-change.ts";
import type { Element } from "../../plan/elements.ts";
import { leftOutBy } from "../../plan/left-out.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { RemoteEndpoint } from "../../plan/overlay-places.ts";
import type { Kernel } from "../kernel.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { LeftRoutes } from "./direct-left-routes.ts";
import type { DirectTold } from "./direct-told.ts";
import type { Family, WayProofs } from "./way-proofs.ts";
import type { Ways } from "./ways.ts";

/** A network that this host has in the kernel. */
export interface DirectNetwork {
  readonly network: OverlayNetwork;
  /** Those of this host. */
  readonly endpoints: readonly Endpoint[];
  /** This host's tunnel address. */
  readonly local: string;
}

export interface DirectChangesNeeds {
  readonly kernel: Pick<Kernel, "apply">;
  readonly plane: Pick<ControlPlane, "remotes" | "remote">;
  readonly left: Pick<LeftRoutes, "drop">;
}

/** Endpoints of other hosts by MAC address; undefined for one that there is not. */
type Remotes = ReadonlyMap<string, RemoteEndpoint | undefined>;

/** So many endpoints are looked at in one turn: some ten thousand may be due. */
const perTurn = 100;

/** Tells the kernel which endpoints go the short way, as the control plane, the routing and what is proven say. */
export class DirectChanges {
  readonly #needs: DirectChangesNeeds;
  readonly #ways: Pick<Ways, "to">;
  readonly #proofs: Pick<WayProofs, "isProven">;

  constructor(needs: DirectChangesNeeds, ways: Pick<Ways, "to">, proofs: Pick<WayProofs, "isProven">) {
    this.#needs = needs;
    this.#ways = ways;
    this.#proofs = proofs;
  }

  /**
   * @param macs of the endpoints that are looked at, besides those of this host
   * @throws whatever the first had that could not be put; it stays in the tunnel, and keeps no other there
   */
  async make(one: DirectNetwork, told: DirectTold, macs: ReadonlySet<string> | "all"): Promise<void> {
    const local = localElements(one.endpoints);
    const failures: unknown[] = [];
    const dropLeft = async (ips: readonly string[]): Promise<void> => {
      await this.#needs.left.drop(ips, (ip) => told.isRouted(ip)).catch((error: unknown) => failures.push(error));
    };
    for (const some of inParts(macs === "all" ? this.#macsOf(one, told) : macs)) {
      const remotes = this.#remotesOf(one, some);
      failures.push(...(await this.#change(one, told, remotes, local)));
      await dropLeft([...remotes.values()].flatMap((remote) => remote?.ips ?? []));
      await setImmediate();
    }
    await dropLeft(local.map(([, ip]) => ip));
    if (failures.length > 0) throw failures[0];
  }

  *#macsOf({ network }: DirectNetwork, told: DirectTold): Generator<string> {
    const known = new Set(told.macs);
    for (const { mac } of this.#needs.plane.remotes(network.vni)) {
      known.delete(mac);
      yield mac;
    }
    yield* known;
  }

  /** @returns what failed */
  async #change(one: DirectNetwork, told: DirectTold, remotes: Remotes, local: readonly Element[]): Promise<unknown[]> {
    const before = told.of(remotes.keys());
    const wanted: DirectState = { local, endpoints: this.#wanted(one, remotes) };
    // without anybody to go the short way to, nobody has to be known here
    if (told.isEmpty && wanted.endpoints.size === 0) return [];
    const change = compareDirect(before, wanted);
    // if that fails, nobody knows what has been done
    told.put(change.macs, unsure(before, wanted));
    try {
      for (const op of planDirectChange(one.network, change)) await this.#needs.kernel.apply([op]);
      told.put(change.macs, wanted);
      return [];
    } catch (error) {
      if (change.macs.length <= 1) return [error];
      const failures: unknown[] = [];
      for (const mac of change.macs) {
        failures.push(...(await this.#change(one, told, new Map([[mac, remotes.get(mac)]]), local)));
      }
      return failures;
    }
  }

  /** What this host has is on no other. */
  #remotesOf({ network, endpoints }: DirectNetwork, macs: readonly string[]): Remotes {
    const here = new Set(endpoints.map(({ mac }) => mac));
    const find = (mac: string) => (here.has(mac) ? undefined : this.#needs.plane.remote(network.vni, mac));
    return new Map(macs.map((mac) => [mac, find(mac)]));
  }

  /** By MAC address. */
  #wanted({ network, local }: DirectNetwork, remotes: Remotes): Map<string, DirectEndpoint> {
    const whyLeftOut = leftOutBy(network, local);
    const wanted = new Map<string, DirectEndpoint>();
    for (const [mac, remote] of remotes) {
      const vtep = remote?.vtep ?? null;
      const way = vtep === null ? undefined : this.#ways.to(vtep);
      if (remote === undefined || vtep === null || way === undefined || whyLeftOut(remote) !== "") continue;
      const isProven = (family: Family): boolean => this.#proofs.isProven(network, vtep, family);
      const planned = planDirectEndpoint({ ...remote, vtep }, way, isProven);
      if (planned.routes.length > 0) wanted.set(mac, planned);
    }
    return wanted;
  }
}

/** At least one part, which may be of none. */
function* inParts(macs: Iterable<string>): Generator<string[]> {
  let part: string[] = [];
  for (const mac of macs) {
    if (part.length === perTurn) {
      yield part;
      part = [];
    }
    part.push(mac);
  }
  yield part;
}
