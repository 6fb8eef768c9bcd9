/**
 * What etcd has of overlay networks, as far as this host has heard of it. It may be late: what is decided from it is made by commits
 * that take place only if the records are still so.
 */
import { recordsPerTurn } from "../parse-record.ts";
import type { Follower } from "../records.ts";
import { Backlog, inTurns } from "./backlog.ts";
import type { RemoteListener } from "./control-plane.ts";
import { AwaitedHosts } from "./etcd-awaited.ts";
import type { EtcdFeedNeeds } from "./etcd-needs.ts";
import { HostBook, type KnownHost } from "./host-book.ts";
import { HostMemory, type RememberedHosts } from "./host-memory.ts";
import { type BookChange, PlaceBook, together } from "./place-book.ts";
import { RecordReader } from "./record-reader.ts";
import {
  isNetworkId,
  type NetworkRecord,
  parseHostRecord,
  parseNetworkRecord,
  parsePlaceRecord,
} from "./shared-records.ts";

type FollowedKind = "vtep" | "overlay" | "place";

export class EtcdFeed {
  readonly places: PlaceBook;
  readonly hosts = new HostBook();
  /** By VNI. */
  readonly networks = new Map<number, NetworkRecord>();
  /** When all was told last: milliseconds since 1970. */
  resetMs = 0;
  readonly #needs: EtcdFeedNeeds;
  readonly #backlog = new Backlog();
  readonly #missing = new Set<FollowedKind>(["vtep", "overlay", "place"]);
  readonly #awaited: AwaitedHosts;
  readonly #memory: HostMemory;
  readonly #reader: RecordReader;
  #listener: RemoteListener = { onChange: () => {}, onHosts: () => {} };
  #ends: (() => Promise<void>)[] = [];
  #isClosed = false;

  constructor(needs: EtcdFeedNeeds) {
    this.#needs = needs;
    this.places = new PlaceBook(needs.hostId);
    this.#reader = new RecordReader(needs.log);
    this.#awaited = new AwaitedHosts({ graceMs: needs.graceMs, onOver: (host) => this.giveUp(host) });
    this.#memory = new HostMemory({ ...needs, hosts: () => this.#remembered() });
  }

  /** Whether all there is was told once. */
  get isTold(): boolean {
    return this.#missing.size === 0;
  }

  /** Whether that is all that others have: etcd may have lost something while this process did not run. */
  get isComplete(): boolean {
    return this.isTold && !this.#awaited.hasUnheard;
  }

  start(listener: RemoteListener): void {
    this.#listener = listener;
    this.#backlog.add(() => this.#memory.restore((hosts) => this.#recall(hosts)));
    // in this order: a place means nothing before it is known where its host is
    const followings = (["vtep", "overlay", "place"] as const).map((kind) =>
      this.#needs.records.follow(kind, this.#follower(kind)),
    );
    for (const { ready } of followings) ready.catch(() => {}); // the store says what is wrong with it
    this.#ends = followings.map(({ end }) => end);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#awaited.close();
    await Promise.all(this.#ends.map((end) => end()));
    await this.#memory.close();
  }

  /** Whether etcd has lost a place, which its host is expected to put back. */
  isKept(id: string): boolean {
    return this.#awaited.isKept(`place/${id}`);
  }

  /** When a host was last heard of, or may have been but for what etcd has lost since: milliseconds since 1970. */
  silentSinceMs({ host, aliveMs }: KnownHost): number {
    return Math.max(aliveMs, this.#awaited.sinceMs(host) ?? 0);
  }

  /** What etcd has lost of a host is not kept any longer. */
  giveUp(host: string): void {
    this.#backlog.add(async () => {
      if (this.#isClosed) return;
      const { isComplete } = this;
      await this.#inTurns([...this.#awaited.take(host)], (key) => this.#drop(key));
      this.#memory.update();
      if (!isComplete && this.isComplete) this.#listener.onHosts(null);
    });
  }

  /** What an earlier process has heard of. */
  #recall(hosts: RememberedHosts): void {
    const nowMs = this.#needs.now();
    for (const [address, { awaitedMs, aliveMs, ...known }] of hosts) {
      if (known.host === this.#needs.hostId) continue;
      this.hosts.put(address, known, nowMs, Math.min(aliveMs, nowMs));
      this.places.setHost(known.host, address);
      if (awaitedMs === undefined) continue;
      this.#awaited.add(known.host, awaitedMs, true);
      this.#awaited.keeps(`vtep/${address}`, known.host, true);
    }
  }

  #remembered(): RememberedHosts {
    const others = this.hosts.all().filter(({ host }) => host !== this.#needs.hostId);
    return new Map(
      others.map(({ address, host, name, ttlMs, seenMs, aliveMs }) => {
        return [address, { host, name, ttlMs, seenMs, aliveMs, awaitedMs: this.#awaited.sinceMs(host) }];
      }),
    );
  }

  #follower(kind: FollowedKind): Follower {
    return {
      reset: (values, hasLost = false) => this.#backlog.add(() => this.#reset(kind, values, hasLost)),
      change: (id, value) => this.#backlog.add(() => this.#tell(this.#take(kind, id, value, true))),
    };
  }

  async #reset(kind: FollowedKind, values: ReadonlyMap<string, unknown>, hasLost: boolean): Promise<void> {
    if (hasLost && kind === "vtep") this.#awaitAll();
    await this.#inTurns(
      this.#ids(kind),
      (id) => (values.has(id) || this.#keeps(kind, id, hasLost) ? [] : this.#take(kind, id, null)),
      false,
    );
    await this.#inTurns(values, ([id, value]) => this.#take(kind, id, value), false);
    if (this.#isClosed) return;
    const isFirst = !this.isTold;
    this.#missing.delete(kind);
    if (!this.isTold) return;
    this.resetMs = this.#needs.now();
    if (kind === "place" || isFirst) this.#listener.onHosts(null);
    this.#needs.onOwn(hasLost);
  }

  /** Nobody knows what etcd has lost. */
  #awaitAll(): void {
    const { hostId, log, now } = this.#needs;
    const hosts = new Set(this.hosts.all().map(({ host }) => host));
    hosts.delete(hostId);
    for (const host of hosts) this.#awaited.add(host, now(), this.#missing.has("place"));
    this.#memory.update();
    if (hosts.size === 0) return;
    const fields = { hosts: [...hosts].map((host) => this.hosts.call(host)) };
    const how =
      "until each is heard of in etcd again, is removed by tsnet hosts remove, or is silent for TSNET_HOST_TTL";
    log.warn(fields, `etcd has lost something: what this host knows of others stays ${how}`);
  }

  #ids(kind: FollowedKind): Iterable<string> {
    if (kind === "place") return this.places.ids();
    return kind === "vtep" ? this.hosts.all().map(({ address }) => address) : [...this.networks.keys()].map(String);
  }

  /** @param tellsHosts false if it is told at the end that everything may be another */
  async #inTurns<T>(items: Iterable<T>, work: (item: T) => readonly BookChange[], tellsHosts = true): Promise<void> {
    await inTurns(items, recordsPerTurn, (part) => {
      if (!this.#isClosed) this.#tell(part.flatMap(work), tellsHosts);
    });
  }

  /** What this host has is not kept: it is put back at once. Of networks nothing is decided here. */
  #keeps(kind: FollowedKind, id: string, hasLost: boolean): boolean {
    const host = kind === "place" ? this.places.at(id)?.host : kind === "vtep" ? this.hosts.at(id)?.host : undefined;
    return host !== undefined && this.#awaited.keeps(`${kind}/${id}`, host, hasLost);
  }

  #drop(key: string): readonly BookChange[] {
    const slash = key.indexOf("/");
    return this.#take(key.slice(0, slash) as FollowedKind, key.slice(slash + 1), null);
  }

  /** @param isNews whether it has just happened */
  #take(kind: FollowedKind, id: string, value: unknown, isNews = false): readonly BookChange[] {
    this.#awaited.told(`${kind}/${id}`);
    switch (kind) {
      case "place":
        return this.#takePlace(id, value, isNews);
      case "vtep":
        return this.#takeHost(id, value, isNews);
      case "overlay":
        this.#takeNetwork(id, value, isNews);
        return [];
    }
  }

  #takePlace(id: string, value: unknown, isNews: boolean): readonly BookChange[] {
    const record = this.#reader.read("place", id, value, parsePlaceRecord);
    const before = this.places.at(id);
    const change = this.places.put(id, record);
    this.#noteOwn(isNews, before?.host, record?.host);
    return change ? [change] : [];
  }

  #takeHost(address: string, value: unknown, isNews: boolean): readonly BookChange[] {
    const nowMs = this.#needs.now();
    const record = this.#reader.read("vtep", address, value, parseHostRecord);
    const before = this.hosts.at(address);
    this.hosts.put(address, record, nowMs, isNews ? nowMs : undefined);
    this.#noteOwn(isNews && before?.host !== record?.host, before?.host, record?.host);
    if (before?.host !== record?.host || before?.name !== record?.name) this.#memory.update();
    // also where it was said before this host was told
    const isLater = before !== undefined && before.host === record?.host && record.seenMs > before.seenMs;
    if (record && (isNews || isLater)) this.#awaited.announced(record.host);
    // somebody has removed it
    if (before && this.hosts.of(before.host) === undefined) this.giveUp(before.host);
    const concerned = new Set([before?.host, record?.host].filter((host) => host !== undefined));
    const moved = [...concerned].flatMap((host) => this.places.setHost(host, this.hosts.of(host)?.address ?? null));
    if (moved.length > 0 || !record || before?.ipv6 === record.ipv6) return moved;
    return this.places.otherWay(record.host);
  }

  #takeNetwork(id: string, value: unknown, isNews: boolean): void {
    const { hostId } = this.#needs;
    if (!isNetworkId(id)) return;
    const record = this.#reader.read("overlay", id, value, parseNetworkRecord);
    const before = this.networks.get(Number(id));
    if (record) this.networks.set(Number(id), record);
    else this.networks.delete(Number(id));
    const isOther = before?.hosts[hostId] !== record?.hosts[hostId];
    if (isNews && isOther) this.#needs.onOwn();
  }

  #noteOwn(isNews: boolean, ...hosts: readonly (string | undefined)[]): void {
    if (isNews && hosts.includes(this.#needs.hostId)) this.#needs.onOwn();
  }

  #tell(changes: readonly BookChange[], tellsHosts = true): void {
    for (const { isOtherHosts, ...change } of changes.length > 1 ? together(changes) : changes) {
      if (change.put.length + change.removed.length > 0) this.#listener.onChange(change);
      if (isOtherHosts && tellsHosts) this.#listener.onHosts(change.vni);
    }
  }
}
