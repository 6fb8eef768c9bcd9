/**
 * Address management: the calls of Docker's IPAM driver, with the meaning of Docker's own (engine-contract.md, sections 2.3 and 6).
 *
 * What is taken is taken in memory first, in one turn, then made durable, and given back if that fails; what is given back is
 * removed from the disk first. So two calls never get the same, whatever else waits, and no answer is ahead of the disk.
 */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { TsnetError } from "../../errors.ts";
import { type Cidr, overlaps, parseCidr, parseHostAddress, parseIp } from "../../net/cidr.ts";
import { badRecord, recordsPerTurn } from "../parse-record.ts";
import type { Records } from "../records.ts";
import {
  type AddressSpace,
  addressSpaces,
  chooseSubnet,
  type DefaultPools,
  dockerDefaultPools,
} from "./default-pools.ts";
import { Pool, poolIdOf, SharedSubnet } from "./pool.ts";
import { parseLeaseRecord, parsePoolRecord } from "./pool-record.ts";
import { type PoolRequest, type PoolWish, parsePoolRequest } from "./pool-request.ts";

/** RequestAddress (engine-contract.md, 2.3). */
export interface AddressRequest {
  readonly poolId: string;
  /** "172.18.0.2"; "" for a free one. */
  readonly address: string;
  readonly options: Readonly<Record<string, string>>;
}

export interface PoolsOptions {
  readonly records: Records;
  /** What tells this host from others. */
  readonly hostId: string;
  /** What no subnet that we choose may touch: what the host routes, other networks' subnets, name servers. */
  readonly excluded: () => Promise<readonly Cidr[]>;
  /** Docker's own if left out. */
  readonly defaultPools?: DefaultPools;
}

/** Set by swarm's manager, so that an address that was just freed is the last to be used again. */
const serialOption = "com.docker.network.ipam.serial";

export class Pools {
  readonly #records: Records;
  readonly #excluded: () => Promise<readonly Cidr[]>;
  readonly #defaultPools: DefaultPools;
  readonly #pools = new Map<string, Pool>();
  /** By address space and subnet: "tsnet-local/172.18.0.0/16". */
  readonly #subnets = new Map<string, SharedSubnet>();

  constructor({ records, hostId, excluded, defaultPools = dockerDefaultPools(hostId) }: PoolsOptions) {
    this.#records = records;
    this.#excluded = excluded;
    this.#defaultPools = defaultPools;
  }

  /**
   * Reads all records; once, before anything else.
   * @throws TsnetError "store", which names the record that cannot be understood
   */
  async restore(): Promise<void> {
    const [pools, leases] = await Promise.all([this.#records.list("pool"), this.#records.list("lease")]);
    for (const [id, value] of pools) {
      const { addressSpace, subnet, subPool, lastAllocated } = parsePoolRecord(id, value);
      const subPoolCidr = subPool === null ? null : parseCidr(subPool);
      this.#add(addressSpace, parseCidr(subnet), subPoolCidr, lastAllocated ?? undefined);
    }
    let restored = 0;
    for (const [id, value] of leases) {
      this.#restoreLease(id, value);
      if (++restored % recordsPerTurn === 0) await setImmediate();
    }
  }

  /** @throws TsnetError "invalid", "conflict", "exhausted" or "store" */
  async requestPool(request: PoolRequest) {
    const wish = parsePoolRequest(request);
    const excluded = "any" in wish ? await this.#excluded() : [];
    const pool = this.#take(wish, excluded);
    pool.adding = this.#records
      .commit([pool.putPool()])
      .catch((error: unknown) => {
        this.#forget(pool);
        throw error;
      })
      .finally(() => {
        pool.adding = undefined;
      });
    await pool.adding;
    return { poolId: pool.id, pool: pool.subnet.cidr.text, data: {} as Record<string, string> };
  }

  /**
   * Lets go of a pool and of what it has still given out. One that is unknown is no error.
   * @throws TsnetError "store"
   */
  async releasePool(poolId: string): Promise<void> {
    const pool = this.#pools.get(poolId);
    if (!pool) return;
    pool.releasing ??= this.#releaseAll(pool).finally(() => {
      pool.releasing = undefined;
    });
    await pool.releasing;
  }

  /** @throws TsnetError "not-found", "invalid", "conflict", "exhausted" or "store" */
  async requestAddress({ poolId, address, options }: AddressRequest) {
    let pool = this.#pools.get(poolId);
    // A lease must not outlive a pool that could not be made durable.
    for (; pool?.adding; pool = this.#pools.get(poolId)) await pool.adding.catch(() => {});
    if (!pool || pool.releasing) throw new TsnetError("not-found", `invalid pool id: ${poolId}`);
    const ip = address === "" ? undefined : parseIp(address);
    const serial = ip === undefined && options[serialOption] === "true";
    const { offset, undo } = pool.reserve({ ip, serial, grant: randomUUID() });
    const changes = [pool.putLease(offset), ...(serial ? [pool.putPool()] : [])];
    await whileBusy(pool, offset, () =>
      this.#records.commit(changes).catch((error: unknown) => {
        undo();
        throw error;
      }),
    );
    const text = `${pool.addressAt(offset)}/${pool.subnet.cidr.prefix}`;
    return { address: text, data: {} as Record<string, string> };
  }

  /**
   * Gives an address back. One that is unknown, or another pool's, is no error.
   * @throws TsnetError "store"; "invalid" if it is no address
   */
  async releaseAddress({ poolId, address }: { readonly poolId: string; readonly address: string }): Promise<void> {
    const pool = this.#pools.get(poolId);
    if (!pool || address === "") return;
    const ip = parseIp(address);
    if (ip.family !== pool.subnet.cidr.family) return;
    const offset = ip.value - pool.subnet.cidr.base;
    await this.#release(pool, offset, () => pool.leases.has(offset));
  }

  /**
   * The grants by which addresses ("172.18.0.2/16") are held in the address space of this host: none for one that another IPAM
   * driver gave.
   */
  leasesAt(addresses: readonly string[]): string[] {
    return addresses.flatMap((address) => {
      const holder = this.#holderOf(address);
      return holder?.pool.grantOf(holder.offset) ?? [];
    });
  }

  /**
   * Gives addresses back as far as they are still held by one of these grants: what was given to somebody else meanwhile stays.
   * @throws TsnetError "store"
   */
  async releaseLeases(addresses: readonly string[], grants: readonly string[]): Promise<void> {
    for (const address of addresses) {
      const { pool, offset } = this.#holderOf(address) ?? {};
      if (!pool || offset === undefined) continue;
      await this.#release(pool, offset, () => grants.some((grant) => grant === pool.grantOf(offset)));
    }
  }

  /** The pool of this host's address space that has given out an address of just this subnet. */
  #holderOf(address: string): { readonly pool: Pool; readonly offset: bigint } | undefined {
    const { ip, subnet } = parseHostAddress(address);
    const offset = ip.value - subnet.base;
    const pools = [...(this.#subnets.get(poolIdOf(addressSpaces.local, subnet, null))?.pools ?? [])];
    const pool = pools.find(({ leases }) => leases.has(offset));
    return pool && { pool, offset };
  }

  /** Gives an address back if it is the one that is meant when nothing waits for the disk any more. */
  async #release(pool: Pool, offset: bigint, isMeant: () => boolean): Promise<void> {
    for (let busy = pool.busy.get(offset); busy; busy = pool.busy.get(offset)) await busy.catch(() => {});
    if (!isMeant()) return;
    await whileBusy(pool, offset, async () => {
      await this.#records.commit([pool.removeLease(offset)]);
      pool.free(offset);
    });
  }

  /** Takes a pool in memory, in one turn. */
  #take(wish: PoolWish, excluded: readonly Cidr[]): Pool {
    const { addressSpace } = wish;
    const held = [...this.#subnets.values()].filter((subnet) => subnet.addressSpace === addressSpace);
    const taken = held.map(({ cidr }) => cidr);
    if ("any" in wish) {
      const chosen = chooseSubnet(this.#defaultPools[addressSpace], wish.any, [...taken, ...excluded]);
      return this.#add(addressSpace, chosen, null);
    }
    const { subnet, subPool } = wish;
    const inTheWay = taken.find((other) => overlaps(other, subnet) && (other.text !== subnet.text || subPool === null));
    const same = this.#pools.get(poolIdOf(addressSpace, subnet, subPool));
    if (!inTheWay && !same) return this.#add(addressSpace, subnet, subPool);
    const other = same?.id ?? `${addressSpace}/${inTheWay?.text}`;
    throw new TsnetError(
      "conflict",
      `invalid pool request: Pool overlaps with other one on this address space: ${subnet.text} with ${other}`,
    );
  }

  #add(addressSpace: AddressSpace, cidr: Cidr, subPool: Cidr | null, lastAllocated?: string): Pool {
    const key = poolIdOf(addressSpace, cidr, null);
    const subnet = this.#subnets.get(key) ?? new SharedSubnet(addressSpace, cidr);
    const pool = new Pool(subnet, subPool, lastAllocated === undefined ? undefined : parseIp(lastAllocated));
    subnet.pools.add(pool);
    this.#subnets.set(key, subnet);
    this.#pools.set(pool.id, pool);
    return pool;
  }

  #restoreLease(id: string, value: unknown): void {
    const { pool, address, grant } = parseLeaseRecord(id, value);
    const found = this.#pools.get(pool);
    if (!found) throw badRecord("lease", id, `names pool ${pool}, which does not exist`);
    try {
      found.reserve({ ip: parseIp(address), serial: false, grant });
    } catch (cause) {
      throw badRecord("lease", id, "contradicts the others", cause);
    }
  }

  async #releaseAll(pool: Pool): Promise<void> {
    const leases = [...pool.leases].map((offset) => pool.removeLease(offset));
    await this.#records.commit([...leases, { remove: "pool", id: pool.id }]);
    this.#forget(pool);
  }

  #forget(pool: Pool): void {
    if (this.#pools.get(pool.id) !== pool) return;
    for (const offset of [...pool.leases]) pool.free(offset);
    this.#pools.delete(pool.id);
    const { subnet } = pool;
    subnet.pools.delete(pool);
    if (subnet.pools.size === 0) this.#subnets.delete(poolIdOf(subnet.addressSpace, subnet.cidr, null));
  }
}

/** Runs `work`, for which a release of this address waits: what it does to the disk, it does before. */
async function whileBusy(pool: Pool, offset: bigint, work: () => Promise<void>): Promise<void> {
  const running = work();
  pool.busy.set(offset, running);
  try {
    await running;
  } finally {
    // The address may be free by now, and somebody else at work on it.
    if (pool.busy.get(offset) === running) pool.busy.delete(offset);
  }
}
