import type { Log } from "../log.ts";
import type { Pool } from "./pool.ts";

/** From here on a pool is nearly full; it is told once, and again after it was below `calm`. */
const nearlyFull = 0.8;
const calm = 0.7;

/** Says it in time when a pool fills. */
export class UsageWatch {
  readonly #log: Log;
  readonly #told = new WeakSet<Pool>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** To be called after each change of a pool. */
  look(pool: Pool): void {
    const { usage } = pool;
    if (usage < calm) this.#told.delete(pool);
    if (usage < nearlyFull || this.#told.has(pool)) return;
    this.#told.add(pool);
    const { id, size, network } = pool;
    const fields = { pool: id, network, size: String(size), percent: Math.floor(usage * 100) };
    this.#log.warn(
      fields,
      "a pool is nearly full: remove containers, or make the network with a larger subnet or IP range",
    );
  }
}
