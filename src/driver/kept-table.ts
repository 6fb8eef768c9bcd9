import { hasErrno, TsnetError } from "../errors.ts";
import { bySet, diffElements, differenceBetween, type Element, type Expected } from "../plan/elements.ts";
import { elementScript, type NftTable, removalScript, wholeTableScript } from "../plan/nft-script.ts";
import type { ObservedFirewall } from "../plan/observed.ts";
import type { Kernel } from "./kernel.ts";
import type { TableMemory } from "./table-memory.ts";

/** How often a table is put in place before somebody who removes it each time is an error. */
const installAttempts = 3;

/** An nft table of ours, kept as the records say. */
export class KeptTable {
  readonly #kernel: Kernel;
  readonly #table: NftTable;
  readonly #expected: () => Expected | null;
  readonly #memory: TableMemory | undefined;
  /** How the kernel lists the table without elements; undefined until it was put in place once. */
  #skeleton: string | undefined;

  /**
   * @param expected as the records are now; null for no table. Its changes are handed over in the turn in which this changes
   * @param memory by which the table of an earlier process is known again; without it, that is replaced
   */
  constructor(kernel: Kernel, table: NftTable, expected: () => Expected | null, memory?: TableMemory) {
    this.#kernel = kernel;
    this.#table = table;
    this.#expected = expected;
    this.#memory = memory;
  }

  /**
   * Puts the whole table in place, and learns how the kernel lists it. Somebody may flush the ruleset before it is looked at: then
   * there is nothing to learn, and it is put there again.
   * @throws TsnetError "kernel" also if somebody else removes the table each time
   */
  async install(): Promise<void> {
    if (await this.#takeOver()) return;
    for (let attempt = 1; attempt <= installAttempts; attempt++) {
      await this.#run(this.#wholeScript());
      const observed = await this.#kernel.observeFirewall(this.#table.name);
      this.#skeleton = observed?.skeleton;
      if (observed !== undefined) await this.#memory?.note(this.#table, observed.skeleton);
      // it may be wanted no more by now
      if (observed !== undefined || this.#expected() === null) return;
    }
    const what = `table ${this.#table.name} was gone right after it was made, ${installAttempts} times`;
    throw new TsnetError(
      "kernel",
      `${what}: find out with "nft monitor" which program flushes the ruleset, and stop it`,
    );
  }

  /**
   * Goes on with the table of an earlier process, if it is what would be put in place: elements that are in both are there all the time.
   * In a table that is replaced they are not quite, since nf_tables_commit() in net/netfilter/nf_tables_api.c lets the new rules be
   * used a moment before sets of intervals have their elements; a packet of no tracked connection is dropped then.
   * @returns whether there was one
   */
  async #takeOver(): Promise<boolean> {
    if (this.#memory === undefined || this.#skeleton !== undefined) return false;
    const observed = await this.#kernel.observeFirewall(this.#table.name);
    if (observed === undefined || !(await this.#memory.isKnown(this.#table, observed.skeleton))) return false;
    this.#skeleton = observed.skeleton;
    await this.repair();
    return true;
  }

  /**
   * Changes from some elements to others, in one transaction. The records have the new state already: a table that somebody has
   * flushed or changed meanwhile is put back whole.
   */
  async change(before: readonly Element[], after: readonly Element[]): Promise<void> {
    const { add, remove } = diffElements(bySet(after), bySet(before));
    if (add.length + remove.length === 0) return;
    await this.#runOrReplace(elementScript(this.#table, { add, remove }));
  }

  /** Adds elements, to a table that may not be there yet. */
  async addElements(elements: readonly Element[]): Promise<void> {
    if (this.#skeleton === undefined) await this.install();
    else await this.change([], elements);
  }

  /** Removes the table if it is not wanted any more; otherwise these elements. */
  async removeElements(elements: readonly Element[]): Promise<void> {
    if (this.#expected() === null) await this.#run(this.#wholeScript());
    else await this.change(elements, []);
  }

  /**
   * Compares the table with the records and repairs it. What requests change meanwhile is theirs.
   * @returns whether something had to be done
   */
  async repair(): Promise<boolean> {
    const before = this.#expected();
    const observed = await this.#kernel.observeFirewall(this.#table.name);
    const after = this.#expected();
    if (before === null && after === null) {
      if (observed !== undefined) await this.#run(this.#wholeScript());
      return observed !== undefined;
    }
    if (before === null || after === null) return false; // it is being made, or removed
    if (this.#skeleton === undefined) {
      await this.install();
      return true;
    }
    const script = this.#repairScript(before, after, observed);
    if (script !== undefined) await this.#runOrReplace(script);
    return script !== undefined;
  }

  #repairScript(before: Expected, after: Expected, observed: ObservedFirewall | undefined): string | undefined {
    if (observed?.skeleton !== this.#skeleton) return this.#wholeScript();
    const { add, remove } = differenceBetween(before, after, observed?.elements ?? {});
    return add.length + remove.length === 0 ? undefined : elementScript(this.#table, { add, remove });
  }

  /** The whole table, where others have changed it so that the script does not fit: an interval of theirs overlaps ours. */
  async #runOrReplace(script: string): Promise<void> {
    try {
      await this.#run(script);
    } catch (error) {
      if (!hasErrno(error, "ENOENT") && !hasErrno(error, "EEXIST")) throw error;
      await this.#run(this.#wholeScript());
    }
  }

  /** The table as the records are now, or its removal. */
  #wholeScript(): string {
    const expected = this.#expected();
    return expected === null ? removalScript(this.#table) : wholeTableScript(this.#table, expected.wanted);
  }

  #run(script: string): Promise<void> {
    return this.#kernel.apply([{ op: "run-nft", script }]);
  }
}
