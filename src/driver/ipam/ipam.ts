/**
 * Address management, as Docker, the networks and the reports see it: pools of this host alone, and pools that hosts share. Only
 * what is asked of the latter ever waits for etcd.
 */
import { TsnetError } from "../../errors.ts";
import { type Cidr, overlaps, parseIp } from "../../net/cidr.ts";
import { Locks } from "../locks.ts";
import type { Log } from "../log.ts";
import type { Records, SharedRecords } from "../records.ts";
import type { Timing } from "./attempts.ts";
import type { AddressRequest, AttachedSubnet, PoolBackend } from "./backend.ts";
import { Epoch, replayAddress } from "./claims.ts";
import { addressSpaces, type DefaultPools } from "./default-pools.ts";
import { chain } from "./exclusions.ts";
import { poolIdOf } from "./pool.ts";
import { type PoolRequest, type PoolWish, parsePoolRequest } from "./pool-request.ts";
import { Pools } from "./pools.ts";
import { overlapError } from "./shared-pool-requests.ts";
import { type PoolHolder, SharedPools } from "./shared-pools.ts";
import { sharedSpace } from "./shared-record.ts";
import type { Obstacle } from "./subnet-search.ts";
import type { IpamView, LeaseView, PoolView } from "./views.ts";

export interface IpamOptions {
  /** Of this host. */
  readonly records: Records;
  /** In etcd, and its endpoints for messages; undefined where TSNET_ETCD_ENDPOINTS is not set. */
  readonly shared?: { readonly records: SharedRecords; readonly endpoints: readonly string[] } | undefined;
  /** What tells this host from others, and what people call it. */
  readonly hostId: string;
  readonly hostName: string;
  readonly defaultPools: DefaultPools;
  /** What no subnet that we choose may touch: what the host routes, other networks' subnets, name servers. */
  readonly excluded: () => Promise<Iterable<Obstacle>>;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long a request to a shared pool may take, if not the usual time; for tests. */
  readonly timing?: Timing | undefined;
}

export class Ipam implements IpamView {
  readonly #log: Log;
  readonly #local: Pools;
  readonly #shared: SharedPools | undefined;
  #epoch = new Epoch();
  /** Requests about addresses of a pool that is replayed, one after the other. */
  readonly #replays = new Locks();

  constructor({ shared, ...options }: IpamOptions) {
    this.#log = options.log;
    const localSubnets = (): readonly Cidr[] => this.#local.held(addressSpaces.local);
    const excluded = async (): Promise<Iterable<Obstacle>> => {
      const others = await options.excluded();
      const own = (this.#shared?.held(addressSpaces.local) ?? []).map((cidr) => ({ cidr, by: "shared tsnet pool" }));
      return chain(own, others);
    };
    this.#local = new Pools({ ...options, excluded });
    this.#shared = shared && new SharedPools({ ...options, ...shared, localRecords: options.records, localSubnets });
  }

  /**
   * Reads what this host has recorded, and begins to follow etcd, without waiting for it.
   * @throws TsnetError "store", which names the record that cannot be understood
   */
  async restore(): Promise<void> {
    await this.#local.restore();
    await this.#shared?.restore();
    const unused = this.#shared ? [...this.#local.pools()].filter((pool) => this.#isElsewhere(pool.id)) : [];
    if (unused.length > 0) {
      const pools = unused.map(({ id }) => id);
      this.#log.warn({ pools }, "pools of the global address space are in etcd now: those in tsnet.db are not used");
    }
  }

  async close(): Promise<void> {
    await this.#shared?.close();
  }

  /** Docker asks for the capabilities: whatever it asks for from now on may be a replay of what it has. */
  newEpoch(): void {
    this.#epoch = new Epoch();
  }

  /**
   * @param mayBeReplay false where no swarm asks
   * @throws TsnetError "invalid", "conflict", "exhausted" or "store"; then nothing was changed
   */
  async requestPool(request: PoolRequest, mayBeReplay = true) {
    const wish = parsePoolRequest(request);
    const { poolId, pool } = await ("any" in wish ? this.#requestAny(wish) : this.#requestNamed(wish, mayBeReplay));
    return { poolId, pool, data: {} as Record<string, string> };
  }

  async #requestAny(wish: PoolWish) {
    const epoch = this.#epoch;
    const backend = this.#backendFor(wish);
    for (;;) {
      const made = await backend.requestPool(wish, false);
      epoch.claimPool(made.poolId);
      if (backend === this.#shared || wish.addressSpace !== addressSpaces.local) return made;
      // Chosen for a shared pool while this one was searched for.
      const own = this.#shared?.heldHere() ?? [];
      const isClear = !own.some((cidr) => this.#local.held(addressSpaces.local).some((held) => overlaps(held, cidr)));
      if (isClear) return made;
      epoch.unclaimPool(made.poolId);
      await this.#local.releasePool(made.poolId);
    }
  }

  async #requestNamed(wish: Extract<PoolWish, { subnet: Cidr }>, mayBeReplay: boolean) {
    const [epoch, beganAt] = [this.#epoch, performance.now()];
    const backend = this.#backendFor(wish);
    if (backend === this.#shared) await this.#shared.known(beganAt); // decides whether it is a replay, and what of
    const isShared = backend === this.#shared && wish.addressSpace === addressSpaces.local;
    const id = poolIdOf(isShared ? sharedSpace : wish.addressSpace, wish.subnet, wish.subPool);
    const mayExist = mayBeReplay && epoch.mayBeReplay(wish.addressSpace, id, this.pools());
    if (backend === this.#local && wish.addressSpace === addressSpaces.local) this.#refuseOverlap(wish.subnet);
    // At once: a second wish for it is no replay.
    if (mayExist) epoch.replayPool(id, this.leasesOf(id));
    try {
      const made = await backend.requestPool(wish, mayExist, beganAt);
      if (!mayExist) epoch.claimPool(id);
      return made;
    } catch (error) {
      if (mayExist) epoch.unclaimPool(id);
      throw error;
    }
  }

  async releasePool(poolId: string): Promise<void> {
    this.#epoch.unclaimPool(poolId);
    await this.#ownerOf(poolId).releasePool(poolId);
  }

  /**
   * Lets go of a pool if nobody has asked for it or its addresses since it was looked at; says whether it did.
   * @throws TsnetError "store"
   */
  async releaseUnused({ id, lastRequest }: Pick<PoolView, "id" | "lastRequest">): Promise<boolean> {
    if (lastRequest === null) {
      await this.releasePool(id);
      return true;
    }
    const releasing = this.#local.releaseUnused(id, lastRequest);
    if (releasing === undefined) return false;
    this.#epoch.unclaimPool(id);
    await releasing;
    return true;
  }

  /**
   * @returns "172.18.0.2/16"
   * @throws TsnetError "not-found", "invalid", "conflict", "exhausted" or "store"; then nothing was changed
   */
  async requestAddress(request: AddressRequest) {
    const [epoch, beganAt] = [this.#epoch, performance.now()];
    const backend = this.#ownerOf(request.poolId);
    if (backend === this.#local) this.#local.noteRequest(request.poolId);
    const isReplayed = epoch.isReplayed(request.poolId);
    const address = isReplayed
      ? await this.#replays.exclusive(request.poolId, () => replayAddress(epoch, backend, request, beganAt))
      : await backend.requestAddress(request, false);
    if (!isReplayed) epoch.claimGiven(request.poolId, address);
    return { address, data: {} as Record<string, string> };
  }

  /** Gives an address back. One that is unknown, or another pool's, is no error. */
  async releaseAddress(release: { readonly poolId: string; readonly address: string }): Promise<void> {
    const { poolId, address } = release;
    const epoch = this.#epoch;
    const backend = this.#ownerOf(poolId);
    if (!epoch.isReplayed(poolId)) return backend.releaseAddress(release);
    await this.#replays.exclusive(poolId, async () => {
      if (address !== "") epoch.unclaimAddress(poolId, parseIp(address).text);
      await backend.releaseAddress(release);
    });
  }

  /** @see PoolBackend */
  async attach(network: string, subnets: readonly AttachedSubnet[]): Promise<void> {
    await this.#local.attach(network, subnets);
    const held = new Set(this.#local.held(addressSpaces.local).map(({ text }) => text));
    const others = subnets.filter((subnet) => subnet.addressSpace === addressSpaces.local && !held.has(subnet.pool));
    if (others.length > 0) await this.#shared?.attach(network, others);
  }

  /** @see PoolBackend */
  leasesAt(network: string, addresses: readonly string[]): string[] {
    return this.#backends().flatMap((backend) => backend.leasesAt(network, addresses));
  }

  /** @see PoolBackend */
  async releaseLeases(network: string, addresses: readonly string[], grants: readonly string[]): Promise<void> {
    const local = new Set(this.#local.leasesAt(network, addresses));
    await this.#local.releaseLeases(network, addresses, grants);
    const others = grants.filter((grant) => !local.has(grant));
    if (others.length > 0) await this.#shared?.releaseLeases(network, addresses, others);
  }

  releaseGrant(poolId: string, address: string, grant: string): Promise<boolean> {
    return this.#ownerOf(poolId).releaseGrant(poolId, address, grant);
  }

  /** @see CheckedIpam */
  get isComplete(): boolean {
    return this.#shared?.isReady ?? true;
  }

  pools(): PoolView[] {
    const local = [...this.#local.pools()];
    if (!this.#shared) return local;
    return [
      ...local.map((pool) => (this.#isElsewhere(pool.id) ? { ...pool, lastRequest: null } : pool)),
      ...this.#shared.pools(),
    ];
  }

  leasesOf(poolId: string): Iterable<LeaseView> {
    return this.#isElsewhere(poolId) ? (this.#shared?.leasesOf(poolId) ?? []) : this.#local.leasesOf(poolId);
  }

  /**
   * Whether a lease of a pool of the global address space is one that its leader did not ask for again when it replayed all that it
   * has: what the old leader had given back, or was about to. None is before there was a replay.
   */
  isUnclaimed(lease: Pick<LeaseView, "pool" | "address" | "grant">): boolean {
    return lease.pool.startsWith(`${addressSpaces.global}/`) && this.#epoch.isStale(lease);
  }

  /** Whether a pool of the global address space is one that its leader did not ask for again when it asked for others. */
  isUnclaimedPool(poolId: string): boolean {
    return poolId.startsWith(`${addressSpaces.global}/`) && this.#epoch.isPoolStale(poolId);
  }

  /** Whether another host that shares etcd says that it is this one; the log says so. */
  get hasTwin(): boolean {
    return this.#shared?.hasTwin ?? false;
  }

  /** What people call a host that shares pools: "web-1 (4f2a90c1d2e3)". */
  callHost(id: string): string {
    return this.#shared?.callHost(id) ?? id;
  }

  /** The hosts that have asked for pools which hosts share, by ID. */
  holders(): ReadonlyMap<string, PoolHolder> {
    return this.#shared?.holders() ?? new Map();
  }

  /** @see SharedPools */
  async giveUp(hostId: string): Promise<number> {
    return (await this.#shared?.giveUp(hostId)) ?? 0;
  }

  /** Tells etcd what it has yet to hear of from this host, as far as it can be reached. */
  async settleOwed(): Promise<void> {
    await this.#shared?.settleOwed();
  }

  #backends(): PoolBackend[] {
    return this.#shared ? [this.#local, this.#shared] : [this.#local];
  }

  #backendFor({ addressSpace, options }: PoolWish): PoolBackend {
    if (!options.shared && (addressSpace === addressSpaces.local || !this.#shared)) return this.#local;
    if (this.#shared) return this.#shared;
    throw new TsnetError("invalid", "IPAM option tsnet.shared=true needs etcd: set TSNET_ETCD_ENDPOINTS on each host");
  }

  #ownerOf(poolId: string): PoolBackend {
    if (!this.#isElsewhere(poolId)) return this.#local;
    if (this.#shared) return this.#shared;
    throw new TsnetError("not-found", `invalid pool id: ${poolId} is in etcd: set TSNET_ETCD_ENDPOINTS`);
  }

  /** Whether a pool is in etcd, by its ID. */
  #isElsewhere(poolId: string): boolean {
    const isGlobal = poolId.startsWith(`${addressSpaces.global}/`);
    return poolId.startsWith(`${sharedSpace}/`) || (isGlobal && this.#shared !== undefined);
  }

  #refuseOverlap(subnet: Cidr): void {
    const clash = this.#shared?.heldHere().find((other) => overlaps(other, subnet));
    if (clash) throw overlapError(subnet, clash, "a pool that this host shares with others");
  }
}
