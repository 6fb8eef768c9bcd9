import { explain } from "../../errors.ts";
import { isSameFamily } from "../../net/cidr.ts";
import { namespaceName } from "../../net/names.ts";
import { leftOutBy } from "../../plan/left-out.ts";
import { type Endpoint, hasGateway, type OverlayNetwork } from "../../plan/network.ts";
import type { Op } from "../../plan/op.ts";
import {
  ensurePlaces,
  localPlace,
  type RemoteEndpoint,
  remotePlace,
  removePlaces,
  setFloodList,
} from "../../plan/overlay-places.ts";
import type { Place } from "../../plan/places.ts";
import type { Kernel } from "../kernel.ts";
import type { Log } from "../log.ts";
import type { ControlPlane, RemoteChange } from "./control-plane.ts";

export interface RemotePlacesNeeds {
  readonly kernel: Pick<Kernel, "apply" | "repairEntries">;
  readonly plane: Pick<ControlPlane, "isComplete" | "remotes" | "remote" | "hostsOf">;
  /** Those of this host. */
  readonly endpointsOf: (network: OverlayNetwork) => readonly Endpoint[];
  /** This host's tunnel address in a network that is all there. */
  readonly localOf: (network: OverlayNetwork) => string;
  readonly log: Log;
}

/** What the kernel has been told of a network. */
class Told {
  /** MAC addresses of other hosts' endpoints: of all that may be there. */
  readonly macs = new Set<string>();
  /** Whether it may lack something, or have too much. */
  isStale = false;
  /** Whether it was told of all that there is: what it has besides is an earlier process's. */
  isWhole = false;
  /** This host's tunnel address then. */
  local = "";
  /** Why something is left out, which was said: with the host that it is on, where that is known. */
  readonly leftOut = new Map<string, string | null>();
}

/** So many places go to the kernel at a time, in which its thread does nothing else. */
const placesAtOnce = 200;

/**
 * Where the endpoints of other hosts are, as the kernel is to know it. An endpoint that moves is told of by its old host and by its
 * new one, in any order: while this host has it, it is here.
 *
 * What the kernel refuses keeps nothing else from it: it is told, and `repair` tells the kernel everything again.
 */
export class RemotePlaces {
  readonly #needs: RemotePlacesNeeds;
  /** By network ID. */
  readonly #told = new Map<string, Told>();

  constructor(needs: RemotePlacesNeeds) {
    this.#needs = needs;
  }

  /** Everything that is known of a network, and nothing else. */
  async put(network: OverlayNetwork): Promise<void> {
    const told = this.#toldOf(network);
    told.isStale = false;
    told.isWhole = this.#needs.plane.isComplete(network.vni);
    told.local = this.#needs.localOf(network);
    await this.flood(network);
    await this.#change(network, this.#needs.plane.remotes(network.vni), told.macs);
  }

  change(network: OverlayNetwork, { put, removed }: RemoteChange): Promise<void> {
    return this.#change(network, put, removed);
  }

  /** To which hosts goes what is for all. */
  async flood(network: OverlayNetwork): Promise<void> {
    const local = this.#needs.localOf(network);
    const hosts = this.#needs.plane.hostsOf(network.vni);
    const { leftOut } = this.#toldOf(network);
    for (const [why, host] of leftOut) if (host !== null && !hosts.includes(host)) leftOut.delete(why);
    // one that goes to itself would come back, and be learned as another's
    const others = hosts.filter((host) => isSameFamily(host, local) && host !== local);
    const vteps = network.flood ? others : [];
    await this.#apply(network, setFloodList(network, vteps));
  }

  /** Compares with the kernel. @returns what was wrong, in words */
  async repair(network: OverlayNetwork): Promise<string[]> {
    const { kernel, plane, localOf } = this.#needs;
    const told = this.#toldOf(network);
    const { isStale } = told;
    // what the control plane has just told may still wait for its turn, while an earlier process's entries for it are in the kernel
    const isUntold = plane.isComplete(network.vni) && !told.isWhole;
    if (isStale || isUntold || !isSameFamily(told.local, localOf(network))) await this.put(network);
    const reasons = isStale ? [`overlay network ${network.id}: not all that other hosts have was in the kernel`] : [];
    const isComplete = plane.isComplete(network.vni) && told.isWhole && !told.isStale;
    return [...reasons, ...(await kernel.repairEntries(namespaceName(network.id), isComplete))];
  }

  /** Where the MAC address is of an endpoint that this host has no more, or has never made; null for nowhere. */
  placeAfter(network: OverlayNetwork, { mac }: Endpoint): Place | null {
    const { endpointsOf, plane, localOf } = this.#needs;
    const own = endpointsOf(network).find((one) => one.mac === mac);
    if (own) return localPlace(own);
    const remote = mac === null ? undefined : plane.remote(network.vni, mac);
    if (remote === undefined || leftOutBy(network, localOf(network))(remote) !== "") return null;
    this.#toldOf(network).macs.add(remote.mac);
    return remotePlace(network, remote);
  }

  /** Endpoints of other hosts that the kernel has been told of, or is being told of. */
  *told(network: OverlayNetwork): Generator<RemoteEndpoint> {
    const macs = this.#told.get(network.id)?.macs;
    for (const remote of macs ? this.#needs.plane.remotes(network.vni) : []) if (macs?.has(remote.mac)) yield remote;
  }

  /** A network whose namespace is gone. */
  forget({ id }: Pick<OverlayNetwork, "id">): void {
    this.#told.delete(id);
  }

  /** @param removed those of them that are put stay */
  async #change(network: OverlayNetwork, put: Iterable<RemoteEndpoint>, removed: Iterable<string>): Promise<void> {
    const told = this.#toldOf(network);
    const gone = new Set(removed);
    for (const op of this.#planPut(network, put, gone)) await this.#apply(network, op);
    const here = this.#macsOf(network);
    const macs = [...gone].filter((mac) => !here.has(mac));
    for (let first = 0; first < macs.length; first += placesAtOnce) {
      const some = macs.slice(first, first + placesAtOnce);
      if (await this.#apply(network, removePlaces(network, some))) for (const mac of some) told.macs.delete(mac);
    }
  }

  /** @param gone is without those that are put then, and with those that are left out */
  *#planPut(network: OverlayNetwork, remotes: Iterable<RemoteEndpoint>, gone: Set<string>): Generator<Op> {
    const told = this.#toldOf(network);
    const here = this.#macsOf(network);
    const leftOut = leftOutBy(network, this.#needs.localOf(network));
    let places: Place[] = [];
    for (const remote of remotes) {
      const why = leftOut(remote);
      if (why !== "") {
        this.#say(network, remote, why);
        gone.add(remote.mac);
        continue;
      }
      gone.delete(remote.mac);
      if (here.has(remote.mac)) continue;
      told.macs.add(remote.mac);
      places.push(remotePlace(network, remote));
      if (places.length < placesAtOnce) continue;
      yield ensurePlaces(network, places);
      places = [];
    }
    if (places.length > 0) yield ensurePlaces(network, places);
  }

  /** What is refused is told. @returns whether it was done */
  async #apply(network: OverlayNetwork, op: Op): Promise<boolean> {
    try {
      await this.#needs.kernel.apply([op]);
      return true;
    } catch (error) {
      this.#toldOf(network).isStale = true;
      const what = "the kernel could not be told all that other hosts have; it is told again";
      this.#needs.log.error({ network: network.id, error: explain(error) }, what);
      return false;
    }
  }

  /** Once, of each host or endpoint. */
  #say(network: OverlayNetwork, { vtep: host, mac }: RemoteEndpoint, why: string): void {
    const isSaid = [...this.#told.values()].some(({ leftOut }) => leftOut.has(why));
    this.#toldOf(network).leftOut.set(why, host);
    if (isSaid) return;
    const what = "an endpoint of another host cannot be reached from here";
    this.#needs.log.warn({ network: network.id, host, mac, why }, what);
  }

  #toldOf({ id }: OverlayNetwork): Told {
    const told = this.#told.get(id) ?? new Told();
    this.#told.set(id, told);
    return told;
  }

  #macsOf(network: OverlayNetwork): ReadonlySet<string> {
    const own = this.#needs.endpointsOf(network).flatMap(({ mac }) => mac ?? []);
    return new Set(hasGateway(network) ? [network.mac, ...own] : own);
  }
}
