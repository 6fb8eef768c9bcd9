/**
 * Durable state: JSON records by kind and ID. The state of a host is small, so that its users read it once, keep it in memory,
 * and write each change through here before they act on it. What several hosts share, they also follow.
 */
import { TsnetError } from "../errors.ts";

/** The kinds of records; a store keeps others apart from ours. */
export type Kind =
  | "network"
  | "endpoint"
  | "pool"
  | "lease"
  | "space"
  | "owed"
  | "host"
  | "overlay"
  | "place"
  | "vtep"
  | "cluster"
  | "table"
  | "allocation"
  | "node";

/** One change of a commit. */
export type Change =
  | { readonly put: Kind; readonly id: string; readonly value: object }
  | { readonly remove: Kind; readonly id: string };

/**
 * What must be so for a commit to take place: the record has exactly this value, or is there with any, or is not there. Values
 * are equal if their JSON texts are, so that the order of keys counts: give what was put, or what the store gave.
 */
export interface Condition {
  readonly kind: Kind;
  readonly id: string;
  readonly is: object | "present" | "absent";
}

/** Is told what becomes of the records of a kind, in the order in which it happens. Its functions must not throw. */
export interface Follower {
  /**
   * All records there are, by ID: first of all, and again whenever changes may have been missed.
   * @param hasLost whether the store is not what it was: it was restored from a backup, or made anew
   */
  readonly reset: (values: ReadonlyMap<string, unknown>, hasLost?: boolean) => void;
  /** One record was put, or removed: null. The changes of one commit come in one turn. */
  readonly change: (id: string, value: unknown) => void;
}

export interface Following {
  /** Resolves when the first reset is done, which may take for ever, or when it was ended. Rejects if the store is broken for good. */
  readonly ready: Promise<void>;
  /** From the call on, the follower is told nothing more. Resolves when nothing is left of it. */
  readonly end: () => Promise<void>;
}

export interface Store {
  /** The most changes, and conditions, that one commit can have. */
  readonly maxChanges: number;
  /** All records of a kind, by ID: one state, with every commit in it that was asked for before. */
  list(kind: Kind): Promise<ReadonlyMap<string, unknown>>;
  /** Hands over what `list` has. A store of many records reads them bit by bit, and gives the event loop back in between. */
  each(kind: Kind, use: (id: string, value: unknown) => void): Promise<void>;
  /** The value of a record, with every commit in it that was answered before; undefined if there is none. */
  get(kind: Kind, id: string): Promise<unknown>;
  /**
   * Makes all of the changes durable, or none. Commits that arrive together share one write to the disk; they take effect in
   * the order in which they were asked for. Removing what does not exist is no error. The values are copied before it returns.
   * @throws TsnetError "store", which says whether the disk is full, read-only or broken
   */
  commit(changes: readonly Change[]): Promise<void>;
  /**
   * As `commit`, if all of the conditions hold; they are looked at and the changes made in one step. Its place among commits
   * that are not answered yet is open.
   * @returns whether it took place
   * @throws TsnetError "store". If the store is elsewhere and did not answer, the changes may have been made: the error says so
   */
  commitIf(changes: readonly Change[], conditions: readonly Condition[]): Promise<boolean>;
  /** Follows the records of a kind until it is ended. While the store cannot be reached it tries again, and resets when it can. */
  follow(kind: Kind, follower: Follower): Following;
  /** Waits for what was begun, ends what follows, then lets go of the files. Twice is once. */
  close(): Promise<void>;
}

/** A change as a row: kind, ID, and the JSON text of the value, null to remove it. */
export type Row = readonly [kind: Kind, id: string, text: string | null];

/** The row of a change. */
export const formatChange = (change: Change): Row =>
  "put" in change ? [change.put, change.id, JSON.stringify(change.value)] : [change.remove, change.id, null];

/** A condition as a row: kind, ID, and what its JSON text must be: null for absent, true for any. */
export type ConditionRow = readonly [kind: Kind, id: string, is: string | null | true];

/** The row of a condition. */
export const formatCondition = ({ kind, id, is }: Condition): ConditionRow => {
  if (is === "absent") return [kind, id, null];
  return [kind, id, is === "present" ? true : JSON.stringify(is)];
};

/** @param text of the record, undefined if there is none */
export const holds = ([, , is]: ConditionRow, text: string | undefined): boolean =>
  is === true ? text !== undefined : text === (is ?? undefined);

/**
 * The value of a row.
 * @param remedy what to do if it is none
 * @throws TsnetError "store", which names the record
 */
export function parseValue(
  kind: Kind,
  id: string,
  text: string,
  remedy = "remove it from tsnet.db or move the file away",
): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsnetError("store", `record ${kind} ${id} is not JSON; ${remedy}`, { cause });
  }
}

/**
 * @param name of the store
 * @throws TsnetError "store" if a commit is larger than the store takes
 */
export function assertFits(
  name: string,
  maxChanges: number,
  changes: readonly Change[],
  conditions: readonly Condition[] = [],
): void {
  const count = Math.max(changes.length, conditions.length);
  if (count <= maxChanges) return;
  const what = changes.length >= conditions.length ? "changes" : "conditions";
  throw new TsnetError("store", `a commit of ${count} ${what} is more than ${name} takes at once: ${maxChanges}`);
}
