import { explain } from "../../errors.ts";
import type { Log } from "../log.ts";
import type { RecordKind } from "../records.ts";

/** Reads records of which somebody's mistake is to stop nobody: one that cannot be understood is as if it were not there. */
export class RecordReader {
  readonly #log: Log;
  /** What was said of records, by "place/8388700/10.1.0.2". */
  readonly #said = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param value null if it was removed. @returns null if it cannot be understood, which is said once */
  read<T>(kind: RecordKind, id: string, value: unknown, parse: (id: string, value: unknown) => T): T | null {
    const key = `${kind}/${id}`;
    try {
      const record = value === null ? null : parse(id, value);
      this.#said.delete(key);
      return record;
    } catch (error) {
      const text = explain(error);
      if (this.#said.get(key) !== text) this.#log.error({ error: text }, "a record in etcd is left out");
      this.#said.set(key, text);
      return null;
    }
  }
}
