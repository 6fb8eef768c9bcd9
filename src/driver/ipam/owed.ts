/**
 * Releases that etcd has yet to hear of. Docker asks once, and forgets: what it gave back is noted on this host's disk first, and
 * removed from there when etcd has taken it.
 */
import { z } from "zod";
import { explain } from "../../errors.ts";
import type { Log } from "../log.ts";
import { parseRecord } from "../parse-record.ts";
import type { Records } from "../records.ts";
import { isLasting } from "./attempts.ts";

const shape = z.object({
  what: z.enum(["address", "pool"]),
  /** Of the record of the lease, "tsnet-shared/10.5.0.2", or of the pool. */
  id: z.string(),
  /** What it was held by; null where that was not known. Then it is what this host held at that time. */
  grant: z.string().nullable(),
  /** When it was given back: milliseconds since 1970. */
  atMs: z.number(),
});

/** One release. */
export type OwedRelease = Readonly<z.infer<typeof shape>>;

export interface OwedNeeds {
  /** Of this host. */
  readonly records: Records;
  /** Does it in etcd. @throws TsnetError "store" */
  readonly settle: (owed: OwedRelease) => Promise<unknown>;
  readonly log: Log;
}

/** How long it waits after a failure, unless etcd says that it is back: twice as long each time. */
const shortestRetryMs = 5_000;
const longestRetryMs = 300_000;

export class Owed {
  readonly #needs: OwedNeeds;
  readonly #entries = new Map<string, OwedRelease>();
  readonly #after = new Map<string, Promise<unknown>>();
  #retrying: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = shortestRetryMs;
  /** By key: what has been said to be late. */
  readonly #told = new Set<string>();
  #isClosed = false;

  constructor(needs: OwedNeeds) {
    this.#needs = needs;
  }

  /** @throws TsnetError "store", which names the record that cannot be understood */
  async restore(): Promise<void> {
    for (const [key, value] of await this.#needs.records.list("owed")) {
      this.#entries.set(key, parseRecord("owed", key, shape, value));
    }
  }

  /** The release of a pool or an address that is still owed. */
  of(id: string): OwedRelease | undefined {
    for (const owed of this.#entries.values()) if (owed.id === id) return owed;
    return undefined;
  }

  /**
   * Notes releases durably.
   * @param after what must have come to its end before they are settled
   */
  async add(owed: readonly OwedRelease[], after?: Promise<unknown>): Promise<void> {
    if (owed.length === 0) return;
    if (after) for (const one of owed) this.#after.set(keyOf(one), after);
    await this.#needs.records.commit(owed.map((value) => ({ put: "owed", id: keyOf(value), value })));
    for (const one of owed) this.#entries.set(keyOf(one), one);
  }

  /** @throws TsnetError "store" if etcd could not be reached: it is tried again later */
  async settle(owed: OwedRelease): Promise<void> {
    try {
      await this.#after.get(keyOf(owed));
      await this.#needs.settle(owed);
    } catch (error) {
      this.#retryLater();
      throw error;
    }
    this.#retryMs = shortestRetryMs;
    this.#after.delete(keyOf(owed));
    this.#told.delete(keyOf(owed));
    this.#entries.delete(keyOf(owed));
    // Once more is no harm: what is given back stays so.
    this.#needs.records.commit([{ remove: "owed", id: keyOf(owed) }]).catch((error: unknown) => {
      this.#needs.log.warn({ error: explain(error) }, "a release that is done could not be crossed out");
    });
  }

  /** Says, once, that a release is late. */
  tell(owed: OwedRelease, error: unknown): void {
    if (this.#told.has(keyOf(owed))) return;
    this.#told.add(keyOf(owed));
    this.#needs.log.warn({ id: owed.id, error: explain(error) }, "what was given back still has to reach etcd");
  }

  /** Settles all that is owed, as far as etcd can be reached. */
  retry(): Promise<void> {
    this.#retryMs = shortestRetryMs;
    return this.#retry();
  }

  async #retry(): Promise<void> {
    if (this.#isClosed || this.#entries.size === 0) return;
    this.#retrying ??= this.#settleAll().finally(() => {
      this.#retrying = undefined;
    });
    await this.#retrying;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#retrying;
  }

  async #settleAll(): Promise<void> {
    for (const owed of this.#entries.values()) {
      if (this.#isClosed) return;
      try {
        await this.settle(owed);
      } catch (error) {
        this.tell(owed, error);
        // The others would only wait as long.
        if (!isLasting(error)) return;
      }
    }
  }

  #retryLater(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#retryMs = Math.min(2 * this.#retryMs, longestRetryMs);
      void this.#retry();
    }, this.#retryMs).unref();
  }
}

const keyOf = ({ id, grant }: OwedRelease): string => (grant === null ? id : `${id} ${grant}`);
