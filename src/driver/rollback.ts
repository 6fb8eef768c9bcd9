/** Registers what undoes the next step. */
export type Undo = (step: () => Promise<unknown>) => void;

/**
 * Runs `work`; if it fails, runs the undo steps that it registered, newest first, and throws its error. An undo that fails does
 * not stop the others: what is left then is work for the reconciler, and the error names it.
 */
export async function withRollback<T>(work: (undo: Undo) => Promise<T>): Promise<T> {
  const steps: (() => Promise<unknown>)[] = [];
  try {
    return await work((step) => steps.push(step));
  } catch (error) {
    const failed: unknown[] = [];
    for (const step of steps.reverse()) await step().catch((reason: unknown) => failed.push(reason));
    if (failed.length === 0) throw error;
    throw new AggregateError(
      [error, ...failed],
      "failed, and could not be undone in full; the reconciler goes on with it",
    );
  }
}
