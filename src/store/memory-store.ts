import { TsnetError } from "../errors.ts";
import { Followers } from "./followers.ts";
import {
  assertFits,
  type Change,
  type Condition,
  type Follower,
  type Following,
  formatChange,
  formatCondition,
  holds,
  type Kind,
  parseValue,
  type Row,
  type Store,
} from "./store.ts";

/** A store that lasts as long as the process; for tests. Values are kept as JSON texts, so that it loses what a disk would lose. */
export class MemoryStore implements Store {
  readonly maxChanges: number;
  readonly #texts = new Map<Kind, Map<string, string>>();
  readonly #followers = new Followers();
  #closed = false;

  /** @param maxChanges as small as that of another store, to see whether its users stay below */
  constructor(maxChanges = Number.POSITIVE_INFINITY) {
    this.maxChanges = maxChanges;
  }

  async list(kind: Kind): Promise<ReadonlyMap<string, unknown>> {
    return this.#list(kind);
  }

  async each(kind: Kind, use: (id: string, value: unknown) => void): Promise<void> {
    for (const [id, value] of this.#list(kind)) use(id, value);
  }

  async get(kind: Kind, id: string): Promise<unknown> {
    this.#assertOpen();
    const text = this.#texts.get(kind)?.get(id);
    return text === undefined ? undefined : parseValue(kind, id, text);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    this.#assertOpen();
    assertFits("the store in memory", this.maxChanges, changes);
    this.#apply(changes.map(formatChange));
  }

  async commitIf(changes: readonly Change[], conditions: readonly Condition[]): Promise<boolean> {
    this.#assertOpen();
    assertFits("the store in memory", this.maxChanges, changes, conditions);
    const isMet = conditions.map(formatCondition).every((row) => holds(row, this.#texts.get(row[0])?.get(row[1])));
    if (isMet) this.#apply(changes.map(formatChange));
    return isMet;
  }

  follow(kind: Kind, follower: Follower): Following {
    return this.#followers.add(kind, follower, async (begin) => {
      await null; // as with other stores, nothing is told before the caller has the answer
      begin(this.#list(kind));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#followers.clear();
  }

  #list(kind: Kind): Map<string, unknown> {
    this.#assertOpen();
    const texts = [...(this.#texts.get(kind) ?? [])];
    return new Map(texts.map(([id, text]) => [id, parseValue(kind, id, text)]));
  }

  #apply(rows: readonly Row[]): void {
    for (const [kind, id, text] of rows) {
      const texts = this.#texts.get(kind) ?? new Map<string, string>();
      this.#texts.set(kind, texts);
      if (text === null) texts.delete(id);
      else texts.set(id, text);
    }
    this.#followers.publish(rows);
  }

  #assertOpen(): void {
    if (this.#closed) throw new TsnetError("store", "the store in memory is closed");
  }
}
