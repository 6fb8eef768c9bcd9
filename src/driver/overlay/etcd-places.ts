/** The addresses of this host's endpoints, as etcd knows them. */
import { setTimeout as pause } from "node:timers/promises";
import { explain, TsnetError } from "../../errors.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import { type Lost, lost } from "../ipam/attempts.ts";
import { Locks } from "../locks.ts";
import type { RecordChange, RecordCondition } from "../records.ts";
import type { EtcdHosts, EtcdHostsNeeds } from "./etcd-hosts.ts";
import { ipOf, type PlaceRecord, parsePlaceRecord, placeId } from "./shared-records.ts";

export interface EtcdPlacesNeeds extends EtcdHostsNeeds {
  readonly hosts: EtcdHosts;
}

/** What an endpoint has in etcd, by ID. */
type Places = ReadonlyMap<string, PlaceRecord>;

export class EtcdPlaces {
  readonly #needs: EtcdPlacesNeeds;
  /** One thing at a time for each endpoint. */
  readonly #locks = new Locks();
  /** What was said of endpoints that could not be put back, by ID. */
  readonly #told = new Map<string, string>();

  constructor(needs: EtcdPlacesNeeds) {
    this.#needs = needs;
  }

  /** @see ControlPlane.claim */
  claim(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    const beganAt = performance.now();
    return this.#locks.exclusive(endpoint.id, () =>
      this.#needs.attempts.run(async () => {
        await this.#needs.hosts.announce();
        this.#refuseGateway(network.vni, endpoint);
        return this.#claim(network.vni, this.placesOf(network, endpoint));
      }, beganAt),
    );
  }

  /**
   * Puts endpoints back that etcd has lost, many at once; if one of their addresses is somebody's by now, one by one.
   * @returns whether all are
   * @throws TsnetError "store"
   */
  async putBack(some: readonly (readonly [OverlayNetwork, Endpoint])[]): Promise<boolean> {
    const { records } = this.#needs;
    let isDone = true;
    for (const part of parts(some, records.maxChanges)) {
      const places = part.flatMap(([network, endpoint]) => [...this.placesOf(network, endpoint)]);
      if (await this.#put(places)) continue;
      for (const [network, endpoint] of part) isDone = (await this.#putOneBack(network, endpoint)) && isDone;
    }
    return isDone;
  }

  #putOneBack(network: OverlayNetwork, endpoint: Endpoint): Promise<boolean> {
    const { log } = this.#needs;
    return this.#locks.exclusive(endpoint.id, async () => {
      if (!this.#isOwn(network, endpoint)) return true;
      try {
        await this.#needs.attempts.run(() => this.#claim(network.vni, this.placesOf(network, endpoint)));
        this.#told.delete(endpoint.id);
        return true;
      } catch (error) {
        if (!(error instanceof TsnetError && error.code === "conflict")) throw error;
        const fields = { network: network.id, endpoint: endpoint.id, error: explain(error) };
        const what = "an endpoint of this host cannot be reached from others: its address is not its own in etcd";
        if (this.#told.get(endpoint.id) !== fields.error) log.error(fields, what);
        this.#told.set(endpoint.id, fields.error);
        return false;
      }
    });
  }

  #isOwn({ id }: OverlayNetwork, endpoint: Endpoint): boolean {
    return [...this.#needs.own()].some(
      ({ network, endpoints }) => network.id === id && endpoints.some((one) => one.id === endpoint.id),
    );
  }

  /** @throws TsnetError "store" */
  release(network: OverlayNetwork, endpoint: Endpoint): Promise<void> {
    const { records, hosts, hostId } = this.#needs;
    this.#told.delete(endpoint.id);
    return this.#locks.exclusive(endpoint.id, async () => {
      const places = [...this.placesOf(network, endpoint)];
      const changes = places.map(([id]): RecordChange => ({ remove: "place", id }));
      if (await records.commitIf(changes, conditionsOf(places))) return;
      for (const [id] of places) await hosts.removePlace(id, hostId, endpoint.id);
    });
  }

  placesOf({ vni }: OverlayNetwork, { id, mac, addresses }: Endpoint): Places {
    const value = { host: this.#needs.hostId, endpoint: id, mac: mac ?? "" };
    return new Map(addresses.map((address) => [placeId(vni, ipOf(address)), value]));
  }

  /** @returns lost if others have changed something meanwhile */
  async #claim(vni: number, wanted: Places): Promise<undefined | Lost> {
    const { records, feed } = this.#needs;
    for (const [id] of wanted) {
      const kept = feed.isKept(id) ? feed.places.at(id) : undefined;
      if (kept) throw this.#inUse(id, kept, "which etcd has lost, and its host puts back");
    }
    await this.#refuseMac(vni, wanted);
    if (await this.#put([...wanted])) return undefined;
    const found = await Promise.all([...wanted].map(async ([id]) => [id, await records.get("place", id)] as const));
    let isSame = true;
    for (const [id, value] of found) {
      const place = value === undefined ? undefined : parsePlaceRecord(id, value);
      if (place && place.host !== this.#needs.hostId) throw this.#inUse(id, place);
      isSame &&= JSON.stringify(place) === JSON.stringify(wanted.get(id));
    }
    return isSame || (await this.#put([...wanted], new Map(found))) ? undefined : lost;
  }

  #put(places: readonly (readonly [string, PlaceRecord])[], before: ReadonlyMap<string, unknown> = new Map()) {
    const changes = places.map(([id, value]): RecordChange => ({ put: "place", id, value }));
    const conditions = places.map(
      ([id]): RecordCondition => ({ kind: "place", id, is: (before.get(id) as object | undefined) ?? "absent" }),
    );
    return this.#needs.records.commitIf(changes, conditions);
  }

  /** Other hosts may have gateways in a network that has none here. */
  #refuseGateway(vni: number, { addresses }: Endpoint): void {
    const { gateways = [] } = this.#needs.feed.networks.get(vni) ?? {};
    const ip = addresses.map((address) => ipOf(address)).find((one) => gateways.includes(one));
    if (ip === undefined) return;
    const why = `address ${ip} of VNI ${vni} is the network's gateway on other hosts`;
    throw new TsnetError("conflict", `${why}: make the network here with --gateway ${ip}, too, or give another --ip`);
  }

  /** A MAC address leads to one port. It can be given by the user only, with an address that does not fit. */
  async #refuseMac(vni: number, wanted: Places): Promise<void> {
    const [mine] = wanted.values();
    const heard = mine && this.#needs.feed.places.foreign(vni, mine.mac);
    if (heard === undefined || wanted.has(heard.id)) return;
    const value = await this.#needs.records.get("place", heard.id);
    const place = value === undefined ? undefined : parsePlaceRecord(heard.id, value);
    if (place === undefined || place.host === this.#needs.hostId || place.mac !== mine?.mac) return;
    const why = `the MAC address ${mine.mac} is that of endpoint ${this.#describe(place)}, too`;
    throw new TsnetError("conflict", `${why}: give another --mac-address, or none`);
  }

  #inUse(id: string, place: PlaceRecord, what = ""): TsnetError {
    const [vni, ip] = id.split("/");
    const why = [`address ${ip} of VNI ${vni} is that of endpoint ${this.#describe(place)}`, what].filter(Boolean);
    const remedy =
      "Docker's own IPAM knows one host only: give each host its own --ip-range, or use --ipam-driver tsnet with --ipam-opt tsnet.shared=true";
    const gone = "a host that is gone for good is forgotten by: tsnet hosts remove";
    return new TsnetError("conflict", `${why.join(", ")}: ${remedy}; ${gone}`);
  }

  #describe = ({ host, endpoint }: PlaceRecord): string =>
    `${endpoint.slice(0, 12)} on host ${this.#needs.feed.hosts.call(host)}`;
}

const conditionsOf = (places: readonly (readonly [string, PlaceRecord])[]): RecordCondition[] =>
  places.map(([id, is]) => ({ kind: "place", id, is }));

/** Endpoints in groups that have no more than so many addresses together. */
function* parts<T>(
  some: readonly (readonly [T, Endpoint])[],
  most: number,
): Generator<readonly (readonly [T, Endpoint])[]> {
  let part: (readonly [T, Endpoint])[] = [];
  let count = 0;
  for (const one of some) {
    const { length } = one[1].addresses;
    if (part.length > 0 && count + length > most) {
      yield part;
      [part, count] = [[], 0];
    }
    part.push(one);
    count += length;
  }
  if (part.length > 0) yield part;
}

/** Docker asks once, and forgets: what it removes is done here or later. */
export async function withPatience(work: Promise<void>, patienceMs: number): Promise<void> {
  await Promise.race([work, pause(patienceMs, undefined, { ref: false })]);
}
