import { setImmediate } from "node:timers/promises";

/** Does one thing after the other: at once where none is under way. */
export class Backlog {
  #waiting: (() => void | Promise<void>)[] | undefined;

  /** @param work must not throw */
  add(work: () => void | Promise<void>): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(work);
      return;
    }
    const pending = work();
    if (pending === undefined) return;
    this.#waiting = [];
    void this.#workOff(pending);
  }

  async #workOff(pending: Promise<void>): Promise<void> {
    await pending;
    for (let next = this.#waiting?.shift(); next !== undefined; next = this.#waiting?.shift()) await next();
    this.#waiting = undefined;
  }
}

/** Cuts something long into parts, and gives the event loop back after each. */
export async function inTurns<T>(items: Iterable<T>, size: number, work: (part: T[]) => void): Promise<void> {
  let part: T[] = [];
  for (const item of items) {
    part.push(item);
    if (part.length < size) continue;
    work(part);
    part = [];
    await setImmediate();
  }
  if (part.length > 0) work(part);
}
