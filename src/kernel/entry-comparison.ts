import { describeEntry, type Entry } from "../plan/places.ts";
import {
  decodeEntry,
  type EntryIndex,
  isAsWanted,
  isSet,
  keyOf,
  type Table,
  tableOf,
  type Wanted,
  type Where,
} from "./entry-index.ts";
import { ntf } from "./netlink/constants.ts";
import { deletionOf, EntryMessage } from "./netlink/entry-message.ts";

/** Something that is not as it should be. */
export interface Difference {
  readonly reason: string;
  /** What is there and should not be; null for nothing, or where what is put replaces it. */
  readonly remove: (Pick<Wanted, "table" | "key"> & { readonly deletion: ReturnType<typeof deletionOf> }) | null;
  /** What is to be there; null for nothing. */
  readonly put: Wanted | null;
}

interface Found {
  readonly table: Table;
  readonly key: string;
  readonly text: string;
  readonly deletion: ReturnType<typeof deletionOf>;
}

/** Numbers comparisons: each marks what it has seen. */
let lastRun = 0;

/** What the kernel has, shown message by message, against what is wanted. What is changed meanwhile is left out. */
export class Comparison {
  readonly #index: EntryIndex;
  readonly #where: Where;
  /** By table, as one may be shown again from its beginning. */
  readonly #runs = new Map<Table, number>();
  readonly #message = new EntryMessage();
  #wrong: Found[] = [];

  constructor(index: EntryIndex, where: Where) {
    this.#index = index;
    this.#where = where;
    index.noteTouched();
  }

  /** From here on all that is in these tables is shown. */
  begin(tables: readonly Table[]): void {
    lastRun += 1;
    for (const table of tables) this.#runs.set(table, lastRun);
    this.#wrong = this.#wrong.filter(({ table }) => !tables.includes(table));
  }

  see(payload: Buffer): void {
    const message = this.#message;
    message.read(payload);
    const table = tableOf(message, this.#where);
    if (table === undefined || !isSet(table, message)) return;
    const key = keyOf(table, message);
    const wanted = this.#index.get(table, key);
    if (wanted && isAsWanted(wanted, message, this.#where)) wanted.seenIn = this.#runs.get(table) ?? 0;
    else this.#wrong.push({ table, key, text: this.#describe(table, message), deletion: deletionOf(payload) });
  }

  /** @returns what differs, when all was shown */
  end(): Difference[] {
    const wrong = this.#wrong.filter((one) => !this.#index.isTouched(one));
    const found = new Set(wrong.map(({ table, key }) => `${table} ${key}`));
    const missing = [...this.#runs].flatMap(([table, run]) => [...this.#missing(table, run)]);
    return [
      ...wrong.map((one) => this.#difference(one)),
      ...missing.filter(({ table, key }) => !found.has(`${table} ${key}`)).map(lack),
    ];
  }

  /** A MAC address is on the bridge once, and a neighbor as well: what is put replaces it. A tunnel entry may lead to several hosts. */
  #difference({ table, key, text, deletion }: Found): Difference {
    const put = this.#index.get(table, key) ?? null;
    const isExtra = put === null || put.seenIn === this.#runs.get(table);
    const isReplaced = put !== null && (table === "bridge" || table === "neighbor");
    return {
      reason: isExtra ? `${text} is nobody's` : `${text} should be ${describeEntry(decodeEntry(put))}`,
      remove: isReplaced ? null : { table, key, deletion },
      put,
    };
  }

  /** The port of a container that has just ended is gone with its entry. */
  *#missing(table: Table, run: number): Generator<Wanted> {
    for (const wanted of this.#index.all(table)) {
      if (wanted.seenIn === run || this.#index.isTouched(wanted)) continue;
      if (table !== "bridge" || this.#where.port(wanted.value) !== undefined) yield wanted;
    }
  }

  #describe(table: Table, message: EntryMessage): string {
    const { mac, address, link, flags, isOdd } = message;
    const text = describeEntry(this.#entryOf(table, { mac, address, link }));
    if (table === "bridge" && (flags & ntf.sticky) === 0) return `${text}, which is not sticky,`;
    return isOdd ? `${text}, by a way of its own,` : text;
  }

  #entryOf(table: Table, { mac, address, link }: Pick<EntryMessage, "mac" | "address" | "link">): Entry {
    if (table === "bridge") return decodeEntry({ table, key: mac, value: this.#where.name(link) });
    if (table === "vxlan") return decodeEntry({ table, key: mac, value: address });
    return decodeEntry({ table, key: address, value: mac });
  }
}

const lack = (put: Wanted): Difference => ({
  ...{ reason: `${describeEntry(decodeEntry(put))} is gone`, remove: null, put },
});
