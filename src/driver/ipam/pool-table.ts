import { TsnetError } from "../../errors.ts";
import { type Cidr, containsIp, type Ip, overlaps } from "../../net/cidr.ts";
import { Pool, poolIdOf } from "./pool.ts";
import type { PoolOptions } from "./pool-options.ts";
import { type PoolSpace, SharedSubnet } from "./shared-subnet.ts";

/** The pools that there are: by ID, by subnet, and by network. */
export class PoolTable {
  readonly #pools = new Map<string, Pool>();
  /** By address space and subnet: "tsnet-local/172.18.0.0/16". */
  readonly #subnets = new Map<string, SharedSubnet>();
  readonly #byNetwork = new Map<string, Set<Pool>>();

  get(id: string): Pool | undefined {
    return this.#pools.get(id);
  }

  all(): IterableIterator<Pool> {
    return this.#pools.values();
  }

  /** The subnets of an address space. */
  held(addressSpace: PoolSpace): Cidr[] {
    return [...this.#subnets.values()].flatMap((subnet) => (subnet.addressSpace === addressSpace ? [subnet.cidr] : []));
  }

  /** The pools of just this subnet. */
  of(addressSpace: PoolSpace, subnet: Cidr): Pool[] {
    return [...(this.#subnets.get(poolIdOf(addressSpace, subnet, null))?.pools ?? [])];
  }

  /** The subnet of an address space that an address is in. */
  at(addressSpace: PoolSpace, ip: Ip): SharedSubnet | undefined {
    for (const subnet of this.#subnets.values()) {
      if (subnet.addressSpace === addressSpace && containsIp(subnet.cidr, ip)) return subnet;
    }
    return undefined;
  }

  /** The pools of a network, in the order in which they were asked for. */
  ofNetwork(network: string | null): Pool[] {
    const pools = network === null ? undefined : this.#byNetwork.get(network);
    return [...(pools ?? [])].sort((a, b) => a.sequence - b.sequence);
  }

  /**
   * @throws TsnetError "conflict" if a pool of the address space is in the way: parts of one subnet are not in each other's
   */
  refuseOverlap(addressSpace: PoolSpace, subnet: Cidr, subPool: Cidr | null): void {
    const isInTheWay = (other: Cidr) => overlaps(other, subnet) && (other.text !== subnet.text || subPool === null);
    const same = this.#pools.get(poolIdOf(addressSpace, subnet, subPool));
    const inTheWay = same ? undefined : this.held(addressSpace).find(isInTheWay);
    if (!inTheWay && !same) return;
    const other = same?.id ?? `${addressSpace}/${inTheWay?.text}`;
    throw new TsnetError(
      "conflict",
      `invalid pool request: Pool overlaps with other one on this address space: ${subnet.text} with ${other}`,
    );
  }

  add(addressSpace: PoolSpace, cidr: Cidr, subPool: Cidr | null, options: PoolOptions): Pool {
    const key = poolIdOf(addressSpace, cidr, null);
    const subnet = this.#subnets.get(key) ?? new SharedSubnet(addressSpace, cidr);
    const pool = new Pool(subnet, subPool, options);
    this.#subnets.set(key, subnet);
    this.#pools.set(pool.id, pool);
    return pool;
  }

  /** Says which network has its addresses from a pool; null for none. */
  attach(pool: Pool, network: string | null): void {
    if (pool.network !== null) this.#detach(pool, pool.network);
    pool.network = network;
    if (network === null) return;
    const pools = this.#byNetwork.get(network) ?? new Set();
    this.#byNetwork.set(network, pools.add(pool));
  }

  /** Removes a pool, and frees what it has given out. One that is gone, with another in its place or not, is no error. */
  remove(pool: Pool): void {
    if (this.#pools.get(pool.id) !== pool) return;
    for (const offset of pool.offsets()) pool.delete(offset);
    this.#pools.delete(pool.id);
    if (pool.network !== null) this.#detach(pool, pool.network);
    const { subnet } = pool;
    subnet.pools.delete(pool);
    if (subnet.pools.size === 0) this.#subnets.delete(poolIdOf(subnet.addressSpace, subnet.cidr, null));
  }

  #detach(pool: Pool, network: string): void {
    const pools = this.#byNetwork.get(network);
    pools?.delete(pool);
    if (pools?.size === 0) this.#byNetwork.delete(network);
  }
}
