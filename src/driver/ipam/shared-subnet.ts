import { AddressSet } from "../../net/address-set.ts";
import { type Cidr, sizeOf } from "../../net/cidr.ts";
import type { Pool } from "./pool.ts";
import type { PoolView } from "./views.ts";

/** Independent of each other: "tsnet-shared" has those pools that Docker asks for in its local one, and that hosts share. */
export type PoolSpace = PoolView["addressSpace"];

/** A subnet of an address space. Pools with the same subnet share it, so that none gives out an address of another. */
export class SharedSubnet {
  readonly addressSpace: PoolSpace;
  readonly cidr: Cidr;
  readonly pools = new Set<Pool>();
  /** Offsets that nobody gets. */
  readonly reserved: readonly bigint[];
  /** Offsets that a search passes over: those that are held, that rest, and that nobody gets. */
  readonly held = new AddressSet();
  #clockMs = 0;
  #isEnding = false;

  constructor(addressSpace: PoolSpace, cidr: Cidr) {
    this.addressSpace = addressSpace;
    this.cidr = cidr;
    this.reserved = reservedOffsets(cidr);
    for (const offset of this.reserved) this.held.hold(offset);
  }

  /** Which of the pools has given an offset out. */
  ownerOf(offset: bigint): Pool | undefined {
    for (const pool of this.pools) if (pool.get(offset) !== undefined) return pool;
    return undefined;
  }

  /**
   * Puts back into the search what rests no longer.
   * @returns whether there is more, which follows in turns of its own
   */
  endRests(nowMs: number): boolean {
    this.#clockMs = nowMs;
    let isMore = false;
    for (const pool of this.pools) if (pool.endRests(nowMs)) isMore = true;
    if (!isMore || this.#isEnding) return isMore;
    this.#isEnding = true;
    setImmediate(() => {
      this.#isEnding = false;
      this.endRests(this.#clockMs);
    });
    return true;
  }

  /** Takes an offset out of the search. */
  hold(offset: bigint): void {
    if (this.held.hold(offset)) for (const pool of this.pools) pool.count(offset, 1);
  }

  /** Puts an offset back into the search. */
  release(offset: bigint): void {
    if (this.reserved.includes(offset) || !this.held.release(offset)) return;
    for (const pool of this.pools) pool.count(offset, -1);
  }
}

/** IPv4: network and broadcast address, where there is room (RFC 3021). IPv6: the routers' anycast address (RFC 4291, 2.6.1). */
function reservedOffsets(cidr: Cidr): bigint[] {
  const size = sizeOf(cidr);
  if (cidr.family === 6) return [0n];
  return size > 2n ? [0n, size - 1n] : [];
}
