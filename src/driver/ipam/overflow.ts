/** What is full goes on in the next pool of the network: no other IPAM driver than Docker's own can leave that to Docker (fact 17). */
import { TsnetError } from "../../errors.ts";
import { containsIp, type Ip } from "../../net/cidr.ts";
import { addressSpaces } from "./default-pools.ts";
import { holderOf, largestHolders } from "./holders.ts";
import type { Pool } from "./pool.ts";

/** How an address is asked for. */
export interface AddressWish {
  /** This one and no other; undefined for a free one of the pool. */
  readonly ip: Ip | undefined;
  /** Whether the search for a free one goes on where it ended last, rather than at the lowest. */
  readonly serial: boolean;
  /** Who gets the same address again, where it rests: see Lease. */
  readonly identity: string | null;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/**
 * Decides as Pool.pick does, for all of these pools as if they were one. Changes nothing.
 * @param pools the one that was asked first; none for a named address
 * @throws TsnetError "invalid", "conflict" or "exhausted"
 */
export function pickFrom(pools: readonly [Pool, ...Pool[]], wish: AddressWish): { pool: Pool; offset: bigint } {
  if (wish.ip !== undefined) return { pool: pools[0], offset: pickNamed(pools[0], wish.ip, wish.nowMs) };
  const searches: readonly ((pool: Pool) => bigint | undefined)[] = [
    (pool) => pool.keptFor(wish),
    (pool) => pool.free(wish),
    (pool) => pool.yielding(wish.nowMs),
  ];
  for (const search of searches) {
    for (const pool of pools) {
      const offset = search(pool);
      if (offset !== undefined) return { pool, offset };
    }
  }
  throw exhausted(pools);
}

/** The offset of an address that may be taken: it is free, or rests. */
function pickNamed({ id, subnet }: Pool, ip: Ip, nowMs: number): bigint {
  const { cidr, reserved } = subnet;
  if (!containsIp(cidr, ip)) {
    throw new TsnetError("invalid", `requested address is out of range: ${ip.text} is not in ${cidr.text}`);
  }
  subnet.endRests(nowMs);
  const offset = ip.value - cidr.base;
  const owner = subnet.ownerOf(offset);
  const lease = owner?.get(offset);
  if (!reserved.includes(offset) && lease?.restsUntilMs !== null) return offset;
  const why = lease === undefined ? `is reserved in ${id}` : `is held by ${holderOf(lease)} in ${owner?.id}`;
  throw new TsnetError("conflict", `Address already in use: ${ip.text} ${why}`);
}

/** The error where nothing is left: Docker's words, the sizes, and who has it all. */
function exhausted(pools: readonly [Pool, ...Pool[]]): TsnetError {
  const words = `no available IPv${pools[0].subnet.cidr.family} addresses on this network's address pools`;
  const sizes = pools.map(({ id, size }) => `${id} (size ${size})`).join(", ");
  const isSwarms = pools[0].subnet.addressSpace === addressSpaces.global;
  const others = isSwarms ? "tasks and services of the swarm" : "containers without a name";
  const holders = largestHolders(
    pools.map(({ holders }) => holders),
    others,
  );
  const rests = pools.map((pool) => pool.strictRests);
  const resting = rests.reduce((sum, { count }) => sum + count, 0);
  const until = Math.min(...rests.flatMap(({ untilMs }) => untilMs ?? []));
  const facts = [
    ...(holders === "" ? [] : [`held by ${holders}`]),
    ...(resting === 0 ? [] : [`${resting} released ones rest, the first until ${new Date(until).toISOString()}`]),
  ];
  const advice = "make the network with a larger subnet or IP range";
  const what =
    facts.length === 0
      ? ["all of it is reserved, or held by another pool of the subnet", advice]
      : [...facts, `remove containers, or ${advice}`];
  return new TsnetError("exhausted", `${words}: ${sizes}: ${what.join("; ")}`);
}
