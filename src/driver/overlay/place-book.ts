import type { RemoteEndpoint } from "../../plan/overlay-places.ts";
import type { RemoteChange } from "./control-plane.ts";
import { type PlaceRecord, parsePlaceId, placeId } from "./shared-records.ts";

/** One network's places. */
interface Network {
  readonly byIp: Map<string, PlaceRecord>;
  /** The addresses of each MAC address, and of each host. */
  readonly byMac: Map<string, Set<string>>;
  readonly byHost: Map<string, Set<string>>;
}

/** What a change of a record means for this host. */
export interface BookChange extends RemoteChange {
  /** Whether other hosts have endpoints of the network than before. */
  readonly isOtherHosts: boolean;
}

/**
 * Who has which address of which network, on all hosts, as the records say; and of the other hosts' endpoints, what that means for
 * this one. Pure: what changes is returned.
 */
export class PlaceBook {
  readonly #self: string;
  readonly #networks = new Map<number, Network>();
  /** Tunnel addresses by host. */
  readonly #vteps = new Map<string, string>();

  /** @param self the ID of this host, whose endpoints are no remote ones */
  constructor(self: string) {
    this.#self = self;
  }

  /**
   * @param record null: nobody has the address any more
   * @returns undefined if it means nothing
   */
  put(id: string, record: PlaceRecord | null): BookChange | undefined {
    const key = parsePlaceId(id);
    if (key === undefined) return undefined;
    const { vni, ip } = key;
    const network = this.#networks.get(vni) ?? { byIp: new Map(), byMac: new Map(), byHost: new Map() };
    this.#networks.set(vni, network);
    const old = network.byIp.get(ip);
    const changed = new Set([old?.mac, record?.mac].filter((mac) => mac !== undefined));
    const before = [...changed].map((mac) => [mac, this.#remote(network, mac)] as const);
    const isOtherHosts = this.#replace(network, ip, record);
    const change = { vni, isOtherHosts, ...this.#difference(network, before) };
    if (network.byIp.size === 0) this.#networks.delete(vni);
    return isOtherHosts || change.put.length + change.removed.length > 0 ? change : undefined;
  }

  /** @param vtep null: the host is gone, or says no more where it is */
  setHost(host: string, vtep: string | null): BookChange[] {
    if (this.vtepOf(host) === (vtep ?? undefined)) return [];
    const concerned = [...this.#networks].flatMap(([vni, network]) => {
      const places = [...(network.byHost.get(host) ?? [])].flatMap((ip) => network.byIp.get(ip) ?? []);
      const before = [...new Set(places.map(({ mac }) => mac))].map(
        (mac) => [mac, this.#remote(network, mac)] as const,
      );
      return before.length === 0 ? [] : [{ vni, network, before }];
    });
    if (vtep === null) this.#vteps.delete(host);
    else this.#vteps.set(host, vtep);
    if (host === this.#self) return [];
    return concerned.map(({ vni, network, before }) => ({
      ...{ vni, isOtherHosts: true },
      ...this.#difference(network, before),
    }));
  }

  vtepOf(host: string): string | undefined {
    return this.#vteps.get(host);
  }

  /** @param id "8388700/10.1.0.2" */
  at(id: string): PlaceRecord | undefined {
    const key = parsePlaceId(id);
    return key && this.#networks.get(key.vni)?.byIp.get(key.ip);
  }

  /** The IDs of all places. One that is removed meanwhile may be left out, one that is added may be among them. */
  *ids(): Generator<string> {
    for (const [vni, { byIp }] of this.#networks) for (const ip of byIp.keys()) yield placeId(vni, ip);
  }

  /** The hosts that have endpoints of some network. */
  hosts(): Set<string> {
    return new Set([...this.#networks.values()].flatMap(({ byHost }) => [...byHost.keys()]));
  }

  /** A host has the same endpoints, at the same tunnel address, and may be on another link. */
  otherWay(host: string): BookChange[] {
    if (host === this.#self) return [];
    const concerned = [...this.#networks].filter(([, { byHost }]) => byHost.has(host));
    return concerned.map(([vni]) => ({ vni, put: [], removed: [], isOtherHosts: true }));
  }

  /** What a host has of all networks, by ID. */
  *of(host: string): Generator<readonly [id: string, record: PlaceRecord]> {
    for (const [vni, { byIp, byHost }] of this.#networks) {
      for (const ip of byHost.get(host) ?? []) yield [placeId(vni, ip), byIp.get(ip) as PlaceRecord];
    }
  }

  /** The endpoints of other hosts. */
  *remotes(vni: number): Generator<RemoteEndpoint> {
    const network = this.#networks.get(vni);
    if (network === undefined) return;
    for (const mac of network.byMac.keys()) {
      const remote = this.#remote(network, mac);
      if (remote) yield remote;
    }
  }

  remote(vni: number, mac: string): RemoteEndpoint | undefined {
    const network = this.#networks.get(vni);
    return network && this.#remote(network, mac);
  }

  /** The place of another host's endpoint with a MAC address, which this host may have as well. */
  foreign(vni: number, mac: string): { readonly id: string; readonly place: PlaceRecord } | undefined {
    const network = this.#networks.get(vni);
    for (const ip of network?.byMac.get(mac) ?? []) {
      const place = network?.byIp.get(ip);
      if (place && place.host !== this.#self) return { id: placeId(vni, ip), place };
    }
    return undefined;
  }

  /** The tunnel addresses of the other hosts that have endpoints. */
  hostsOf(vni: number): string[] {
    const hosts = [...(this.#networks.get(vni)?.byHost.keys() ?? [])].filter((host) => host !== this.#self);
    return hosts.flatMap((host) => this.#vteps.get(host) ?? []).sort();
  }

  /** @returns whether other hosts have endpoints now */
  #replace(network: Network, ip: string, record: PlaceRecord | null): boolean {
    const { byIp, byMac, byHost } = network;
    const old = byIp.get(ip);
    if (old) {
      byIp.delete(ip);
      drop(byMac, old.mac, ip);
      drop(byHost, old.host, ip);
    }
    const isNew = record !== null && record.host !== old?.host && !byHost.has(record.host) && this.#isFar(record.host);
    if (record) {
      byIp.set(ip, record);
      add(byMac, record.mac, ip);
      add(byHost, record.host, ip);
    }
    const isGone = old !== undefined && !byHost.has(old.host) && this.#isFar(old.host);
    return isNew || isGone;
  }

  #isFar = (host: string): boolean => host !== this.#self && this.#vteps.has(host);

  #difference(
    network: Network,
    before: readonly (readonly [mac: string, remote: RemoteEndpoint | undefined])[],
  ): Pick<RemoteChange, "put" | "removed"> {
    const put: RemoteEndpoint[] = [];
    const removed: string[] = [];
    for (const [mac, old] of before) {
      const remote = this.#remote(network, mac);
      if (remote === undefined && old !== undefined) removed.push(mac);
      if (remote !== undefined && (old === undefined || !isSame(old, remote))) put.push(remote);
    }
    return { put, removed };
  }

  /**
   * undefined if it is this host's, or nobody knows where its host is. Two hosts with one MAC address are a mistake of somebody's:
   * all hosts send to the first of them by ID.
   */
  #remote(network: Network, mac: string): RemoteEndpoint | undefined {
    const places = [...(network.byMac.get(mac) ?? [])].map((ip) => ({ ip, host: network.byIp.get(ip)?.host ?? "" }));
    const hosts = places.map(({ host }) => host);
    if (hosts.includes(this.#self)) return undefined;
    const host = hosts.filter((one) => this.#vteps.has(one)).sort()[0];
    const vtep = host === undefined ? undefined : this.#vteps.get(host);
    if (vtep === undefined) return undefined;
    return { mac, ips: places.flatMap((place) => (place.host === host ? [place.ip] : [])).sort(), vtep };
  }
}

const isSame = (a: RemoteEndpoint, b: RemoteEndpoint): boolean => a.vtep === b.vtep && `${a.ips}` === `${b.ips}`;

function add(index: Map<string, Set<string>>, key: string, ip: string): void {
  const ips = index.get(key);
  if (ips) ips.add(ip);
  else index.set(key, new Set([ip]));
}

function drop(index: Map<string, Set<string>>, key: string, ip: string): void {
  const ips = index.get(key);
  ips?.delete(ip);
  if (ips?.size === 0) index.delete(key);
}

/** One change for each network, with the last of each MAC address. */
export function together(changes: readonly BookChange[]): BookChange[] {
  return [...Map.groupBy(changes, ({ vni }) => vni)].map(([vni, some]) => {
    const last = new Map<string, RemoteEndpoint | null>();
    for (const { put, removed } of some) {
      for (const mac of removed) last.set(mac, null);
      for (const remote of put) last.set(remote.mac, remote);
    }
    return {
      vni,
      isOtherHosts: some.some(({ isOtherHosts }) => isOtherHosts),
      put: [...last.values()].filter((remote) => remote !== null),
      removed: [...last].flatMap(([mac, remote]) => (remote === null ? [mac] : [])),
    };
  });
}
