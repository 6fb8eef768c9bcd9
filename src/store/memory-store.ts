import { TsnetError } from "../errors.ts";
import { type Change, formatChange, type Kind, parseValue, type Store } from "./store.ts";

/** A store that lasts as long as the process; for tests. Values are kept as JSON texts, so that it loses what a disk would lose. */
export class MemoryStore implements Store {
  readonly #texts = new Map<Kind, Map<string, string>>();
  #closed = false;

  async list(kind: Kind): Promise<ReadonlyMap<string, unknown>> {
    this.#assertOpen();
    const texts = [...(this.#texts.get(kind) ?? [])];
    return new Map(texts.map(([id, text]) => [id, parseValue(kind, id, text)]));
  }

  async commit(changes: readonly Change[]): Promise<void> {
    this.#assertOpen();
    for (const [kind, id, text] of changes.map(formatChange)) {
      const texts = this.#texts.get(kind) ?? new Map<string, string>();
      this.#texts.set(kind, texts);
      if (text === null) texts.delete(id);
      else texts.set(id, text);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #assertOpen(): void {
    if (this.#closed) throw new TsnetError("store", "the store in memory is closed");
  }
}
