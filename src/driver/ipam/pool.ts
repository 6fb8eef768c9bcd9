/** A pool in memory: a subnet, or a part of one, that a network gets its addresses from. */
import { TsnetError } from "../../errors.ts";
import { AddressSet, type OffsetRange } from "../../net/address-set.ts";
import { type Cidr, containsIp, formatIp, type Ip, lastOf, sizeOf } from "../../net/cidr.ts";
import type { RecordChange } from "../records.ts";
import type { AddressSpace } from "./default-pools.ts";
import type { LeaseRecord, PoolRecord } from "./pool-record.ts";

/** A subnet of an address space. Pools with the same subnet share it, so that none gives out an address of another. */
export class SharedSubnet {
  readonly addressSpace: AddressSpace;
  readonly cidr: Cidr;
  readonly pools = new Set<Pool>();
  /** What is given out, and what never is. */
  readonly held = new AddressSet();

  constructor(addressSpace: AddressSpace, cidr: Cidr) {
    this.addressSpace = addressSpace;
    this.cidr = cidr;
    for (const offset of reservedOffsets(cidr)) this.held.hold(offset);
  }
}

/** IPv4: network and broadcast address, where there is room (RFC 3021). IPv6: the routers' anycast address (RFC 4291, 2.6.1). */
function reservedOffsets(cidr: Cidr): bigint[] {
  const size = sizeOf(cidr);
  if (cidr.family === 6) return [0n];
  return size > 2n ? [0n, size - 1n] : [];
}

/** How an address is asked for. */
export interface AddressWish {
  /** This one and no other; undefined for a free one of the pool. */
  readonly ip: Ip | undefined;
  /** Whether the search for a free one goes on where it ended last, rather than at the lowest. */
  readonly serial: boolean;
  /** See LeaseRecord; undefined for a lease that was recorded without one. */
  readonly grant: string | undefined;
}

export class Pool {
  readonly id: string;
  readonly subnet: SharedSubnet;
  readonly subPool: Cidr | null;
  /** What this pool has given out; `subnet.held` has it too. */
  readonly leases = new AddressSet();
  /** By what each address is held, as far as that is known. */
  readonly #grants = new Map<bigint, string>();
  /** Set until the pool is durable, or given up. */
  adding: Promise<void> | undefined;
  /** Set while the pool is on its way out: nothing is given out any more. */
  releasing: Promise<void> | undefined;
  /** Addresses for which something waits for the disk. */
  readonly busy = new Map<bigint, Promise<void>>();
  readonly #range: OffsetRange;
  #lastAllocated: bigint | undefined;

  constructor(subnet: SharedSubnet, subPool: Cidr | null, lastAllocated?: Ip) {
    const range = subPool ?? subnet.cidr;
    this.id = poolIdOf(subnet.addressSpace, subnet.cidr, subPool);
    this.subnet = subnet;
    this.subPool = subPool;
    this.#range = { first: range.base - subnet.cidr.base, last: lastOf(range) - subnet.cidr.base };
    this.#lastAllocated = lastAllocated && lastAllocated.value - subnet.cidr.base;
  }

  /**
   * Takes an address in memory.
   * @returns its offset, and what gives it back if it could not be made durable
   * @throws TsnetError "invalid", "conflict" or "exhausted"
   */
  reserve({ ip, serial, grant }: AddressWish): { offset: bigint; undo: () => void } {
    const before = this.#lastAllocated;
    const offset = ip ? this.#hold(ip) : this.#allocate(serial);
    this.leases.hold(offset);
    if (grant !== undefined) this.#grants.set(offset, grant);
    if (serial) this.#lastAllocated = offset;
    return {
      offset,
      undo: () => {
        this.free(offset);
        if (this.#lastAllocated === offset) this.#lastAllocated = before;
      },
    };
  }

  /** Gives an address back, if it is this pool's. */
  free(offset: bigint): void {
    this.#grants.delete(offset);
    if (this.leases.release(offset)) this.subnet.held.release(offset);
  }

  /** By what an address is held; undefined if it is free, or the lease is older than grants. */
  grantOf(offset: bigint): string | undefined {
    return this.#grants.get(offset);
  }

  addressAt(offset: bigint): string {
    return formatIp(this.subnet.cidr.family, this.subnet.cidr.base + offset);
  }

  putPool(): RecordChange {
    const value: PoolRecord = {
      addressSpace: this.subnet.addressSpace,
      subnet: this.subnet.cidr.text,
      subPool: this.subPool?.text ?? null,
      lastAllocated: this.#lastAllocated === undefined ? null : this.addressAt(this.#lastAllocated),
    };
    return { put: "pool", id: this.id, value };
  }

  putLease(offset: bigint): RecordChange {
    const value: LeaseRecord = { pool: this.id, address: this.addressAt(offset), grant: this.#grants.get(offset) };
    return { put: "lease", id: this.#leaseId(offset), value };
  }

  removeLease(offset: bigint): RecordChange {
    return { remove: "lease", id: this.#leaseId(offset) };
  }

  /** Subnets of an address space do not overlap, so that an address has one lease at most. */
  #leaseId(offset: bigint): string {
    return `${this.subnet.addressSpace}/${this.addressAt(offset)}`;
  }

  #hold(ip: Ip): bigint {
    const { cidr, held } = this.subnet;
    if (!containsIp(cidr, ip)) {
      throw new TsnetError("invalid", `requested address is out of range: ${ip.text} is not in ${cidr.text}`);
    }
    const offset = ip.value - cidr.base;
    if (held.hold(offset)) return offset;
    const why = reservedOffsets(cidr).includes(offset) ? "is reserved in" : "is held in";
    throw new TsnetError("conflict", `Address already in use: ${ip.text} ${why} ${this.id}`);
  }

  #allocate(serial: boolean): bigint {
    const { cidr, held } = this.subnet;
    const offset =
      serial && this.#lastAllocated !== undefined
        ? held.allocateAfter(this.#lastAllocated, this.#range)
        : held.allocate(this.#range);
    if (offset !== undefined) return offset;
    const size = this.#range.last - this.#range.first + 1n;
    const hint = "remove containers, or make the network with a larger subnet or IP range";
    throw new TsnetError(
      "exhausted",
      `no available IPv${cidr.family} addresses on this network's address pools: ${this.id} (size ${size}): ${hint}`,
    );
  }
}

/** "tsnet-local/172.18.0.0/16", or with the sub pool "tsnet-local/172.18.0.0/16/172.18.5.0/24". */
export const poolIdOf = (addressSpace: AddressSpace, subnet: Cidr, subPool: Cidr | null): string =>
  [addressSpace, subnet.text, ...(subPool ? [subPool.text] : [])].join("/");
