/**
 * What address management should do, as plainly as it can be said: lists, and searches from the first to the last. Written from
 * what Docker's own does and what is promised besides, and not from the code. Addresses are
 * numbers: see ipam-spans.ts.
 */
import {
  isSwarm,
  type ModelLease,
  type ModelOptions,
  type ModelPool,
  type ModelWish,
  whom,
} from "./ipam-model-parts.ts";
import { addressesOf, familyOf, isReserved, overlap, textOf } from "./ipam-spans.ts";

/** What should happen, as the texts of answers or the codes of errors. */
export class IpamModel {
  pools: ModelPool[] = [];
  now = 1_000_000;
  #tokens = 0;

  requestPool(space: string, subnet: string, subPool: string, options: ModelOptions): string {
    const id = [space, subnet, ...(subPool ? [subPool] : [])].join("/");
    const others = this.pools.filter((pool) => pool.space === space);
    const same = others.find((pool) => pool.id === id);
    if (same) return this.#replay(same);
    if (others.some((pool) => overlap(pool.subnet, subnet) && !(pool.subnet === subnet && subPool))) return "conflict";
    this.pools.push({
      ...{
        id,
        space,
        subnet,
        subPool,
        options,
        network: null,
        leases: [],
        cursor: null,
        replayed: null,
        claimed: true,
      },
    });
    return id;
  }

  /** A swarm's leader asks again for what there is. */
  #replay(pool: ModelPool): string {
    if (pool.claimed || !(pool.space === "tsnet-global" || isSwarm(pool.network))) return "conflict";
    pool.claimed = true;
    pool.replayed = new Set();
    return pool.id;
  }

  /** @param candidates in the order in which they are used */
  requestAny(space: string, candidates: readonly string[], options: ModelOptions): string {
    const others = this.pools.filter((pool) => pool.space === space);
    const free = candidates.find((subnet) => !others.some((pool) => overlap(pool.subnet, subnet)));
    return free === undefined ? "exhausted" : this.requestPool(space, free, "", options);
  }

  releasePool(id: string): void {
    this.pools = this.pools.filter((pool) => pool.id !== id);
  }

  requestAddress(id: string, wish: ModelWish): string {
    const pool = this.#find(id);
    if (!pool) return "not-found";
    const found = wish.address === null ? this.#choose(pool, wish) : this.#explicit(pool, wish.address);
    if (typeof found === "string") return found;
    const [from, address, isReplay] = found;
    from.replayed?.add(address);
    if (isReplay) return this.#answer(from, address);
    for (const other of this.#sharing(from)) other.leases = other.leases.filter((lease) => lease.address !== address);
    from.leases.push({ token: this.#tokens++, address, ...whom(from, wish), restsUntil: null });
    if (wish.serial && wish.address === null) from.cursor = address;
    return this.#answer(from, address);
  }

  /** Docker knows a network's first pool only: an address outside of it is looked for in the others. */
  releaseAddress(id: string, address: number): void {
    const first = this.#find(id);
    if (!first) return;
    const isInside = addressesOf(first.subnet).includes(address);
    const others = this.pools.filter((pool) => !isInside && first.network !== null && pool.network === first.network);
    const isMeant = (lease: ModelLease): boolean => lease.address === address && lease.restsUntil === null;
    for (const pool of [first, ...others]) {
      const lease = pool.leases.find(isMeant);
      if (!lease) continue;
      pool.replayed?.delete(address);
      this.#end(pool, lease);
      return;
    }
  }

  /**
   * A network says which subnets it has: of pools with the same one, the one that holds its gateway, else the last that is nobody's.
   * What its addresses are for is known from here on.
   */
  attach(network: string, space: string, subnet: string, gateway: number | null, auxiliary: readonly number[]): void {
    const all = this.pools.filter((pool) => pool.space === space && pool.subnet === subnet);
    if (all.some((pool) => pool.network === network)) return;
    const free = all.filter((pool) => pool.network === null);
    const isHeld = (lease: ModelLease): boolean => lease.restsUntil === null && lease.address === gateway;
    const pool = free.find(({ leases }) => leases.some(isHeld)) ?? free.at(-1);
    if (!pool) return;
    pool.network = network;
    for (const lease of pool.leases) {
      if (lease.restsUntil !== null) continue;
      if (lease.address === gateway) lease.role = "gateway";
      else lease.role = auxiliary.includes(lease.address) ? "auxiliary" : "endpoint";
    }
  }

  poolOf = (token: number): string | undefined =>
    this.pools.find(({ leases }) => leases.some((lease) => lease.token === token))?.id;

  /**
   * Gives back one lease if it is still held, and nobody else's.
   * @param network if not null: only what it holds
   */
  releaseToken(token: number, network: string | null): boolean {
    const pool = this.pools.find(({ leases }) => leases.some((lease) => lease.token === token));
    const lease = pool?.leases.find((one) => one.token === token && one.restsUntil === null);
    if (!pool || !lease) return false;
    if (network !== null && this.held(network, lease.address, pool.subnet) !== lease) return false;
    this.releaseAddress(pool.id, lease.address);
    return true;
  }

  /** What is held at an address of a subnet by a network. */
  held(network: string, address: number, subnet: string): ModelLease | undefined {
    return this.pools
      .filter((pool) => pool.network === network && pool.subnet === subnet)
      .flatMap(({ leases }) => leases)
      .find((lease) => lease.address === address && lease.restsUntil === null);
  }

  /** Of the addresses that are given out unasked. */
  countsOf(pool: ModelPool): { used: number; resting: number; free: number } {
    const range = addressesOf(pool.subPool || pool.subnet);
    const inRange = pool.leases.filter(({ address }) => range.includes(address));
    const used = inRange.filter(({ restsUntil }) => restsUntil === null).length;
    const free = range.filter((address) => this.#isFree(pool, address)).length;
    return { used, resting: inRange.length - used, free };
  }

  newEpoch(): void {
    for (const pool of this.pools) {
      pool.claimed = false;
      pool.replayed = null;
    }
  }

  pass(ms: number): void {
    this.now += ms;
    for (const pool of this.pools) {
      pool.leases = pool.leases.filter(({ restsUntil }) => restsUntil === null || restsUntil > this.now);
    }
  }

  /** Of an address that is held: it rests, or is free. */
  #end(pool: ModelPool, lease: ModelLease): void {
    const { sticky, stickyTtlMs, quarantineMs } = pool.options;
    const rest = lease.role !== "endpoint" ? 0 : sticky && lease.identity !== null ? stickyTtlMs : quarantineMs;
    if (rest === 0) pool.leases = pool.leases.filter((one) => one !== lease);
    else lease.restsUntil = this.now + rest;
  }

  #explicit(pool: ModelPool, address: number): [ModelPool, number, boolean] | string {
    if (!addressesOf(pool.subnet).includes(address)) return "invalid";
    if (isReserved(pool.subnet, address)) return "conflict";
    const owner = this.#sharing(pool).find(({ leases }) =>
      leases.some((lease) => lease.address === address && lease.restsUntil === null),
    );
    if (!owner) return [pool, address, false];
    if (owner === pool && pool.replayed && !pool.replayed.has(address)) return [pool, address, true];
    return "conflict";
  }

  /** A gateway is of its own subnet, and nobody who comes back. */
  #choose(first: ModelPool, { serial, identity, isGateway }: ModelWish): [ModelPool, number, boolean] | string {
    const pools = isGateway ? [first] : this.#ofNetwork(first);
    const resting = (pool: ModelPool, isMeant: (lease: ModelLease) => boolean): ModelLease[] =>
      pool.leases.filter(
        (one) => one.restsUntil !== null && pool.options.sticky && one.identity !== null && isMeant(one),
      );
    const until = ({ restsUntil }: ModelLease): number => restsUntil ?? 0;
    for (const pool of pools) {
      const [kept] = resting(pool, (one) => !isGateway && one.identity === identity).sort(
        (a, b) => until(b) - until(a) || a.address - b.address,
      );
      if (kept) return [pool, kept.address, false];
    }
    for (const pool of pools) {
      const free = this.#order(pool, serial).find((address) => this.#isFree(pool, address));
      if (free !== undefined) return [pool, free, false];
    }
    for (const pool of pools) {
      const range = addressesOf(pool.subPool || pool.subnet);
      const [oldest] = resting(pool, (one) => range.includes(one.address)).sort(
        (a, b) => until(a) - until(b) || a.address - b.address,
      );
      if (oldest) return [pool, oldest.address, false];
    }
    return "exhausted";
  }

  #isFree(pool: ModelPool, address: number): boolean {
    const isTaken = this.#sharing(pool).some(({ leases }) => leases.some((lease) => lease.address === address));
    return !isTaken && !isReserved(pool.subnet, address);
  }

  /** The addresses of a pool as they are tried. */
  #order({ subnet, subPool, cursor }: ModelPool, serial: boolean): number[] {
    const all = addressesOf(subPool || subnet);
    if (!serial || cursor === null) return all;
    return [...all.filter((address) => address > cursor), ...all.filter((address) => address <= cursor)];
  }

  /** The pool, and where its network goes on when it is full. */
  #ofNetwork(first: ModelPool): ModelPool[] {
    const isNext = (pool: ModelPool): boolean =>
      pool !== first &&
      first.network !== null &&
      pool.network === first.network &&
      pool.space === first.space &&
      familyOf(pool.subnet) === familyOf(first.subnet);
    return [first, ...this.pools.filter(isNext)];
  }

  #sharing({ space, subnet }: ModelPool): ModelPool[] {
    return this.pools.filter((pool) => pool.space === space && pool.subnet === subnet);
  }

  #find = (id: string): ModelPool | undefined => this.pools.find((pool) => pool.id === id);

  #answer = ({ subnet }: ModelPool, address: number): string => `${textOf(address)}/${subnet.split("/")[1]}`;
}
