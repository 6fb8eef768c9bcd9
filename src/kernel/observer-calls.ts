import type { ObservedCounter, ObservedForward, ObservedLink } from "../plan/observed.ts";
import { observeForwardAndUsers } from "./forward.ts";
import { Rtnetlink } from "./netlink/rtnetlink.ts";
import { NftTable } from "./nft-table.ts";
import { observeSandboxLinks } from "./sandbox-links.ts";
import { countTranslated } from "./translated-flows.ts";

/** So many elements are handed over at a time: the main thread takes them in within a millisecond. */
const partSize = 500;

/** Some of what was read: elements of a set or map, or links. */
export interface Part<Value> {
  readonly set: string;
  readonly entries: readonly (readonly [key: string, value: Value])[];
}

/** What the observer's thread does for the main thread: it reads all at once, and hands it over in parts. */
export class ObserverCalls {
  readonly #table = new NftTable();
  #parts: Iterator<Part<unknown>> = [].values();

  /** Reads the table; its elements follow. @returns its skeleton; undefined if there is no table */
  readFirewall(): string | undefined {
    const observed = this.#table.observe();
    this.#parts = partsOf(observed?.elements ?? {});
    return observed?.skeleton;
  }

  /** Reads the counters of all elements; they follow. */
  readCounters(): void {
    this.#parts = partsOf<ObservedCounter>(this.#table.observeCounters());
  }

  /** Reads all links of the host's namespace, by name; they follow. */
  readLinks(): void {
    const rtnetlink = new Rtnetlink();
    try {
      const links = rtnetlink.listLinks().map((link) => [link.name, link] as const);
      this.#parts = partsOfSet<ObservedLink>("links", links);
    } finally {
      rtnetlink.close();
    }
  }

  /** Reads the links of ours in these network namespaces, by path; those that are none are left out. They follow. */
  readSandboxes(paths: readonly string[]): void {
    const found = paths.flatMap((path) => {
      const links = observeSandboxLinks(path);
      return links === null ? [] : [[path, links] as const];
    });
    this.#parts = partsOfSet<readonly ObservedLink[]>("sandboxes", found);
  }

  /** Counts the translated flows in these network namespaces, by path; those that are none are left out. They follow. */
  readTranslated(paths: readonly string[]): void {
    const found = paths.flatMap((path) => {
      const counts = countTranslated(path);
      return counts === null ? [] : [[path, counts] as const];
    });
    this.#parts = partsOf<number>(Object.fromEntries(found));
  }

  /** The next part of what was read; undefined at the end. */
  nextPart(): Part<unknown> | undefined {
    const { value, done } = this.#parts.next();
    return done ? undefined : value;
  }

  readForward(): Promise<ObservedForward> {
    return observeForwardAndUsers();
  }

  close(): void {
    this.#table.close();
  }
}

function* partsOf<Value>(sets: Readonly<Record<string, Readonly<Record<string, Value>>>>): Generator<Part<Value>> {
  for (const [set, content] of Object.entries(sets)) yield* partsOfSet(set, Object.entries(content));
}

/** A set without elements has one part. */
function* partsOfSet<Value>(set: string, entries: Part<Value>["entries"]): Generator<Part<Value>> {
  for (let at = 0; at === 0 || at < entries.length; at += partSize) {
    yield { set, entries: entries.slice(at, at + partSize) };
  }
}
