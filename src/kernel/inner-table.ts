import { hasErrno } from "../errors.ts";
import type { Element } from "../plan/elements.ts";
import {
  type NftTable as Definition,
  elementScript,
  planTable,
  removalScript,
  type TableName,
  wholeTableScript,
} from "../plan/nft-script.ts";
import type { Elements } from "../plan/observed.ts";
import { inNamespace } from "./netlink/in-namespace.ts";
import { Nft } from "./nft.ts";
import { NftTable } from "./nft-table.ts";

/** What is added to a table, and what is removed from it. */
export interface ElementChange {
  readonly add: readonly Element[];
  readonly remove: readonly Element[];
}

export interface InnerTableOptions {
  /** The namespace's file. */
  readonly path: string;
  readonly name: TableName;
  /**
   * How the kernel lists the table without elements, found out elsewhere: what an earlier process has left is then gone on with, if it is
   * that. Without it, it is replaced.
   */
  readonly skeletonOf?: (table: Definition) => string;
  /** Called when the first change is about to be made, in the namespace. */
  readonly onOpen?: () => void;
}

/** What is there: what an earlier process has left, what was asked for last, or nobody knows, since the kernel did not take that. */
type Content = "left" | "taken" | "unknown";

/** An nft table in a namespace of ours, which is there as long as it is wanted. */
export class InnerTable {
  readonly #options: InnerTableOptions;
  #nft: Nft | undefined;
  #reader: NftTable | undefined;
  /** undefined before anything was asked for; null for no table. */
  #wanted: { readonly table: Definition; readonly elements: Elements } | null | undefined;
  /** How the kernel lists the table without elements; undefined until it was put in place, or if it is not to be there. */
  #skeleton: string | undefined;
  #content: Content = "left";

  constructor(options: InnerTableOptions) {
    this.#options = options;
  }

  /** The port IDs of our changes' messages (Nft.portId); undefined before the first. */
  get portId(): number | undefined {
    return this.#nft?.portId;
  }

  /**
   * From now on it is to be like this.
   * @param elements all of them; null for no table
   * @param change what makes them of those that were asked for before; where the kernel did not take those, all are put
   */
  put(table: Definition, elements: Elements | null, change: ElementChange): void {
    const content = this.#content;
    this.#content = "unknown";
    this.#wanted = elements === null ? null : { table, elements };
    if (elements === null) {
      if (this.#isThere(content)) this.#remove();
    } else if (this.#skeleton === undefined || content !== "taken") this.#install(table, elements);
    else if (change.add.length + change.remove.length > 0)
      this.#runOrReplace(table, elements, elementScript(table, change));
    this.#content = "taken";
  }

  /**
   * Compares the table with what was asked for, and mends it.
   * @param isComplete whether all was asked for that there is to be: then one that nobody has asked for goes
   * @returns what was wrong, in words
   */
  repair(isComplete: boolean): string[] {
    if (!this.#wanted && !isComplete) return [];
    this.#content = "unknown";
    const reasons = this.#mend();
    this.#content = "taken";
    return reasons;
  }

  #mend(): string[] {
    const wanted = this.#wanted;
    const observed = this.#observe();
    const what = `table ${this.#options.name}`;
    if (!wanted) {
      if (observed === undefined) return [];
      this.#remove();
      return [`${what} is nobody's`];
    }
    const { table, elements } = wanted;
    if (this.#skeleton === undefined) {
      this.#install(table, elements);
      return [`${what} was not made`];
    }
    const script = planTable(table, elements, observed, this.#skeleton);
    if (script === undefined) return [];
    this.#runOrReplace(table, elements, script);
    return [`${what} ${observed === undefined ? "is gone" : "was changed"}`];
  }

  close(): void {
    this.#nft?.close();
    this.#reader?.close();
  }

  /** Whatever an earlier process has left is replaced, in one transaction, or what differs in it. */
  #install(table: Definition, elements: Elements): void {
    const skeleton = this.#options.skeletonOf?.(table);
    const script =
      skeleton === undefined
        ? wholeTableScript(table, elements)
        : planTable(table, elements, this.#observe(), skeleton);
    if (script !== undefined) this.#runOrReplace(table, elements, script);
    this.#skeleton = skeleton ?? this.#observe()?.skeleton;
  }

  /** What an earlier process has left is for `repair` to judge, where it is not known again. */
  #isThere(content: Content): boolean {
    if (content === "taken") return this.#skeleton !== undefined;
    if (content === "left" && this.#options.skeletonOf === undefined) return false;
    return this.#observe() !== undefined;
  }

  #remove(): void {
    this.#run(removalScript(this.#options));
    this.#skeleton = undefined;
  }

  /** The whole table, where others have changed it so that the script does not fit. */
  #runOrReplace(table: Definition, elements: Elements, script: string): void {
    try {
      this.#run(script);
    } catch (error) {
      if (!hasErrno(error, "ENOENT") && !hasErrno(error, "EEXIST")) throw error;
      this.#run(wholeTableScript(table, elements));
    }
  }

  /** In there also for each script: libnftables opens its socket anew after some errors. */
  #run(script: string): void {
    if (this.#nft === undefined) this.#options.onOpen?.();
    inNamespace(this.#options.path, () => {
      this.#nft ??= new Nft();
      this.#nft.run(script);
    });
  }

  #observe() {
    this.#reader ??= new NftTable(this.#options.path);
    return this.#reader.observe(this.#options.name);
  }
}
