/** The kinds of records. */
export type RecordKind =
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
export type RecordChange =
  | { readonly put: RecordKind; readonly id: string; readonly value: object }
  | { readonly remove: RecordKind; readonly id: string };

/** What must be so for a commit to take place: the record has exactly this value, or is there with any, or is not there. */
export interface RecordCondition {
  readonly kind: RecordKind;
  readonly id: string;
  readonly is: object | "present" | "absent";
}

/** What the use cases need of a store. `store/` implements it. */
export interface Records {
  /** All records of a kind, by ID: one state, with every commit in it that was asked for before. */
  list(kind: RecordKind): Promise<ReadonlyMap<string, unknown>>;
  /** Hands over what `list` has, in turns of the event loop: for kinds with so many that they are not to be in memory at once. */
  each(kind: RecordKind, use: (id: string, value: unknown) => void): Promise<void>;
  /**
   * Makes all of the changes durable, or none. Commits take effect in the order in which they were asked for; removing what does
   * not exist is no error.
   * @throws TsnetError "store"
   */
  commit(changes: readonly RecordChange[]): Promise<void>;
}

/** Is told what becomes of the records of a kind, in the order in which it happens. */
export interface Follower {
  /**
   * All records there are, by ID: first of all, and again whenever changes may have been missed.
   * @param hasLost whether the store is not what it was: it was restored from a backup, or made anew
   */
  readonly reset: (values: ReadonlyMap<string, unknown>, hasLost?: boolean) => void;
  /** One record was put, or removed: null. The changes of one commit come in one turn. */
  readonly change: (id: string, value: unknown) => void;
}

/** What is needed besides where several hosts write: compare and swap, and watch. */
export interface SharedRecords extends Records {
  /** The most changes, and the most conditions, that one commit can have; one with more is refused before anything is done. */
  readonly maxChanges: number;
  /**
   * As `commit`, if all of the conditions hold; they are looked at and the changes made in one step.
   * @returns whether it took place
   * @throws TsnetError "store": the store cannot be reached, or did not answer in time. Then the changes may have been made.
   */
  commitIf(changes: readonly RecordChange[], conditions: readonly RecordCondition[]): Promise<boolean>;
  /** The value of a record, with every commit in it that was answered before; undefined if there is none. */
  get(kind: RecordKind, id: string): Promise<unknown>;
  /**
   * Follows the records of a kind until it is ended. While the store cannot be reached it tries again, and resets when it can.
   * @returns resolves with the end of it when the first reset is done, which may take for ever
   */
  follow(kind: RecordKind, follower: Follower): { readonly ready: Promise<void>; readonly end: () => Promise<void> };
}
