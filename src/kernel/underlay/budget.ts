interface Limits {
  /** After a while without any. */
  readonly atOnce: number;
  /** That come back: in any second, there are as many as both together at most. */
  readonly perSecond: number;
}

/** So many at once, and so many more in each second. */
export class Budget {
  readonly #limits: Limits;
  readonly #now: () => number;
  #left: number;
  #countedAt: number;

  /** @param now milliseconds that only grow */
  constructor(limits: Limits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#left = limits.atOnce;
    this.#countedAt = now();
  }

  get isSpent(): boolean {
    const now = this.#now();
    const { atOnce, perSecond } = this.#limits;
    this.#left = Math.min(atOnce, this.#left + ((now - this.#countedAt) / 1000) * perSecond);
    this.#countedAt = now;
    return this.#left < 1;
  }

  /** One of those that are left. */
  spend(): void {
    this.#left--;
  }
}
