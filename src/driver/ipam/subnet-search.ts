/** The search for a subnet that nobody uses, however many stand in its way. */
import { TsnetError } from "../../errors.ts";
import { type Cidr, cidrOf, containsCidr, type Family, overlaps } from "../../net/cidr.ts";
import { Turn } from "../turn.ts";
import type { DefaultPool } from "./default-pools.ts";
import { TakenBlocks } from "./taken-blocks.ts";

/** A subnet that is taken, and by whom: "route of tun0", "Docker network web", "name server", "tsnet-local/172.18.0.0/16". */
export interface Obstacle {
  readonly cidr: Cidr;
  readonly by: string;
}

/** What kind of subnet is asked for. */
export interface SubnetWish {
  readonly family: Family;
  /** Prefix length in bits; undefined takes the pools' own. */
  readonly prefix: number | undefined;
}

/** So many obstacles are named in an error. */
const named = 3;

export class SubnetSearch {
  readonly #wish: SubnetWish;
  /** Those that are large enough, with what is taken of each. */
  readonly #pools: readonly { readonly base: Cidr; readonly prefix: number; readonly taken: TakenBlocks }[];
  /** The largest that stand in the way. */
  #largest: readonly Obstacle[] = [];

  /**
   * @param pools in the order in which they are to be used
   * @throws TsnetError "invalid" if none is large enough
   */
  constructor(pools: readonly DefaultPool[], wish: SubnetWish) {
    const ofFamily = pools.filter(({ base }) => base.family === wish.family);
    this.#wish = wish;
    this.#pools = ofFamily
      .filter(({ base }) => wish.prefix === undefined || base.prefix <= wish.prefix)
      .map(({ base, prefix }) => ({ base, prefix: wish.prefix ?? prefix, taken: new TakenBlocks() }));
    if (this.#pools.length > 0) return;
    const names = ofFamily.map(({ base }) => base.text).join(", ") || "there are none";
    const what = wish.prefix === undefined ? `IPv${wish.family}` : `IPv${wish.family} /${wish.prefix}`;
    throw new TsnetError(
      "invalid",
      `invalid address pool: no default pool holds ${what} (${names}): give a subnet, or set TSNET_ADDRESS_POOLS`,
    );
  }

  /** Takes all of these into account, in turns: there may be 100,000. */
  async avoid(obstacles: Iterable<Obstacle>): Promise<void> {
    const turn = new Turn();
    for (const obstacle of obstacles) {
      this.#add(obstacle);
      if (turn.isOver) await turn.next();
    }
  }

  /**
   * The lowest subnet of the first pool that has one which touches no obstacle, and none of `taken`. In one turn, so that nobody
   * takes it meanwhile.
   * @throws TsnetError "exhausted", which names who is in the way
   */
  choose(taken: Iterable<Obstacle>): Cidr {
    for (const obstacle of taken) this.#add(obstacle);
    for (const pool of this.#pools) {
      const block = pool.taken.lowestFree(pool.prefix - pool.base.prefix);
      if (block !== undefined) return subnetAt(pool, block);
    }
    throw this.#exhausted();
  }

  #add(obstacle: Obstacle): void {
    const { cidr } = obstacle;
    for (const { base, prefix, taken } of this.#pools) {
      if (!overlaps(base, cidr)) continue;
      taken.add(containsCidr(cidr, base) ? "" : blockOf(base, prefix, cidr));
      this.#remember(obstacle);
    }
  }

  #remember(obstacle: Obstacle): void {
    const smallest = this.#largest.at(-1);
    if (this.#largest.length === named && smallest && smallest.cidr.prefix <= obstacle.cidr.prefix) return;
    const others = this.#largest.filter(({ cidr }) => cidr.text !== obstacle.cidr.text);
    if (others.length < this.#largest.length) return;
    this.#largest = [...others, obstacle].sort((a, b) => a.cidr.prefix - b.cidr.prefix).slice(0, named);
  }

  #exhausted(): TsnetError {
    const { family } = this.#wish;
    const pools = this.#pools.map(({ base, prefix }) => `${base.text} (size ${prefix})`).join(", ");
    const inTheWay = this.#largest.map(({ cidr, by }) => `${cidr.text} (${by})`).join(", ");
    const hint = "remove networks that are not used, give a subnet, or set TSNET_ADDRESS_POOLS";
    return new TsnetError(
      "exhausted",
      `all predefined address pools have been fully subnetted: no IPv${family} subnet is free in ${pools}; ` +
        `in the way, the largest first: ${inTheWay}: ${hint}`,
    );
  }
}

/** The bits by which the subnet of this size that holds `cidr`, or `cidr` itself if it is larger, differs from others of `base`. */
function blockOf(base: Cidr, prefix: number, cidr: Cidr): string {
  const length = Math.min(prefix, cidr.prefix) - base.prefix;
  const bits = base.family === 4 ? 32 : 128;
  const offset = (cidr.base - base.base) >> BigInt(bits - base.prefix - length);
  return length === 0 ? "" : offset.toString(2).padStart(length, "0");
}

function subnetAt({ base, prefix }: { base: Cidr; prefix: number }, block: string): Cidr {
  const bits = base.family === 4 ? 32 : 128;
  return cidrOf(base.family, base.base + (BigInt(`0b0${block}`) << BigInt(bits - prefix)), prefix);
}
