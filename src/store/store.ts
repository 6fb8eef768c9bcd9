/**
 * Durable state: JSON records by kind and ID. The state of a host is small, so that its users read it once, keep it in memory,
 * and write each change through here before they act on it.
 */
import { TsnetError } from "../errors.ts";

/** The kinds of records; a store keeps others apart from ours. */
export type Kind = "network" | "endpoint" | "pool" | "lease" | "space" | "owed" | "host";

/** One change of a commit. */
export type Change =
  | { readonly put: Kind; readonly id: string; readonly value: object }
  | { readonly remove: Kind; readonly id: string };

export interface Store {
  /** All records of a kind, by ID: one state, with every commit in it that was asked for before. */
  list(kind: Kind): Promise<ReadonlyMap<string, unknown>>;
  /**
   * Makes all of the changes durable, or none. Commits that arrive together share one write to the disk; they take effect in
   * the order in which they were asked for. Removing what does not exist is no error. The values are copied before it returns.
   * @throws TsnetError "store", which says whether the disk is full, read-only or broken
   */
  commit(changes: readonly Change[]): Promise<void>;
  /** Waits for what was begun, then lets go of the files. Twice is once. */
  close(): Promise<void>;
}

/** A change as a row: kind, ID, and the JSON text of the value, null to remove it. */
export type Row = readonly [kind: Kind, id: string, text: string | null];

/** The row of a change. */
export const formatChange = (change: Change): Row =>
  "put" in change ? [change.put, change.id, JSON.stringify(change.value)] : [change.remove, change.id, null];

/**
 * The value of a row.
 * @throws TsnetError "store", which names the record
 */
export function parseValue(kind: Kind, id: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const hint = "remove it from tsnet.db or move the file away";
    throw new TsnetError("store", `record ${kind} ${id} is not JSON; ${hint}`, { cause });
  }
}
