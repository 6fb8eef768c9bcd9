/** The other hosts that this one has heard of, on its own disk: after a restart, an etcd that has lost them is known to have. */
import { z } from "zod";
import { explain } from "../../errors.ts";
import type { Log } from "../log.ts";
import type { RecordChange, Records } from "../records.ts";

const shape = z.object({
  host: z.string(),
  name: z.string(),
  /** After how long a silence it wants to be forgotten. */
  ttlMs: z.number().optional(),
  /** Its last sign of life, by its own clock and by this host's: milliseconds since 1970. */
  seenMs: z.number(),
  aliveMs: z.number(),
  /** Since when etcd is known to have lost something of it: milliseconds since 1970. */
  awaitedMs: z.number().optional(),
});

/** By its tunnel address. */
export type RememberedHosts = ReadonlyMap<string, Readonly<z.infer<typeof shape>>>;

export interface HostMemoryNeeds {
  readonly disk: Pick<Records, "list" | "commit">;
  /** What is to be remembered. */
  readonly hosts: () => RememberedHosts;
  readonly log: Log;
  /** How often signs of life are written, and what could not be; another one, for tests. */
  readonly rememberMs?: number;
}

/** Less than it takes the position in etcd to be written after a loss (etcd-position.ts). */
const usualRememberMs = 30_000;

export class HostMemory {
  readonly #needs: HostMemoryNeeds;
  /** JSON texts, as they are on the disk. */
  #written = new Map<string, string>();
  #interval: NodeJS.Timeout | undefined;
  #isDue = false;
  #isTroubled = false;
  #isClosed = false;
  #running: Promise<void> | undefined;

  constructor(needs: HostMemoryNeeds) {
    this.#needs = needs;
  }

  /**
   * Reads what an earlier process has remembered. What cannot be read is nothing, and replaced.
   * @param recall is given it, before anything is written
   */
  async restore(recall: (hosts: RememberedHosts) => void): Promise<void> {
    const found = await this.#needs.disk.list("vtep").catch((error: unknown) => {
      this.#warn(error);
      return new Map<string, unknown>();
    });
    this.#written = new Map([...found].map(([address, value]) => [address, JSON.stringify(value)]));
    const hosts = [...found].flatMap(([address, value]) => {
      const { data } = shape.safeParse(value);
      return data === undefined ? [] : [[address, data] as const];
    });
    recall(new Map(hosts));
    if (!this.#isClosed)
      this.#interval = setInterval(() => this.update(), this.#needs.rememberMs ?? usualRememberMs).unref();
  }

  /** Something may have changed: it is written soon. */
  update(): void {
    if (this.#isClosed) return;
    this.#isDue = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Waits until all is written, and writes no more. */
  async close(): Promise<void> {
    this.update();
    this.#isClosed = true;
    clearInterval(this.#interval);
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isDue) {
      await null; // what comes in this turn is written together
      this.#isDue = false;
      await this.#write().catch((error: unknown) => this.#warn(error));
    }
  }

  async #write(): Promise<void> {
    const hosts = this.#needs.hosts();
    const wanted = new Map([...hosts].map(([address, value]) => [address, JSON.stringify(value)]));
    const gone = [...this.#written.keys()].filter((id) => !wanted.has(id));
    const other = [...hosts].filter(([id]) => wanted.get(id) !== this.#written.get(id));
    const changes: RecordChange[] = [
      ...gone.map((id) => ({ remove: "vtep", id }) as const),
      ...other.map(([id, value]) => ({ put: "vtep", id, value }) as const),
    ];
    if (changes.length > 0) await this.#needs.disk.commit(changes);
    this.#written = wanted;
    this.#isTroubled = false;
  }

  #warn(error: unknown): void {
    if (this.#isTroubled) return;
    this.#isTroubled = true;
    this.#needs.log.warn({ error: explain(error) }, "the other hosts cannot be remembered on this host's disk");
  }
}
