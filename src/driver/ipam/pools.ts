/**
 * Address management of this host: the calls of Docker's IPAM driver, with the meaning of Docker's own (engine-contract.md,
 * sections 2.3 and 6).
 *
 * What is taken is taken in memory first, in one turn, then made durable, and given back if that fails; what is given back is
 * removed from the disk first. So two calls never get the same, whatever else waits, and no answer is ahead of the disk.
 */
import { TsnetError } from "../../errors.ts";
import { type Cidr, containsIp, type Ip, parseHostAddress, parseIp } from "../../net/cidr.ts";
import type { Log } from "../log.ts";
import type { Records } from "../records.ts";
import { type ParsedAddressRequest, parseAddressRequest, roleOf } from "./address-wish.ts";
import { correctedRoles, poolToAttach } from "./attachment.ts";
import type { AddressRequest, AttachedSubnet, PoolBackend } from "./backend.ts";
import { type AddressSpace, addressSpaces, type DefaultPools, defaultPools } from "./default-pools.ts";
import { newGrant } from "./grants.ts";
import type { Lease } from "./lease.ts";
import { Leases } from "./leases.ts";
import { pickFrom } from "./overflow.ts";
import { type Pool, poolIdOf } from "./pool.ts";
import { putPool, sharedHosts } from "./pool-record.ts";
import type { AnyPoolWish, NamedPoolWish, PoolWish } from "./pool-request.ts";
import { PoolTable } from "./pool-table.ts";
import { restorePools } from "./restore-pools.ts";
import { type Obstacle, SubnetSearch } from "./subnet-search.ts";
import type { LeaseView, PoolView } from "./views.ts";

export interface PoolsOptions {
  readonly records: Records;
  /** What tells this host from others. */
  readonly hostId: string;
  /** What no subnet that we choose may touch: what the host routes, other networks' subnets, name servers. */
  readonly excluded: () => Promise<Iterable<Obstacle>>;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Docker's own if left out. */
  readonly defaultPools?: DefaultPools;
}

export class Pools implements PoolBackend {
  readonly #records: Records;
  readonly #excluded: () => Promise<Iterable<Obstacle>>;
  readonly #now: () => number;
  readonly #defaultPools: DefaultPools;
  readonly #table = new PoolTable();
  readonly #leases: Leases;
  /** Pools that are not durable yet. */
  readonly #adding = new Map<Pool, Promise<void>>();
  /** Pools on their way out: nothing is given out any more. */
  readonly #releasing = new Map<Pool, Promise<void>>();
  #sequence = 0;
  /** Of all pools. */
  #requests = 0;

  constructor({ records, hostId, excluded, log, now, defaultPools: pools = defaultPools(hostId) }: PoolsOptions) {
    this.#records = records;
    this.#excluded = excluded;
    this.#now = now;
    this.#defaultPools = pools;
    const releasing = (pool: Pool) => this.#releasing.get(pool);
    this.#leases = new Leases({ records, table: this.#table, log, now, releasing });
  }

  /**
   * Reads all records; once, before anything else.
   * @throws TsnetError "store", which names the record that cannot be understood
   */
  async restore(): Promise<void> {
    this.#sequence = await restorePools(this.#records, this.#table);
    for (const pool of this.#table.all()) pool.lastRequest = 0;
  }

  async requestPool(wish: PoolWish, mayExist: boolean): Promise<{ readonly poolId: string; readonly pool: string }> {
    const pool = "any" in wish ? await this.#takeAny(wish) : await this.#takeNamed(wish, mayExist);
    await this.#adding.get(pool);
    return { poolId: pool.id, pool: pool.subnet.cidr.text };
  }

  /** What exists is a replay's, unless it is on its way out: then it is made anew. */
  async #takeNamed(wish: NamedPoolWish, mayExist: boolean): Promise<Pool> {
    if (!mayExist) return this.#take(wish);
    const { addressSpace, subnet, subPool } = wish;
    for (;;) {
      const same = this.#table.get(poolIdOf(addressSpace, subnet, subPool));
      if (!same) return this.#take(wish);
      same.lastRequest = ++this.#requests;
      const releasing = this.#releasing.get(same);
      if (!releasing) return same;
      await releasing.catch(() => {});
    }
  }

  /** Somebody asks for an address of a pool, or is about to. */
  noteRequest(poolId: string): void {
    const pool = this.#table.get(poolId);
    if (pool) pool.lastRequest = ++this.#requests;
  }

  /**
   * As `releasePool`, if nobody has asked for it or its addresses since; undefined if somebody has.
   * @param lastRequest of its PoolView
   */
  releaseUnused(poolId: string, lastRequest: number): Promise<void> | undefined {
    return this.#table.get(poolId)?.lastRequest === lastRequest ? this.releasePool(poolId) : undefined;
  }

  /** Lets go of a pool and of what it has still given out. One that is unknown is no error. */
  async releasePool(poolId: string): Promise<void> {
    const pool = this.#table.get(poolId);
    if (!pool) return;
    const releasing =
      this.#releasing.get(pool) ?? this.#leases.releaseAll(pool).finally(() => void this.#releasing.delete(pool));
    this.#releasing.set(pool, releasing);
    await releasing;
  }

  async requestAddress(request: AddressRequest, mayExist: boolean): Promise<string> {
    const { poolId } = request;
    const parsed = parseAddressRequest(request);
    const known = mayExist ? parsed.ip : undefined;
    for (let waiting = this.#waiting(poolId, known); waiting; waiting = this.#waiting(poolId, known)) await waiting;
    const pools = this.#candidates(poolId, parsed);
    if (known !== undefined && pools[0].holds(known)) return `${known.text}/${pools[0].subnet.cidr.prefix}`;
    const nowMs = this.#now();
    const { pool, offset } = pickFrom(pools, { ...parsed, nowMs });
    const lease: Lease = {
      grant: newGrant(),
      role: roleOf(parsed, pool),
      identity: parsed.identity,
      sinceMs: nowMs,
      hosts: sharedHosts([]),
      restsUntilMs: null,
    };
    await this.#leases.hold(pool, offset, lease, parsed.serial);
    return `${pool.addressAt(offset)}/${pool.subnet.cidr.prefix}`;
  }

  async releaseAddress({ poolId, address }: { readonly poolId: string; readonly address: string }): Promise<void> {
    const pool = this.#table.get(poolId);
    if (!pool || address === "") return;
    const ip = parseIp(address);
    const isInside = containsIp(pool.subnet.cidr, ip);
    const holder = (isInside ? [pool] : this.#table.ofNetwork(pool.network)).find((one) => one.holds(ip));
    if (holder) await this.#leases.release(holder, holder.offsetOf(ip), () => true);
  }

  async attach(network: string, subnets: readonly AttachedSubnet[]): Promise<void> {
    const isSettled = (pool: Pool): boolean => !this.#adding.has(pool) && !this.#releasing.has(pool);
    for (const subnet of subnets) {
      const pool = poolToAttach(this.#table, network, subnet, isSettled);
      if (pool) await this.#attach(network, pool, subnet);
    }
  }

  leasesAt(network: string, addresses: readonly string[]): string[] {
    return addresses.flatMap((address) => {
      const { pool, offset } = this.#holderOf(network, address) ?? {};
      return (offset !== undefined && pool?.get(offset)?.grant) || [];
    });
  }

  async releaseLeases(network: string, addresses: readonly string[], grants: readonly string[]): Promise<void> {
    for (const address of addresses) {
      const { pool, offset } = this.#holderOf(network, address) ?? {};
      if (pool && offset !== undefined) {
        await this.#leases.release(pool, offset, ({ grant }) => grant !== "" && grants.includes(grant));
      }
    }
  }

  async releaseGrant(poolId: string, address: string, grant: string): Promise<boolean> {
    const pool = this.#table.get(poolId);
    const ip = parseIp(address);
    if (!pool || grant === "" || !pool.holds(ip)) return false;
    return this.#leases.release(pool, pool.offsetOf(ip), (lease) => lease.grant === grant);
  }

  pools(): PoolView[] {
    const nowMs = this.#now();
    return [...this.#table.all()].map((pool) => pool.view(nowMs));
  }

  *leasesOf(poolId: string): Generator<LeaseView> {
    const pool = this.#table.get(poolId);
    if (!pool) return;
    pool.subnet.endRests(this.#now());
    for (const [offset, lease] of pool.entries()) yield { pool: poolId, address: pool.addressAt(offset), ...lease };
  }

  held(addressSpace: AddressSpace): Cidr[] {
    return this.#table.held(addressSpace);
  }

  async #takeAny({ addressSpace, options, any }: AnyPoolWish): Promise<Pool> {
    const search = new SubnetSearch(this.#defaultPools[addressSpace], any);
    await search.avoid(await this.#excluded());
    const taken = this.held(addressSpace).map((cidr) => ({ cidr, by: `tsnet pool ${addressSpace}/${cidr.text}` }));
    return this.#add({ addressSpace, options, subnet: search.choose(taken), subPool: null });
  }

  #take(wish: NamedPoolWish): Pool {
    this.#table.refuseOverlap(wish.addressSpace, wish.subnet, wish.subPool);
    return this.#add(wish);
  }

  /** Takes a pool in memory, in one turn, and begins to make it durable. */
  #add({ addressSpace, options, subnet, subPool }: NamedPoolWish): Pool {
    const pool = this.#table.add(addressSpace, subnet, subPool, options);
    pool.sequence = ++this.#sequence;
    pool.lastRequest = ++this.#requests;
    const adding = this.#records.commit([putPool(pool)]).catch((error: unknown) => {
      this.#table.remove(pool);
      throw error;
    });
    this.#adding.set(
      pool,
      adding.finally(() => void this.#adding.delete(pool)),
    );
    return pool;
  }

  /** The pools that an address may come from: the one that is asked, and those that it overflows to. */
  #candidates(poolId: string, { ip, isGateway }: ParsedAddressRequest): [Pool, ...Pool[]] {
    const pool = this.#table.get(poolId);
    if (!pool || this.#releasing.has(pool)) throw new TsnetError("not-found", `invalid pool id: ${poolId}`);
    if (ip !== undefined || isGateway) return [pool];
    const { addressSpace, cidr } = pool.subnet;
    const isNext = (other: Pool): boolean =>
      other !== pool && other.subnet.addressSpace === addressSpace && other.subnet.cidr.family === cidr.family;
    return [pool, ...this.#table.ofNetwork(pool.network).filter((p) => isNext(p) && !this.#releasing.has(p))];
  }

  /**
   * What a request for an address waits for: a lease must not outlive a pool that could not be made durable, and what is held
   * must be so on the disk.
   */
  #waiting(poolId: string, known: Ip | undefined): Promise<void> | undefined {
    const pool = this.#table.get(poolId);
    if (!pool) return undefined;
    const adding = this.#adding.get(pool)?.catch(() => {});
    return adding ?? (known && pool.holds(known) ? this.#leases.waiting(pool, pool.offsetOf(known)) : undefined);
  }

  async #attach(network: string, pool: Pool, subnet: AttachedSubnet): Promise<void> {
    if (pool.network === network) return;
    const corrected = correctedRoles(pool, subnet);
    const waiting = [...corrected.keys()].flatMap((offset) => this.#leases.waiting(pool, offset) ?? []);
    if (waiting.length === 0) return this.#leases.attach(pool, network, corrected);
    await Promise.all(waiting);
    await this.attach(network, [subnet]);
  }

  /** Which pool of a network holds an address "172.18.0.2/16". One that was recorded before pools had networks may be its, too. */
  #holderOf(network: string, address: string): { readonly pool: Pool; readonly offset: bigint } | undefined {
    const { ip, subnet } = parseHostAddress(address);
    const isOlder = (pool: Pool): boolean => pool.network === null && pool.sequence === 0;
    const older = this.#table.of(addressSpaces.local, subnet).filter(isOlder);
    const own = this.#table.ofNetwork(network).filter((pool) => pool.subnet.cidr.text === subnet.text);
    const pool = [...own, ...older].find((one) => one.holds(ip));
    return pool && { pool, offset: pool.offsetOf(ip) };
  }
}
