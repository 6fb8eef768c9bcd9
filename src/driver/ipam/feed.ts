/** What keeps the mirror up to date: etcd's watch, and what this host reads and writes itself. */
import { setImmediate } from "node:timers/promises";
import { recordsPerTurn } from "../parse-record.ts";
import type { Follower, SharedRecords } from "../records.ts";
import type { Mirror } from "./mirror.ts";
import type { Holdings } from "./recovery.ts";
import { sharedSpace } from "./shared-record.ts";

type MirroredKind = "pool" | "lease";

/** A read or a commit of one record that is under way, and what the watch has told of the record meanwhile. */
export interface Flight {
  readonly id: string;
  /** The JSON text that a commit puts; undefined for a read. */
  readonly text: string | undefined;
  /** Whether anything was told of it. */
  isTouched: boolean;
  /** Whether the watch has come to just this text, or past it: what it tells is newer than the commit. */
  isPast: boolean;
}

export class Feed {
  readonly #records: SharedRecords;
  readonly #mirror: Mirror;
  /** Is called each time that etcd can be reached again; if it has lost what it had, with what this host had before. */
  readonly #onReset: (before?: Holdings) => void;
  /** What this host had before the reset that is being worked on. */
  #before: Holdings | undefined;
  readonly #flights = new Map<string, Set<Flight>>();
  /** What was told since each listing under way has begun. */
  readonly #listings = new Set<Set<string>>();
  /** What waits for a reset that is being worked on; undefined if none is. */
  #backlog: (() => void | Promise<void>)[] | undefined;
  #follows: { readonly ready: Promise<void>; readonly end: () => Promise<void> }[] = [];
  readonly #missing = new Set<MirroredKind>(["pool", "lease"]);
  readonly #first = Promise.withResolvers<void>();

  constructor(records: SharedRecords, mirror: Mirror, onReset: (before?: Holdings) => void) {
    this.#records = records;
    this.#mirror = mirror;
    this.#onReset = onReset;
  }

  /**
   * Waits until the mirror has all that there is, for the first time: that may take for ever.
   * @throws TsnetError "store", why etcd cannot be read
   */
  async heard(): Promise<void> {
    if (this.isReady) return;
    await this.#records.get("space", sharedSpace);
    await this.#first.promise;
  }

  get isReady(): boolean {
    return this.#missing.size === 0;
  }

  start(): void {
    for (const kind of ["pool", "lease"] as const) this.#follows.push(this.#records.follow(kind, this.#follower(kind)));
    // The first request tells what is wrong.
    for (const { ready } of this.#follows) ready.catch(() => {});
  }

  async close(): Promise<void> {
    await Promise.all(this.#follows.map(({ end }) => end()));
  }

  /** Begins to note what is told of a record. */
  begin(id: string, value?: object): Flight {
    const flight = { id, text: value && JSON.stringify(value), isTouched: false, isPast: false };
    const others = this.#flights.get(id);
    if (others === undefined) this.#flights.set(id, new Set([flight]));
    else others.add(flight);
    return flight;
  }

  end(flight: Flight): void {
    const flights = this.#flights.get(flight.id);
    flights?.delete(flight);
    if (flights?.size === 0) this.#flights.delete(flight.id);
  }

  /**
   * Reads one record. What the watch tells meanwhile may be newer, and stays.
   * @returns false if it stays: it may be older as well
   */
  async refresh(kind: MirroredKind, id: string): Promise<boolean> {
    const flight = this.begin(id);
    try {
      const value = await this.#records.get(kind, id);
      if (!flight.isTouched) this.#mirror.put(kind, id, value ?? null);
      return !flight.isTouched;
    } finally {
      this.end(flight);
    }
  }

  /** Reads all leases of some pools; @see refresh. */
  async refreshLeases(poolIds: ReadonlySet<string>): Promise<boolean> {
    const touched = new Set<string>();
    this.#listings.add(touched);
    try {
      const leases = await this.#records.list("lease");
      const ours = [...leases].filter(([, value]) => poolIds.has((value as { pool?: string } | null)?.pool ?? ""));
      const known = [...poolIds].flatMap((id) => this.#mirror.pool(id) ?? []);
      const gone = known.flatMap(({ pool }) => this.#mirror.leaseIds(pool)).filter((id) => !leases.has(id));
      const left = new Set<string>();
      await this.#inTurns([...gone.map((id) => [id, null] as const), ...ours], ([id, value]) => {
        if (touched.has(id)) left.add(id);
        else if (!this.#isPutting(id)) this.#mirror.put("lease", id, value);
      });
      const read = await Promise.all([...left].map((id) => this.refresh("lease", id)));
      return !read.includes(false);
    } finally {
      this.#listings.delete(touched);
    }
  }

  #isPutting(id: string): boolean {
    return [...(this.#flights.get(id) ?? [])].some(({ text }) => text !== undefined);
  }

  #follower(kind: MirroredKind): Follower {
    return {
      reset: (values, hasLost = false) => this.#queue(() => this.#reset(kind, values, hasLost)),
      change: (id, value) => this.#queue(() => this.#change(kind, id, value)),
    };
  }

  /** In the order in which it is told; a reset takes many turns. */
  #queue(work: () => void | Promise<void>): void {
    if (this.#backlog !== undefined) {
      this.#backlog.push(work);
      return;
    }
    const pending = work();
    if (pending === undefined) return;
    this.#backlog = [];
    void this.#workOff(pending);
  }

  async #workOff(pending: Promise<void>): Promise<void> {
    await pending;
    for (let next = this.#backlog?.shift(); next !== undefined; next = this.#backlog?.shift()) await next();
    this.#backlog = undefined;
  }

  #change(kind: MirroredKind, id: string, value: unknown): void {
    this.#note(id, value);
    this.#mirror.put(kind, id, value);
  }

  async #reset(kind: MirroredKind, values: ReadonlyMap<string, unknown>, hasLost: boolean): Promise<void> {
    if (hasLost) this.#before ??= this.#mirror.holdings();
    const gone = this.#mirror.ids(kind).filter((id) => !values.has(id));
    // Whether what is under way is in the values cannot be told; if it is not, the watch tells of it.
    for (const flights of this.#flights.values()) for (const flight of flights) flight.isPast = flight.isTouched = true;
    await this.#inTurns([...gone.map((id) => [id, null] as const), ...values], ([id, value]) => {
      this.#change(kind, id, value);
    });
    this.#missing.delete(kind);
    if (!this.isReady) return;
    this.#first.resolve();
    if (kind !== "lease") return;
    const before = this.#before;
    this.#before = undefined;
    this.#onReset(before);
  }

  #note(id: string, value: unknown): void {
    for (const touched of this.#listings) touched.add(id);
    for (const flight of this.#flights.get(id) ?? []) {
      flight.isTouched = true;
      if (flight.text !== undefined && flight.text === JSON.stringify(value)) flight.isPast = true;
    }
  }

  async #inTurns<T>(items: readonly T[], work: (item: T) => void): Promise<void> {
    for (const [index, item] of items.entries()) {
      work(item);
      if ((index + 1) % recordsPerTurn === 0) await setImmediate();
    }
  }
}
