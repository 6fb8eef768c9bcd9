/** Those who follow a store that only this process writes. */
import { type Follower, type Following, type Kind, parseValue, type Row } from "./store.ts";

export class Followers {
  readonly #byKind = new Map<Kind, Set<Follower>>();

  /**
   * Adds one, once the records are read.
   * @param read calls `begin` with the records of the kind, before a commit that is not in them is published
   */
  add(
    kind: Kind,
    follower: Follower,
    read: (begin: (values: ReadonlyMap<string, unknown>) => void) => Promise<void>,
  ): Following {
    let isEnded = false;
    const ready = read((values) => {
      if (isEnded) return;
      this.#of(kind).add(follower);
      follower.reset(values);
    });
    ready.catch(() => {}); // who does not wait for it learns from the next call what is wrong
    const end = async (): Promise<void> => {
      isEnded = true;
      this.#byKind.get(kind)?.delete(follower);
    };
    return { ready, end };
  }

  /** Tells what a commit has done. Costs nothing while nobody follows. */
  publish(rows: readonly Row[]): void {
    if (this.#byKind.size === 0) return;
    for (const [kind, id, text] of rows) {
      for (const follower of this.#byKind.get(kind) ?? []) {
        follower.change(id, text === null ? null : parseValue(kind, id, text));
      }
    }
  }

  /** Nobody is told anything more. */
  clear(): void {
    this.#byKind.clear();
  }

  #of(kind: Kind): Set<Follower> {
    const followers = this.#byKind.get(kind) ?? new Set();
    this.#byKind.set(kind, followers);
    return followers;
  }
}
