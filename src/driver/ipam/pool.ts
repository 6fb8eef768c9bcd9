/** A pool in memory: a subnet, or a part of one, that a network gets its addresses from. */
import type { OffsetRange } from "../../net/address-set.ts";
import { type Cidr, containsIp, formatIp, type Ip, lastOf } from "../../net/cidr.ts";
import { OffsetMap } from "../../net/offset-map.ts";
import { Holders } from "./holders.ts";
import type { Lease } from "./lease.ts";
import { type AddressWish, pickFrom } from "./overflow.ts";
import { defaultPoolOptions, type PoolOptions } from "./pool-options.ts";
import { keeperOf, type RestKind, Rests, restMsOf } from "./rests.ts";
import type { PoolSpace, SharedSubnet } from "./shared-subnet.ts";
import type { PoolView } from "./views.ts";

/** So many rests end in one turn: a millisecond or two. */
const endedAtOnce = 500;

/**
 * Addresses are offsets from the first one of the subnet. An address is held, or rests until a time, or has lapsed: its rest is
 * over, it is free, but nobody has removed its record yet.
 */
export class Pool {
  readonly id: string;
  readonly subnet: SharedSubnet;
  readonly subPool: Cidr | null;
  readonly options: PoolOptions;
  /** ID of the network that has its addresses from here. */
  network: string | null = null;
  /** IDs of the hosts that use it, if hosts share it. */
  hosts: readonly string[] = [];
  /** Counts the requests for pools: what is full goes on in the network's next one. */
  sequence = 0;
  /** @see PoolView */
  lastRequest: number | null = null;
  /** The offset that was given out last in order; undefined for none. */
  lastAllocated: bigint | undefined;
  /** The offsets that are given out unasked. */
  readonly range: OffsetRange;
  /** Who holds how much of it. */
  readonly holders = new Holders();
  readonly #leases = new OffsetMap<Lease>();
  readonly #rests = new Rests({
    isCurrent: (offset, lease) => this.#leases.get(offset) === lease && !this.#lapsed.has(offset),
    longestMs: (lease) => restMsOf(lease, this.options),
  });
  readonly #lapsed = new Set<bigint>();
  readonly #reserved: number;
  /** Of the range: what the search passes over, what is held, and what rests. */
  #taken = 0;
  #used = 0;
  #resting = 0;

  constructor(subnet: SharedSubnet, subPool: Cidr | null, options: PoolOptions = defaultPoolOptions) {
    const range = subPool ?? subnet.cidr;
    this.id = poolIdOf(subnet.addressSpace, subnet.cidr, subPool);
    this.subnet = subnet;
    this.subPool = subPool;
    this.options = options;
    this.range = { first: range.base - subnet.cidr.base, last: lastOf(range) - subnet.cidr.base };
    this.#reserved = subnet.reserved.filter((offset) => this.#isInRange(offset)).length;
    this.#taken = Number(subnet.held.countIn(this.range));
    subnet.pools.add(this);
  }

  /**
   * Decides which address a wish gets: the one that it names; the one that rests for it; a free one; one that rests for
   * somebody else, the one released longest ago. Changes nothing.
   * @throws TsnetError "invalid", "conflict" or "exhausted"
   */
  pick(wish: AddressWish): bigint {
    return pickFrom([this], wish).offset;
  }

  /** The offset that rests for the one who asks, the last one released if there are several, the lowest of those. */
  keptFor({ identity, nowMs }: AddressWish): bigint | undefined {
    this.subnet.endRests(nowMs);
    if (identity === null) return undefined;
    const ends = (offset: bigint): number => this.#leases.get(offset)?.restsUntilMs ?? 0;
    return [...this.#rests.keptFor(identity)].sort((a, b) => ends(b) - ends(a) || Number(a - b))[0];
  }

  /** The offset that the search finds. */
  free({ serial, nowMs }: AddressWish): bigint | undefined {
    const { held } = this.subnet;
    for (;;) {
      const isMore = this.subnet.endRests(nowMs);
      const found =
        serial && this.lastAllocated !== undefined
          ? held.freeAfter(this.lastAllocated, this.range)
          : held.firstFree(this.range);
      if (found !== undefined || !isMore) return found;
    }
  }

  /** The offset that has rested longest for somebody who may come back. */
  yielding(nowMs: number): bigint | undefined {
    this.subnet.endRests(nowMs);
    return this.#rests.first("yielding")?.offset;
  }

  /** Puts a lease, and takes the offset from whatever pool of the subnet it is in: returns what it replaces. */
  set(offset: bigint, lease: Lease): Lease | undefined {
    const replaced = this.subnet.ownerOf(offset)?.delete(offset);
    this.#leases.set(offset, lease);
    this.subnet.hold(offset);
    this.#tally(offset, lease, 1);
    if (lease.restsUntilMs === null) this.holders.add(lease);
    else this.#rests.add(offset, lease, this.#restKind(offset, lease), this.keeperOf(lease));
    return replaced;
  }

  /** Frees an offset, if it is this pool's: returns what it was held by. */
  delete(offset: bigint): Lease | undefined {
    const lease = this.#leases.get(offset);
    if (lease === undefined) return undefined;
    if (!this.#lapsed.delete(offset)) this.#leave(offset, lease);
    this.#leases.delete(offset);
    return lease;
  }

  /** What an offset is held by, or rests, or rested. */
  get(offset: bigint): Lease | undefined {
    return this.#leases.get(offset);
  }

  /** Whether an address is held: one that rests is not. */
  holds(ip: Ip): boolean {
    return containsIp(this.subnet.cidr, ip) && this.#leases.get(this.offsetOf(ip))?.restsUntilMs === null;
  }

  /** All leases in the order of their addresses, less those that have lapsed. What changes meanwhile may be in it or not. */
  *entries(): Generator<[offset: bigint, lease: Lease]> {
    const { held } = this.subnet;
    for (let offset = held.next(0n); offset !== undefined; offset = held.next(offset + 1n)) {
      const lease = this.#leases.get(offset);
      if (lease !== undefined) yield [offset, lease];
    }
  }

  /** Leases whose rest is over, and that `delete` has yet to remove. */
  lapsed(): Iterable<bigint> {
    return this.#lapsed;
  }

  /** The offsets of all leases, of those that have lapsed as well. What changes meanwhile may be in it or not. */
  offsets(): Generator<bigint> {
    return this.#leases.offsets();
  }

  /** What becomes of a lease that is released: it rests, or is gone: undefined. */
  rested(lease: Lease, nowMs: number): Lease | undefined {
    this.subnet.endRests(nowMs);
    const restMs = restMsOf(lease, this.options);
    return restMs > 0 ? { ...lease, restsUntilMs: nowMs + restMs } : undefined;
  }

  /** For whom a released address is kept; null if it is for nobody. */
  keeperOf(lease: Lease): string | null {
    return keeperOf(lease, this.options);
  }

  /** "172.18.0.2" */
  addressAt(offset: bigint): string {
    return formatIp(this.subnet.cidr.family, this.subnet.cidr.base + offset);
  }

  /** @param ip an address of the subnet */
  offsetOf(ip: Ip): bigint {
    return ip.value - this.subnet.cidr.base;
  }

  /** How much of what can be given out of the range is held, by this pool or another one of the subnet: 0 to 1. */
  get usage(): number {
    const usable = Number(this.size) - this.#reserved;
    return usable === 0 ? 0 : (this.#taken - this.#reserved - this.#resting) / usable;
  }

  view(nowMs: number): PoolView {
    this.subnet.endRests(nowMs);
    const { addressSpace, cidr } = this.subnet;
    return {
      id: this.id,
      addressSpace,
      family: cidr.family,
      subnet: cidr.text,
      subPool: this.subPool?.text ?? null,
      network: this.network,
      hosts: this.hosts,
      size: this.size,
      reserved: BigInt(this.#reserved),
      used: BigInt(this.#used),
      resting: BigInt(this.#resting),
      free: this.size - BigInt(this.#taken),
      lastRequest: this.lastRequest,
    };
  }

  /** The subnet says that the search passes an offset over (1), or does not any more (-1). */
  count(offset: bigint, by: 1 | -1): void {
    if (this.#isInRange(offset)) this.#taken += by;
  }

  /** The addresses of the range that rest and that nobody else gets, once nothing is free: how many, and until when the first. */
  get strictRests(): { readonly count: number; readonly untilMs: number | null } {
    return { count: this.#resting, untilMs: this.#rests.first("strict")?.endMs ?? null };
  }

  /** Number of addresses of the range. */
  get size(): bigint {
    return this.range.last - this.range.first + 1n;
  }

  #isInRange(offset: bigint): boolean {
    return offset >= this.range.first && offset <= this.range.last;
  }

  #restKind(offset: bigint, lease: Lease): RestKind {
    if (!this.#isInRange(offset)) return "outside";
    return this.keeperOf(lease) === null ? "strict" : "yielding";
  }

  /**
   * What rests no longer is free: the search finds it again. The subnet says so to all of its pools.
   * @returns whether there is more: so many end at once that it would take too long
   */
  endRests(nowMs: number): boolean {
    for (let count = 0; count < endedAtOnce; count++) {
      const offset = this.#rests.ended(nowMs);
      if (offset === undefined) return false;
      this.#leave(offset, this.#leases.get(offset) as Lease);
      this.#lapsed.add(offset);
    }
    return true;
  }

  #leave(offset: bigint, lease: Lease): void {
    this.#tally(offset, lease, -1);
    if (lease.restsUntilMs === null) this.holders.remove(lease);
    else this.#rests.remove(offset, this.keeperOf(lease));
    this.subnet.release(offset);
  }

  #tally(offset: bigint, { restsUntilMs }: Lease, by: 1 | -1): void {
    if (!this.#isInRange(offset)) return;
    if (restsUntilMs === null) this.#used += by;
    else this.#resting += by;
  }
}

/** "tsnet-local/172.18.0.0/16", or with the sub pool "tsnet-local/172.18.0.0/16/172.18.5.0/24". */
export const poolIdOf = (addressSpace: PoolSpace, subnet: Cidr, subPool: Cidr | null): string =>
  [addressSpace, subnet.text, ...(subPool ? [subPool.text] : [])].join("/");
