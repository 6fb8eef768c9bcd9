import { explain } from "../errors.ts";
import type { Kernel } from "./kernel.ts";
import type { Log } from "./log.ts";

/** How long removed links wait for others, so that all are deleted by one request: recipes G. */
const quietMs = 500;
/** The longest that the first of them waits. */
const longestMs = 3000;

/** Deletes the links that have been taken out of use, soon and together. */
export class Removals {
  readonly #kernel: Kernel;
  readonly #log: Log;
  #timer: NodeJS.Timeout | undefined;
  #firstAt = 0;

  constructor(kernel: Kernel, log: Log) {
    this.#kernel = kernel;
    this.#log = log;
  }

  /** Says that a link waits. */
  schedule(): void {
    const now = performance.now();
    if (this.#timer === undefined) this.#firstAt = now;
    clearTimeout(this.#timer);
    const waitMs = Math.min(quietMs, Math.max(0, this.#firstAt + longestMs - now));
    this.#timer = setTimeout(() => {
      this.flush().catch((error: unknown) =>
        this.#log.error({ error: explain(error) }, "removed links could not be deleted"),
      );
    }, waitMs);
  }

  /** Deletes them now. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#kernel.flushRemovedLinks();
  }
}
