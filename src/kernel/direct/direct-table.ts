import { isEmpty } from "../../plan/direct.ts";
import type { Element } from "../../plan/elements.ts";
import type { Elements } from "../../plan/observed.ts";
import type { ChangeDirect } from "../../plan/op-overlay.ts";
import { InnerTable } from "../inner-table.ts";

/** The table of plan/direct.ts in a namespace of ours. It is there as long as anything goes the short way: without it no frame is looked at. */
export class DirectTable {
  readonly #table: InnerTable;
  /** Set → key → data. */
  readonly #wanted: Record<string, Record<string, string>> = {};

  /** @param path the namespace's file */
  constructor(path: string) {
    this.#table = new InnerTable({ path, name: "bridge tsnet" });
  }

  change({ table, remove, add }: ChangeDirect): void {
    for (const [set, key] of listOf(remove)) delete this.#wanted[set]?.[key];
    for (const [set, key, data] of listOf(add)) this.#put(set, key, data);
    const wanted = isEmpty(this.#wanted) ? null : this.#wanted;
    this.#table.put(table, wanted, { remove: listOf(remove), add: listOf(add) });
  }

  /**
   * Compares the table with what was asked for, and mends it.
   * @param isComplete whether all was asked for that there is to be: then one that nobody has asked for goes
   * @returns what was wrong, in words
   */
  repair(isComplete: boolean): string[] {
    return this.#table.repair(isComplete);
  }

  close(): void {
    this.#table.close();
  }

  #put(set: string, key: string, data: string): void {
    const elements = this.#wanted[set];
    if (elements === undefined) this.#wanted[set] = { [key]: data };
    else elements[key] = data;
  }
}

const listOf = (elements: Elements): Element[] =>
  Object.entries(elements).flatMap(([set, content]) =>
    Object.entries(content).map(([key, data]): Element => [set, key, data]),
  );
