import { hasErrno } from "../../errors.ts";
import { isEmpty } from "../../plan/direct.ts";
import type { Element } from "../../plan/elements.ts";
import {
  type NftTable as Definition,
  elementScript,
  planTable,
  removalScript,
  wholeTableScript,
} from "../../plan/nft-script.ts";
import type { Elements } from "../../plan/observed.ts";
import type { ChangeDirect } from "../../plan/op.ts";
import { inNamespace } from "../netlink/in-namespace.ts";
import { Nft } from "../nft.ts";
import { NftTable } from "../nft-table.ts";

/** The table of plan/direct.ts in a namespace of ours. It is there as long as anything goes the short way: without it no frame is looked at. */
export class DirectTable {
  readonly #path: string;
  #nft: Nft | undefined;
  #reader: NftTable | undefined;
  #definition: Definition | undefined;
  /** Set → key → data. */
  readonly #wanted: Record<string, Record<string, string>> = {};
  /** How the kernel lists the table without elements; undefined until it was put in place, or if it is not to be there. */
  #skeleton: string | undefined;

  /** @param path the namespace's file */
  constructor(path: string) {
    this.#path = path;
  }

  change({ table, remove, add }: ChangeDirect): void {
    this.#definition = table;
    for (const [set, key] of listOf(remove)) delete this.#wanted[set]?.[key];
    for (const [set, key, data] of listOf(add)) this.#put(set, key, data);
    if (isEmpty(this.#wanted)) {
      if (this.#skeleton !== undefined) this.#remove(table);
    } else if (this.#skeleton === undefined) this.#install(table);
    else this.#runOrReplace(table, elementScript(table, { remove: listOf(remove), add: listOf(add) }));
  }

  /**
   * Compares the table with what was asked for, and mends it.
   * @param isComplete whether all was asked for that there is to be: then one that nobody has asked for goes
   * @returns what was wrong, in words
   */
  repair(isComplete: boolean): string[] {
    const table = this.#definition;
    const isUnwanted = table === undefined || isEmpty(this.#wanted);
    if (isUnwanted && !isComplete) return [];
    const observed = this.#observe();
    const what = "table bridge tsnet";
    if (isUnwanted) {
      if (observed === undefined) return [];
      this.#run(removalScript({ name: "bridge tsnet" }));
      return [`${what} is nobody's`];
    }
    if (this.#skeleton === undefined) {
      this.#install(table);
      return [`${what} was not made`];
    }
    const script = planTable(table, this.#wanted, observed, this.#skeleton);
    if (script === undefined) return [];
    this.#runOrReplace(table, script);
    return [`${what} ${observed === undefined ? "is gone" : "was changed"}`];
  }

  close(): void {
    this.#nft?.close();
    this.#reader?.close();
  }

  #put(set: string, key: string, data: string): void {
    const elements = this.#wanted[set];
    if (elements === undefined) this.#wanted[set] = { [key]: data };
    else elements[key] = data;
  }

  /** Whatever an earlier process has left is replaced, in one transaction. */
  #install(table: Definition): void {
    this.#run(wholeTableScript(table, this.#wanted));
    this.#skeleton = this.#observe()?.skeleton;
  }

  #remove(table: Definition): void {
    this.#run(removalScript(table));
    this.#skeleton = undefined;
  }

  /** The whole table, where others have changed it so that the script does not fit. */
  #runOrReplace(table: Definition, script: string): void {
    try {
      this.#run(script);
    } catch (error) {
      if (!hasErrno(error, "ENOENT") && !hasErrno(error, "EEXIST")) throw error;
      this.#run(wholeTableScript(table, this.#wanted));
    }
  }

  /** In there also for each script: libnftables opens its socket anew after some errors. */
  #run(script: string): void {
    inNamespace(this.#path, () => {
      this.#nft ??= new Nft();
      this.#nft.run(script);
    });
  }

  #observe() {
    this.#reader ??= new NftTable(this.#path);
    return this.#reader.observe("bridge tsnet");
  }
}

const listOf = (elements: Elements): Element[] =>
  Object.entries(elements).flatMap(([set, content]) =>
    Object.entries(content).map(([key, data]): Element => [set, key, data]),
  );
