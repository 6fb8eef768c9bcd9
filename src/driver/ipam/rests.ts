/** Released addresses of a pool that are kept from others for a while. */
import type { Lease } from "./lease.ts";
import type { PoolOptions } from "./pool-options.ts";

/** For whom a released address is kept; null if it is for nobody. */
export const keeperOf = ({ role, identity }: Lease, { sticky }: PoolOptions): string | null =>
  sticky && role === "endpoint" ? identity : null;

/** How long an address rests when it is released; 0 for not at all. */
export function restMsOf(lease: Lease, options: PoolOptions): number {
  if (lease.role !== "endpoint") return 0;
  return keeperOf(lease, options) === null ? options.quarantineMs : options.stickyTtlMs;
}

interface Rest {
  readonly offset: bigint;
  readonly lease: Lease;
  /** Milliseconds since 1970: that of the lease, or before, where the clock was set back. */
  readonly endMs: number;
}

/** A binary heap: the rest that ends first is at the top. What has ended otherwise stays in until it comes up, or is in the way. */
class RestQueue {
  readonly #isCurrent: (rest: Rest) => boolean;
  #heap: Rest[] = [];
  /** Number of rests at which those that have ended are thrown out. */
  #limit = 64;

  constructor(isCurrent: (rest: Rest) => boolean) {
    this.#isCurrent = isCurrent;
  }

  /** The one that ends first. */
  get first(): Rest | undefined {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (this.#isCurrent(first)) return first;
      this.#removeFirst();
    }
    return undefined;
  }

  add(rest: Rest): void {
    if (this.#heap.length >= this.#limit) {
      this.#fill(this.#heap.filter(this.#isCurrent));
      this.#limit = Math.max(64, 2 * this.#heap.length);
    }
    let place = this.#heap.length;
    for (let above = (place - 1) >> 1; place > 0 && isBefore(rest, this.#heap[above]); above = (place - 1) >> 1) {
      this.#heap[place] = this.#heap[above] as Rest;
      place = above;
    }
    this.#heap[place] = rest;
  }

  /** Lets none go on for longer than this. */
  shorten(latestOf: (lease: Lease) => number): void {
    if (!this.#heap.some(({ lease, endMs }) => endMs > latestOf(lease))) return;
    this.#fill(this.#heap.map((rest) => ({ ...rest, endMs: Math.min(rest.endMs, latestOf(rest.lease)) })));
  }

  #fill(rests: Rest[]): void {
    this.#heap = rests.sort((a, b) => (isBefore(a, b) ? -1 : 1));
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      const below = isBefore(this.#heap[left + 1], this.#heap[left]) ? left + 1 : left;
      if (!isBefore(this.#heap[below], last)) break;
      this.#heap[place] = this.#heap[below] as Rest;
      place = below;
    }
    this.#heap[place] = last;
  }
}

const endOf = (rest: Rest | undefined): number => rest?.endMs ?? Number.POSITIVE_INFINITY;

/** Of two that end together, the lower address comes first. */
function isBefore(a: Rest | undefined, b: Rest | undefined): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return endOf(a) === endOf(b) ? a.offset < b.offset : endOf(a) < endOf(b);
}

/** How a released address is kept: for whom it was, who else gets it once nothing is free, or from everybody. */
export type RestKind = "yielding" | "strict" | "outside";

export interface RestsOptions {
  /** Whether this is how the offset still is. */
  readonly isCurrent: (offset: bigint, lease: Lease) => boolean;
  /** How long one rests that is released now. */
  readonly longestMs: (lease: Lease) => number;
}

/** @see Pool, whose leases these are */
export class Rests {
  readonly #queues: Readonly<Record<RestKind, RestQueue>>;
  /** Resting addresses by identity; mostly one. */
  readonly #kept = new Map<string, bigint | readonly bigint[]>();

  /** What time it was last; before that, any clock may have made the rests. */
  #clockMs = Number.POSITIVE_INFINITY;
  readonly #longestMs: (lease: Lease) => number;

  constructor({ isCurrent, longestMs }: RestsOptions) {
    this.#longestMs = longestMs;
    const queue = () => new RestQueue(({ offset, lease }) => isCurrent(offset, lease));
    this.#queues = { yielding: queue(), strict: queue(), outside: queue() };
  }

  /** @param keptFor identity that gets it back */
  add(offset: bigint, lease: Lease, kind: RestKind, keptFor: string | null): void {
    this.#queues[kind].add({ offset, lease, endMs: lease.restsUntilMs ?? Number.POSITIVE_INFINITY });
    if (keptFor === null) return;
    const others = this.keptFor(keptFor);
    this.#kept.set(keptFor, others.length === 0 ? offset : [...others, offset]);
  }

  /** Forgets for whom an offset was kept. */
  remove(offset: bigint, keptFor: string | null): void {
    if (keptFor === null) return;
    const [first, ...more] = this.keptFor(keptFor).filter((other) => other !== offset);
    if (first === undefined) this.#kept.delete(keptFor);
    else this.#kept.set(keptFor, more.length === 0 ? first : [first, ...more]);
  }

  /** The offsets that rest for this identity. */
  keptFor(identity: string): readonly bigint[] {
    const kept = this.#kept.get(identity);
    if (kept === undefined) return [];
    return typeof kept === "bigint" ? [kept] : kept;
  }

  /** Of a kind, the rest that ends first. */
  first(kind: RestKind): Rest | undefined {
    return this.#queues[kind].first;
  }

  /** A rest that has ended by now; undefined if there is none. When the clock was set back, none goes on for longer than usual. */
  ended(nowMs: number): bigint | undefined {
    if (nowMs < this.#clockMs) {
      for (const queue of Object.values(this.#queues)) queue.shorten((lease) => nowMs + this.#longestMs(lease));
    }
    this.#clockMs = nowMs;
    for (const { first } of Object.values(this.#queues)) if (endOf(first) <= nowMs) return first?.offset;
    return undefined;
  }
}
