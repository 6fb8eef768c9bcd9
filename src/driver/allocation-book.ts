/** What a manager of a swarm has said of the swarm's networks, and why it could not say anything: in memory, and recorded. */
import { z } from "zod";
import { explain } from "../errors.ts";
import { parseCidr } from "../net/cidr.ts";
import { largestVni } from "../net/vni.ts";
import type { Log } from "./log.ts";
import { parseRecord, textFor } from "./parse-record.ts";
import type { Records } from "./records.ts";

const failureShape = z.object({
  text: z.string(),
  /** Whether the network can only be removed and made anew: its options are wrong, and cannot be changed. */
  isFinal: z.boolean(),
  /** Milliseconds since 1970. */
  sinceMs: z.number(),
});

const shape = z.object({
  /** null for one that there is not. */
  mode: z.enum(["bridge", "macvlan", "ipvlan", "overlay"]).nullable(),
  /** "10.5.0.0/24" */
  subnets: z.array(textFor(parseCidr)),
  /** The one that was answered; null where none was, and in other modes than overlay. */
  vni: z.number().int().min(1).max(largestVni).nullable(),
  failure: failureShape.nullable(),
});

/** One of the swarm's networks. */
export type Allocation = Readonly<z.infer<typeof shape>>;

export type AllocationFailure = Readonly<z.infer<typeof failureShape>>;

export class AllocationBook {
  readonly #records: Pick<Records, "list" | "commit">;
  readonly #log: Log;
  readonly #allocations = new Map<string, Allocation>();

  constructor(records: Pick<Records, "list" | "commit">, log: Log) {
    this.#records = records;
    this.#log = log;
  }

  /**
   * Reads all records. One that cannot be understood is removed: the swarm itself has what was answered, and says it when it asks again.
   * @throws TsnetError "store"
   */
  async restore(): Promise<void> {
    for (const [id, value] of await this.#records.list("allocation")) {
      try {
        this.#allocations.set(id, parseRecord("allocation", id, shape, value));
      } catch (error) {
        this.#log.warn({ network: id, error: explain(error) }, "what was said of a network of the swarm is forgotten");
        await this.#records.commit([{ remove: "allocation", id }]);
      }
    }
  }

  get(id: string): Allocation | undefined {
    return this.#allocations.get(id);
  }

  all(): Iterable<[id: string, allocation: Allocation]> {
    return this.#allocations;
  }

  get size(): number {
    return this.#allocations.size;
  }

  /**
   * Records one, and forgets others, in one step. The same again is nothing to do.
   * @throws TsnetError "store"; then nothing was changed
   */
  async save(id: string, allocation: Allocation, gone: readonly string[] = []): Promise<void> {
    const isSame = JSON.stringify(this.#allocations.get(id)) === JSON.stringify(allocation);
    if (isSame && gone.length === 0) return;
    const removed = gone.map((other) => ({ remove: "allocation", id: other }) as const);
    await this.#records.commit([...removed, { put: "allocation", id, value: allocation }]);
    for (const other of gone) this.#allocations.delete(other);
    this.#allocations.set(id, allocation);
  }

  /** Shows one that could not be recorded, until the end of this process. */
  show(id: string, allocation: Allocation): void {
    this.#allocations.set(id, allocation);
  }

  /** Unknown ones are success. @throws TsnetError "store" */
  async forget(ids: readonly string[]): Promise<void> {
    const known = ids.filter((id) => this.#allocations.has(id));
    if (known.length === 0) return;
    await this.#records.commit(known.map((id) => ({ remove: "allocation", id })));
    for (const id of known) this.#allocations.delete(id);
  }
}
