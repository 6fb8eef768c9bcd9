import { setImmediate } from "node:timers/promises";

/** How long a report works at a time. */
const turnMs = 2;

/** A turn of the event loop, which belongs to Docker's requests: a report gives it back after a while. */
export class Turn {
  #endsAt = performance.now() + turnMs;

  get isOver(): boolean {
    return performance.now() >= this.#endsAt;
  }

  async next(): Promise<void> {
    await setImmediate();
    this.#endsAt = performance.now() + turnMs;
  }
}
