/** The kinds of records. */
export type RecordKind = "network" | "endpoint" | "pool" | "lease";

/** One change of a commit. */
export type RecordChange =
  | { readonly put: RecordKind; readonly id: string; readonly value: object }
  | { readonly remove: RecordKind; readonly id: string };

/** What the use cases need of a store. `store/` implements it. */
export interface Records {
  /** All records of a kind, by ID: one state, with every commit in it that was asked for before. */
  list(kind: RecordKind): Promise<ReadonlyMap<string, unknown>>;
  /**
   * Makes all of the changes durable, or none. Commits take effect in the order in which they were asked for; removing what does
   * not exist is no error.
   * @throws TsnetError "store"
   */
  commit(changes: readonly RecordChange[]): Promise<void>;
}
