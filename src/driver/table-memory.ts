/** How the kernel lists a table of ours: told on by one process to the next, which then need not replace what is in use. */
import { createHash } from "node:crypto";
import { TsnetError } from "../errors.ts";
import type { NftTable } from "../plan/nft-script.ts";
import type { Records } from "./records.ts";

const kind = "table";

export class TableMemory {
  readonly #records: Pick<Records, "list" | "commit">;

  constructor(records: Pick<Records, "list" | "commit">) {
    this.#records = records;
  }

  /**
   * Whether a table is what was put in place of the same definition, whatever elements it has.
   * @param skeleton ObservedFirewall
   * @throws TsnetError "store"
   */
  async isKnown(table: NftTable, skeleton: string): Promise<boolean> {
    const known = (await this.#records.list(kind)).get(table.name) as { readonly digest?: unknown } | undefined;
    return known?.digest === digestOf(table, skeleton);
  }

  /** Where that fails, as on a full disk, the next process replaces the table, and nothing else is worse. */
  async note(table: NftTable, skeleton: string): Promise<void> {
    try {
      if (await this.isKnown(table, skeleton)) return;
      await this.#records.commit([{ put: kind, id: table.name, value: { digest: digestOf(table, skeleton) } }]);
    } catch (error) {
      if (!(error instanceof TsnetError)) throw error;
    }
  }
}

const digestOf = ({ definition }: NftTable, skeleton: string): string =>
  createHash("sha256").update(`${definition}\0${skeleton}`).digest("hex");
