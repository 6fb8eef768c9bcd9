import { explain } from "../errors.ts";
import type { Repair } from "../plan/reconcile.ts";
import type { Log } from "./log.ts";

/** What repairs are counted by. */
export type RepairKind = Repair["kind"] | "firewall" | "forward" | "removals" | "ports";

/** How often something of a kind was repaired since the start, and when last: milliseconds since 1970. */
export interface RepairCount {
  readonly count: number;
  readonly lastAt: number;
}

/** What had to be repaired since the start: each is counted, and told in the log. */
export class Repairs {
  readonly #log: Log;
  readonly #counts = new Map<RepairKind, RepairCount>();
  #failures = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  byKind(): Readonly<Record<string, RepairCount>> {
    return Object.fromEntries(this.#counts);
  }

  /** How many attempts have failed since the start. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * What fails is told; whoever compares tries again.
   * @param work says whether there was something to do
   * @returns whether it failed
   */
  async attempt(kind: RepairKind, what: string, work: () => Promise<boolean>): Promise<boolean> {
    try {
      if (await work()) this.count(kind, what);
      return false;
    } catch (error) {
      this.#failures++;
      this.#log.error({ error: explain(error) }, `could not be repaired: ${what}`);
      return true;
    }
  }

  count(kind: RepairKind, what: string): void {
    const count = (this.#counts.get(kind)?.count ?? 0) + 1;
    this.#counts.set(kind, { count, lastAt: Date.now() });
    this.#log.warn({ kind, count }, `repaired: ${what}`);
  }
}
