import { explain } from "../../errors.ts";
import type { Log } from "../log.ts";
import type { Pool } from "./pool.ts";
import type { Swaps } from "./swaps.ts";

/** So many records are removed at a time. */
const atOnce = 16;

/** Removes records of rests that are over from etcd. */
export class Sweeper {
  readonly #swaps: Swaps;
  readonly #log: Log;
  readonly #sweeping = new Set<Pool>();

  constructor(swaps: Swaps, log: Log) {
    this.#swaps = swaps;
    this.#log = log;
  }

  /** Some of a pool's, unless it is at them already. What fails is tried again another time. */
  async sweep(pool: Pool): Promise<void> {
    if (this.#sweeping.has(pool)) return;
    const lapsed = [...pool.lapsed()].slice(0, atOnce);
    if (lapsed.length === 0) return;
    this.#sweeping.add(pool);
    try {
      for (const offset of lapsed) {
        const isLapsed = [...pool.lapsed()].includes(offset);
        if (isLapsed) await this.#swaps.replace(pool, offset, undefined);
      }
    } catch (error) {
      this.#log.debug({ pool: pool.id, error: explain(error) }, "rests that are over could not be removed yet");
    } finally {
      this.#sweeping.delete(pool);
    }
  }
}
