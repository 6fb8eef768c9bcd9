/** Which address of a pool that hosts share a request gets, as far as the mirror says. */
import { TsnetError } from "../../errors.ts";
import { containsIp, type Ip } from "../../net/cidr.ts";
import type { Log } from "../log.ts";
import { type ParsedAddressRequest, roleOf } from "./address-wish.ts";
import { addressSpaces } from "./default-pools.ts";
import type { Lease } from "./lease.ts";
import type { Mirror } from "./mirror.ts";
import { pickFrom } from "./overflow.ts";
import type { Pool } from "./pool.ts";
import { sharedHosts } from "./pool-record.ts";

export interface SharedChoicesNeeds {
  readonly mirror: Mirror;
  readonly hostId: string;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** How an address is asked for. */
export interface AddressChoiceWish extends ParsedAddressRequest {
  readonly poolId: string;
  /** Whether it is success if just this address is held. */
  readonly mayExist: boolean;
  /** Of the lease, if there has to be a new one. */
  readonly grant: string;
  /** How often another host was faster. */
  readonly losses: number;
}

/** How far away the next free address is that a loser tries: powers of two. */
const nearby = 7;
const farthest = 12;

/** An address, and the lease that it gets; undefined if it stays as it is. */
export interface Choice {
  readonly pool: Pool;
  readonly offset: bigint;
  readonly lease: Lease | undefined;
}

export class SharedChoices {
  readonly #needs: SharedChoicesNeeds;

  constructor(needs: SharedChoicesNeeds) {
    this.#needs = needs;
  }

  /** @throws TsnetError "not-found", "invalid", "conflict" or "exhausted", if the mirror is right */
  choose(wish: AddressChoiceWish): Choice {
    const pool = this.#poolOf(wish.poolId);
    const { ip, isGateway, serial } = wish;
    if (serial) pool.lastAllocated ??= newestOf(pool);
    const kept = ip === undefined ? isGateway && this.#gatewayOf(wish, pool) : this.#held(wish, pool, ip);
    if (kept) return kept;
    const nowMs = this.#needs.now();
    const picked = outOfTheWay(pickFrom(this.#candidates(pool, wish), { ...wish, nowMs }), wish);
    this.#warnOfYielding(wish, picked.pool, picked.offset, nowMs);
    const hosts = sharedHosts(this.#isGlobal(picked.pool) ? [] : [this.#needs.hostId]);
    const role = roleOf(wish, picked.pool);
    const { grant, identity } = wish;
    return { ...picked, lease: { grant, role, identity, sinceMs: nowMs, hosts, restsUntilMs: null } };
  }

  #poolOf(id: string): Pool {
    const known = this.#needs.mirror.pool(id);
    if (known && (this.#isGlobal(known.pool) || known.pool.hosts.includes(this.#needs.hostId))) return known.pool;
    throw new TsnetError("not-found", `invalid pool id: ${id}`);
  }

  /** The pools that an address may come from: the one that is asked, and those that it overflows to. */
  #candidates(pool: Pool, { ip, isGateway }: ParsedAddressRequest): [Pool, ...Pool[]] {
    if (ip !== undefined || isGateway) return [pool];
    const { addressSpace, cidr } = pool.subnet;
    const isNext = ({ subnet }: Pool): boolean =>
      subnet.addressSpace === addressSpace && subnet.cidr.family === cidr.family;
    const others = this.#needs.mirror.table.ofNetwork(pool.network);
    return [pool, ...others.filter((other) => other !== pool && isNext(other))];
  }

  /** A named address that is held, and rightly so: it is asked for again, or hosts have it together. */
  #held(wish: AddressChoiceWish, pool: Pool, ip: Ip): Choice | undefined {
    if (!containsIp(pool.subnet.cidr, ip)) return undefined;
    const offset = pool.offsetOf(ip);
    const owner = pool.subnet.ownerOf(offset);
    const lease = owner?.get(offset);
    if (owner === undefined || lease === undefined || lease.restsUntilMs !== null) return undefined;
    if (wish.mayExist && owner === pool && this.isOurs(lease, pool)) return { pool, offset, lease: undefined };
    return this.#joined(owner, offset, lease, roleOf(wish, pool));
  }

  /** The gateway that other hosts have chosen. */
  #gatewayOf(wish: AddressChoiceWish, pool: Pool): Choice | undefined {
    for (const [offset, lease] of pool.entries()) {
      if (lease.role !== "gateway") continue;
      const joined = this.#joined(pool, offset, lease, roleOf(wish, pool));
      if (joined) return joined;
    }
    return undefined;
  }

  /** Hosts have gateways and auxiliary addresses together, each host once. */
  #joined(pool: Pool, offset: bigint, lease: Lease, role: Lease["role"]): Choice | undefined {
    const { hostId } = this.#needs;
    const isCommon = role === "gateway" || role === "auxiliary";
    if (!isCommon || role !== lease.role || this.#isGlobal(pool) || lease.hosts.includes(hostId)) return undefined;
    return { pool, offset, lease: { ...lease, hosts: [...lease.hosts, hostId] } };
  }

  /** Whether this host holds a lease, or nobody in particular. */
  isOurs({ hosts }: Lease, pool: Pool): boolean {
    return this.#isGlobal(pool) || hosts.includes(this.#needs.hostId);
  }

  #isGlobal({ subnet }: Pool): boolean {
    return subnet.addressSpace === addressSpaces.global;
  }

  #warnOfYielding({ identity }: AddressChoiceWish, pool: Pool, offset: bigint, nowMs: number): void {
    const old = pool.subnet.ownerOf(offset)?.get(offset);
    if (old === undefined || old.identity === identity || (old.restsUntilMs ?? 0) <= nowMs) return;
    const fields = { pool: pool.id, address: pool.addressAt(offset), keptFor: old.identity, givenTo: identity };
    this.#needs.log.warn(fields, "an address that rested for somebody else is given out");
  }
}

/**
 * Hosts that all try the lowest free address stand in each other's way: whoever has lost takes one of the next free ones, the
 * further the more often.
 */
function outOfTheWay(
  picked: { readonly pool: Pool; readonly offset: bigint },
  { ip, isGateway, serial, losses }: AddressChoiceWish,
) {
  const { pool, offset } = picked;
  if (ip !== undefined || isGateway || serial || losses === 0 || pool.subnet.held.has(offset)) return picked;
  const distance = BigInt(Math.floor(Math.random() * 2 ** Math.min(losses + nearby, farthest)));
  return { pool, offset: pool.subnet.held.freeAfter(offset + distance, pool.range) ?? offset };
}

/** The address that was given out last. */
function newestOf(pool: Pool): bigint | undefined {
  let newest: [bigint, Lease] | undefined;
  for (const entry of pool.entries()) if (newest === undefined || entry[1].sinceMs > newest[1].sinceMs) newest = entry;
  return newest?.[0];
}
