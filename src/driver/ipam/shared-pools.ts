/**
 * Pools that hosts share, in etcd: those of the global address space, and those asked for with `--ipam-opt tsnet.shared=true`.
 *
 * Memory is a mirror of etcd, and may be late. Each change is decided from it, and made by a commit that takes place only if the
 * records still are what was decided from; otherwise they are read, and it is decided again. A refusal is confirmed by a read.
 * So it does not matter for what is given out how late the mirror is, nor how many hosts are at it.
 */
import { setTimeout as pause } from "node:timers/promises";
import { type Cidr, containsIp, parseHostAddress, parseIp } from "../../net/cidr.ts";
import { Locks } from "../locks.ts";
import type { Log } from "../log.ts";
import type { Records, SharedRecords } from "../records.ts";
import { Attempts, type Timing } from "./attempts.ts";
import type { AddressRequest, AttachedSubnet, PoolBackend } from "./backend.ts";
import { type AddressSpace, addressSpaces, type DefaultPools } from "./default-pools.ts";
import { Feed } from "./feed.ts";
import { Mirror } from "./mirror.ts";
import { Owed, type OwedRelease } from "./owed.ts";
import type { PoolWish } from "./pool-request.ts";
import { type Holdings, Recovery } from "./recovery.ts";
import { SharedAddresses } from "./shared-addresses.ts";
import { SharedAttachments } from "./shared-attachments.ts";
import { SharedHosts } from "./shared-hosts.ts";
import { SharedPoolRequests } from "./shared-pool-requests.ts";
import { sharedSpace } from "./shared-record.ts";
import { SharedReleases } from "./shared-releases.ts";
import type { Obstacle } from "./subnet-search.ts";
import { Swaps } from "./swaps.ts";
import { Sweeper } from "./sweeper.ts";
import type { LeaseView, PoolView } from "./views.ts";

export interface SharedPoolsOptions {
  /** In etcd. */
  readonly records: SharedRecords;
  /** Of etcd, for messages: "http://10.0.0.1:2379". */
  readonly endpoints: readonly string[];
  /** On this host: what etcd has yet to hear of. */
  readonly localRecords: Records;
  /** What tells this host from others, and what people call it. */
  readonly hostId: string;
  readonly hostName: string;
  readonly defaultPools: DefaultPools;
  /** What no subnet that we choose may touch. */
  readonly excluded: () => Promise<Iterable<Obstacle>>;
  /** The subnets of this host's own pools. */
  readonly localSubnets: () => readonly Cidr[];
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long a request may take, if not the usual time; for tests. */
  readonly timing?: Timing | undefined;
}

/** A host that has asked for pools which hosts share. */
export interface PoolHolder {
  /** What people call it; null if etcd has lost it. */
  readonly name: string | null;
  /** How many it holds, without gateways and auxiliary addresses, which hosts have together. */
  readonly addresses: number;
}

/** A release waits so long for etcd before it is answered: Docker need not wait for what is on the disk. */
const patienceMs = 500;

export class SharedPools implements PoolBackend {
  readonly #options: SharedPoolsOptions;
  readonly #mirror: Mirror;
  readonly #feed: Feed;
  readonly #attempts: Attempts;
  readonly #owed: Owed;
  readonly #requests: SharedPoolRequests;
  readonly #addresses: SharedAddresses;
  readonly #attachments: SharedAttachments;
  readonly #releases: SharedReleases;
  readonly #releasesOf: (hostId: string) => SharedReleases;
  readonly #hosts: SharedHosts;
  readonly #recovery: Recovery;
  readonly #sweeper: Sweeper;

  constructor(options: SharedPoolsOptions) {
    const { records, endpoints, localRecords, hostId, log, now, timing } = options;
    const mirror = new Mirror({ hostId, log });
    const feed = new Feed(records, mirror, (before) => this.#onReachable(before));
    const swaps = new Swaps({ records, mirror, feed });
    const attempts = new Attempts({ endpoints, timing });
    const locks = new Locks();
    const common = { records, mirror, feed, swaps, attempts, locks, hostId, now };
    this.#options = options;
    this.#mirror = mirror;
    this.#feed = feed;
    this.#sweeper = new Sweeper(swaps, log);
    this.#attempts = attempts;
    this.#hosts = new SharedHosts(options);
    this.#releasesOf = (id) => new SharedReleases({ ...common, hostId: id });
    this.#releases = this.#releasesOf(hostId);
    this.#attachments = new SharedAttachments(common);
    this.#owed = new Owed({ records: localRecords, settle: (owed) => this.#releases.settle(owed), log });
    this.#requests = new SharedPoolRequests({ ...options, ...common, owed: this.#owed });
    this.#addresses = new SharedAddresses({ ...common, owed: this.#owed, log });
    this.#recovery = new Recovery({ ...common, owed: this.#owed, requests: this.#requests, log });
  }

  /**
   * Begins to follow etcd: whether it can be reached is not waited for.
   * @throws TsnetError "store" if what this host owes cannot be read
   */
  async restore(): Promise<void> {
    await this.#owed.restore();
    this.#hosts.start();
    this.#feed.start();
  }

  async close(): Promise<void> {
    this.#attempts.close();
    await Promise.all([this.#owed.close(), this.#recovery.close()]);
    await Promise.all([this.#feed.close(), this.#hosts.close()]);
  }

  /**
   * Waits until this host knows what there is in etcd, or was.
   * @param beganAt when that was asked for, by performance.now()
   * @throws TsnetError "store" if it does not in time
   */
  async known(beganAt: number): Promise<void> {
    if (!this.#feed.isReady) await this.#attempts.run(() => this.#feed.heard().then(() => true), beganAt);
  }

  async requestPool(wish: PoolWish, mayExist: boolean, beganAt?: number) {
    return this.#requests.request(wish, mayExist, beganAt);
  }

  async releasePool(poolId: string): Promise<void> {
    const record = this.#mirror.pool(poolId)?.record;
    const claim = record?.addressSpace === sharedSpace ? record.hosts[this.#options.hostId] : record;
    const pool = this.#mirror.pool(poolId)?.pool;
    for (const id of pool ? this.#mirror.leaseIds(pool) : []) this.#addresses.grants.delete(id);
    await this.#giveBack({ what: "pool", id: poolId, grant: claim?.grant ?? null, atMs: this.#options.now() });
  }

  async requestAddress(request: AddressRequest, mayExist: boolean, beganAt?: number): Promise<string> {
    const address = await this.#addresses.request(request, mayExist, beganAt).catch((error: unknown) => {
      throw this.#hosts.named(error);
    });
    const pool = this.#mirror.pool(request.poolId)?.pool;
    if (pool) void this.#sweeper.sweep(pool);
    return address;
  }

  async releaseAddress({ poolId, address }: { readonly poolId: string; readonly address: string }): Promise<void> {
    if (address === "") return;
    const ip = parseIp(address);
    // Outside of its subnet, it is one that it has overflowed to, which is of the same address space.
    const id = `${poolId.split("/")[0]}/${ip.text}`;
    const asked = this.#mirror.pool(poolId)?.pool;
    const found = this.#mirror.find(id);
    if (asked && found && found.pool !== asked && (asked.network === null || found.pool.network !== asked.network))
      return;
    const isOurs = found && (found.lease.hosts.length === 0 || found.lease.hosts.includes(this.#options.hostId));
    const grant = this.#addresses.grants.get(id) ?? (isOurs ? found.lease.grant : null);
    this.#addresses.grants.delete(id);
    await this.#giveBack({ what: "address", id, grant, atMs: this.#options.now() });
  }

  async attach(network: string, subnets: readonly AttachedSubnet[]): Promise<void> {
    for (const subnet of subnets) await this.#attachments.attach(network, subnet);
  }

  leasesAt(network: string, addresses: readonly string[]): string[] {
    const { hostId } = this.#options;
    return addresses.flatMap((address) => {
      const { ip, subnet } = parseHostAddress(address);
      const pools = this.#mirror.table.ofNetwork(network).filter((pool) => pool.subnet.cidr.text === subnet.text);
      const leases = pools.map((pool) => (containsIp(subnet, ip) ? pool.get(pool.offsetOf(ip)) : undefined));
      return leases.flatMap((lease) =>
        lease?.hosts.includes(hostId) && lease.restsUntilMs === null ? lease.grant : [],
      );
    });
  }

  /** Notes it on the disk; etcd is told in the background. */
  async releaseLeases(_network: string, addresses: readonly string[], grants: readonly string[]): Promise<void> {
    const atMs = this.#options.now();
    const releases = addresses.flatMap((address) => {
      const id = `${sharedSpace}/${parseHostAddress(address).ip.text}`;
      const held = this.#mirror.find(id)?.lease.grant;
      const meant = this.#feed.isReady ? grants.filter((grant) => grant === held) : grants;
      return meant.map((grant) => ({ what: "address" as const, id, grant, atMs }));
    });
    await this.#owed.add(releases);
    void this.#owed.retry();
  }

  releaseGrant(poolId: string, address: string, grant: string): Promise<boolean> {
    const id = `${poolId.split("/")[0]}/${parseIp(address).text}`;
    return this.#releases.releaseLease(id, (lease, pool) => pool.id === poolId && lease.grant === grant);
  }

  *pools(): Generator<PoolView> {
    const nowMs = this.#options.now();
    for (const { pool } of this.#mirror.pools()) yield pool.view(nowMs);
  }

  *leasesOf(poolId: string): Generator<LeaseView> {
    const pool = this.#mirror.pool(poolId)?.pool;
    if (!pool) return;
    pool.subnet.endRests(this.#options.now());
    for (const [offset, lease] of pool.entries()) yield { pool: poolId, address: pool.addressAt(offset), ...lease };
  }

  /** Whether etcd has told of all that there is, at least once. */
  get isReady(): boolean {
    return this.#feed.isReady;
  }

  held(addressSpace: AddressSpace): Cidr[] {
    const space = addressSpace === addressSpaces.global ? addressSpace : sharedSpace;
    return [...this.#mirror.table.held(space), ...(space === sharedSpace ? this.#requests.choosing : [])];
  }

  /** The subnets that this host itself has, or is about to have, of the pools that hosts share. */
  heldHere(): Cidr[] {
    const { hostId } = this.#options;
    const own = [...this.#mirror.pools()].filter(({ record }) => record.hosts[hostId] !== undefined);
    return [...own.map(({ pool }) => pool.subnet.cidr), ...this.#requests.choosing];
  }

  /** The hosts that have asked for pools, by ID. */
  holders(): Map<string, PoolHolder> {
    const counts = new Map<string, number>();
    for (const { pool, record } of this.#mirror.pools()) {
      for (const id of Object.keys(record.hosts)) counts.set(id, counts.get(id) ?? 0);
      for (const [, { hosts, role, restsUntilMs }] of pool.entries()) {
        const isOne = restsUntilMs === null && (role === "endpoint" || role === "host");
        for (const id of isOne ? hosts : []) counts.set(id, (counts.get(id) ?? 0) + 1);
      }
    }
    return new Map([...counts].map(([id, addresses]) => [id, { name: this.#hosts.nameOf(id), addresses }]));
  }

  /**
   * Gives back all that another host has, which is gone for good.
   * @returns how many addresses it held
   * @throws TsnetError "store"; then it can be done again
   */
  async giveUp(hostId: string): Promise<number> {
    await this.known(performance.now());
    const { addresses = 0 } = this.holders().get(hostId) ?? {};
    const releases = this.#releasesOf(hostId);
    for (const { pool, record } of [...this.#mirror.pools()]) {
      const claim = record.hosts[hostId];
      if (claim === undefined) continue;
      await releases.settle({ what: "pool", id: pool.id, grant: claim.grant, atMs: this.#options.now() });
    }
    await this.#hosts.forget(hostId);
    return addresses;
  }

  /** Whether another host says that it is this one. */
  get hasTwin(): boolean {
    return this.#hosts.hasTwin;
  }

  /** What people call a host: "web-1 (4f2a90c1d2e3)". */
  callHost(id: string): string {
    return this.#hosts.call(id);
  }

  /** Tells etcd what it has yet to hear of, as far as it can be reached. */
  settleOwed(): Promise<void> {
    return this.#owed.retry();
  }

  /** What Docker gives back, it does not ask for again: it is on this host's disk before etcd hears of it, which may be later. */
  async #giveBack(owed: OwedRelease): Promise<void> {
    await this.#owed.add([owed]);
    const settled = this.#owed.settle(owed).catch((error: unknown) => this.#owed.tell(owed, error));
    await Promise.race([settled, pause(patienceMs, undefined, { ref: false })]);
  }

  #onReachable(before: Holdings | undefined): void {
    if (before) this.#recovery.start(before);
    this.#hosts.introduce();
    void this.#owed.retry();
  }
}
