/** The hosts as etcd knows them: this one says where it is, and those that are gone for good are removed. */
import { TsnetError } from "../../errors.ts";
import { isSameFamily } from "../../net/cidr.ts";
import { type Attempts, lost } from "../ipam/attempts.ts";
import type { RecordChange, RecordCondition, RecordKind } from "../records.ts";
import type { EtcdFeed } from "./etcd-feed.ts";
import { beatMsOf, type EtcdPlaneNeeds, longestBeatMs } from "./etcd-needs.ts";
import type { KnownHost } from "./host-book.ts";
import { type HostRecord, parseHostRecord, parseNetworkRecord, parsePlaceRecord } from "./shared-records.ts";

export interface EtcdHostsNeeds extends EtcdPlaneNeeds {
  readonly feed: EtcdFeed;
  readonly attempts: Attempts;
}

export class EtcdHosts {
  readonly #needs: EtcdHostsNeeds;
  /** This host's addresses, since the others were told. */
  #announced: string | undefined;

  constructor(needs: EtcdHostsNeeds) {
    this.#needs = needs;
  }

  /**
   * Tells the others where this host is, unless they know.
   * @param isBeat says it again, as a sign of life
   * @throws TsnetError "conflict" if another host says that it is there, or that it is this host; but for a sign of life, also if
   * all others have addresses of the other family
   */
  async announce(isBeat = false): Promise<void> {
    const { records, hostId, hostName, hostTtlMs, hasTwin, now, feed } = this.#needs;
    if (hasTwin()) throw twin(hostId);
    const local = await this.#needs.local();
    const ipv6 = (await this.#needs.local6?.(local)) ?? null;
    const addresses = `${local} ${ipv6}`;
    if (!isBeat) this.#refuseFamily(local);
    if (this.#announced === addresses && !isBeat) return;
    const found = await records.get("vtep", local);
    const holder = found === undefined ? undefined : parseHostRecord(local, found);
    if (holder !== undefined && holder.host !== hostId && !this.#isSilent(local, holder))
      throw sameAddress(local, holder);
    const value: HostRecord = {
      ...{ host: hostId, name: hostName, seenMs: now(), ttlMs: hostTtlMs },
      ...(ipv6 === null ? {} : { ipv6 }),
    };
    const is = (found as object | undefined) ?? "absent";
    if (!(await records.commitIf([{ put: "vtep", id: local, value }], [{ kind: "vtep", id: local, is }]))) {
      const todo = "is there another tsnet with this TSNET_HOST_ID or TSNET_ADVERTISE_ADDRESS? Give each host its own";
      throw new TsnetError("store", `the record of host ${hostId} in etcd was changed at the same time: ${todo}`);
    }
    for (const { host, address } of feed.hosts.all())
      if (host === hostId && address !== local) await this.#forget(address);
    this.#announced = addresses;
  }

  /**
   * Whether whoever had an address has not been heard of there for longer than a host is silent: it was given to this host since. It
   * says where it is when it lives.
   */
  #isSilent(address: string, { ttlMs }: HostRecord): boolean {
    const { feed, now } = this.#needs;
    const heardMs = feed.hosts.at(address)?.aliveMs ?? now();
    return now() - Math.max(heardMs, feed.resetMs) > 2 * (ttlMs === undefined ? longestBeatMs : beatMsOf(ttlMs));
  }

  /**
   * A VXLAN link has tunnels of one family (vxlan_fdb_parse() in drivers/net/vxlan/vxlan_core.c). Where hosts go from one to the
   * other, the first of them still says where it is.
   */
  #refuseFamily(local: string): void {
    const { feed, hostId } = this.#needs;
    const others = feed.hosts.all().filter(({ host }) => host !== hostId);
    const [one] = others;
    if (one === undefined || others.some(({ address }) => isSameFamily(address, local))) return;
    const what = `the tunnel address ${local} of this host is not of the family of the other hosts', such as ${one.address} of`;
    const todo = "set TSNET_ADVERTISE_ADDRESS to an address of theirs, or to the link that has one";
    const gone = "a host that is gone for good is forgotten by: tsnet hosts remove";
    throw new TsnetError("conflict", `${what} host ${feed.hosts.call(one.host)}: ${todo}; ${gone}`);
  }

  /** Whether the others know where this host is, as far as it has heard. */
  async isKnown(): Promise<boolean> {
    const isKnown = this.#needs.feed.hosts.at(await this.#needs.local())?.host === this.#needs.hostId;
    if (!isKnown) this.#announced = undefined;
    return isKnown;
  }

  /** This host has nothing that others look for. */
  async withdraw(): Promise<void> {
    const { feed, hostId } = this.#needs;
    this.#announced = undefined;
    for (const { host, address } of feed.hosts.all()) if (host === hostId) await this.#forget(address);
  }

  async #forget(address: string): Promise<void> {
    const { hostId } = this.#needs;
    await this.#removeIf("vtep", address, (value) => parseHostRecord(address, value).host === hostId);
  }

  /**
   * Removes all that etcd has of another host, and what is kept of it; its own record last, so that who is cut off here can do it again.
   * @param giveUp gives its addresses up, once nothing says any more where they are; who comes back wants them where it is left out
   * @returns how many endpoints it had, and what `giveUp` says
   * @throws TsnetError "store"
   */
  async remove(host: string, giveUp = async () => 0): Promise<{ endpoints: number; addresses: number }> {
    const { feed } = this.#needs;
    const endpoints = new Set<string>();
    const places = [...feed.places.of(host)];
    for (const [, { endpoint }] of places) endpoints.add(endpoint);
    await this.#removePlaces(host, places);
    for (const [vni, { hosts }] of [...feed.networks]) if (hosts[host] !== undefined) await this.leave(vni, host);
    const addresses = await giveUp();
    for (const known of feed.hosts.all()) if (known.host === host) await this.#removeAddress(known);
    feed.giveUp(host);
    return { endpoints: endpoints.size, addresses };
  }

  /** Where etcd has lost it, it is put there first: others that wait for the host are told that it was removed. */
  async #removeAddress({ address, host, name, seenMs }: KnownHost): Promise<void> {
    const { attempts, records } = this.#needs;
    const value: HostRecord = { host, name, seenMs };
    const absent: RecordCondition = { kind: "vtep", id: address, is: "absent" };
    await attempts.run(() => records.commitIf([{ put: "vtep", id: address, value }], [absent]));
    await this.#removeIf("vtep", address, (found) => parseHostRecord(address, found).host === host);
  }

  /** As many at once as etcd takes; if one of them is another's by now, one by one. */
  async #removePlaces(host: string, places: readonly (readonly [id: string, record: object])[]): Promise<void> {
    const { records } = this.#needs;
    for (let first = 0; first < places.length; first += records.maxChanges) {
      const some = places.slice(first, Math.min(first + records.maxChanges, places.length));
      const changes = some.map(([id]): RecordChange => ({ remove: "place", id }));
      const conditions = some.map(([id, is]) => ({ kind: "place", id, is }) as const);
      if (await this.#needs.attempts.run(() => records.commitIf(changes, conditions))) continue;
      for (const [id] of some) await this.removePlace(id, host);
    }
  }

  /** @param endpoint if it is this one's; any if it is left out */
  removePlace(id: string, host: string, endpoint?: string): Promise<void> {
    return this.#removeIf("place", id, (value) => {
      const place = parsePlaceRecord(id, value);
      return place.host === host && (endpoint === undefined || place.endpoint === endpoint);
    });
  }

  /**
   * A host has a network no more.
   * @param network what the host calls it; any if it is left out
   */
  leave(vni: number, host: string, network?: string): Promise<void> {
    const id = `${vni}`;
    return this.#needs.attempts.run(async () => {
      const { records } = this.#needs;
      const value = await records.get("overlay", id);
      if (value === undefined) return;
      const record = parseNetworkRecord(id, value);
      const { [host]: left, ...others } = record.hosts;
      if (left === undefined || (network !== undefined && left !== network)) return;
      const isLast = Object.keys(others).length === 0;
      const change: RecordChange = isLast
        ? { remove: "overlay", id }
        : { put: "overlay", id, value: { ...record, hosts: others } };
      return (await records.commitIf([change], [{ kind: "overlay", id, is: value as object }])) ? undefined : lost;
    });
  }

  /** Removes a record if it is what it is to be; one that is gone is success. */
  #removeIf(kind: RecordKind, id: string, is: (value: unknown) => boolean): Promise<void> {
    const { records, attempts } = this.#needs;
    return attempts.run(async () => {
      const value = await records.get(kind, id);
      if (value === undefined || !is(value)) return;
      return (await records.commitIf([{ remove: kind, id }], [{ kind, id, is: value as object }])) ? undefined : lost;
    });
  }
}

function sameAddress(local: string, holder: HostRecord): TsnetError {
  const who = holder.name === holder.host ? holder.host : `${holder.name} (${holder.host})`;
  const remedy =
    "set TSNET_ADVERTISE_ADDRESS on one of them; a host that is gone for good is forgotten by: tsnet hosts remove";
  return new TsnetError("conflict", `the tunnel address ${local} of this host is that of host ${who}, too: ${remedy}`);
}

const twin = (hostId: string): TsnetError => {
  const remedy =
    "set TSNET_HOST_ID to another name on one of them (a cloned machine has the same /etc/machine-id), and restart tsnet on both";
  return new TsnetError("conflict", `another host has this host's ID, ${hostId}: ${remedy}`);
};
