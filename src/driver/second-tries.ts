import type { Part } from "./reconciler-parts.ts";

/**
 * When parts are compared again whose repair has failed: soon, since a program that holds a lock, or changes the same rules, is often
 * done a moment later; each time after twice as long, and not at all where the regular comparison is sooner.
 */
export class SecondTries {
  readonly #firstMs: number;
  readonly #beforeMs: number;
  readonly #failed = new Set<Part>();
  #waitMs: number;

  /** @param beforeMs how often everything is compared anyway */
  constructor(firstMs: number, beforeMs: number) {
    this.#firstMs = firstMs;
    this.#beforeMs = beforeMs;
    this.#waitMs = firstMs;
  }

  /** What is to be compared again: all that has failed, and not been repaired since. */
  get failed(): ReadonlySet<Part> {
    return this.#failed;
  }

  /** A comparison has ended. @returns after how many milliseconds `failed` is to be compared; undefined for no time of its own */
  after(parts: ReadonlySet<Part>, hasFailed: boolean): number | undefined {
    if (hasFailed) {
      for (const part of parts) this.#failed.add(part);
      const waitMs = this.#waitMs;
      if (waitMs >= this.#beforeMs) return undefined;
      this.#waitMs = waitMs * 2;
      return waitMs;
    }
    if ([...this.#failed].every((part) => parts.has(part))) {
      this.#failed.clear();
      this.#waitMs = this.#firstMs;
    }
    return undefined;
  }
}
