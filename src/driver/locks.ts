/**
 * Locks by key: any number of shared holders, or one exclusive holder, in the order of their arrival.
 * Requests that make or remove a network hold it exclusively, those of its endpoints share it.
 */
export class Locks {
  readonly #turns = new Map<string, Turn>();

  /** Runs `work` alone: after all that came before, and before all that comes later. */
  exclusive<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(key);
    const result = Promise.all([before?.exclusive, ...(before?.shared ?? [])]).then(work);
    const turn: Turn = { exclusive: settled(result), shared: new Set(), isOver: false };
    this.#turns.set(key, turn);
    void turn.exclusive.then(() => {
      turn.isOver = true;
      this.#forgetIdle(key, turn);
    });
    return result;
  }

  /** Runs `work` beside other shared holders. */
  shared<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turn: Turn = this.#turns.get(key) ?? { exclusive: Promise.resolve(), shared: new Set(), isOver: true };
    this.#turns.set(key, turn);
    const result = turn.exclusive.then(work);
    const end = settled(result);
    turn.shared.add(end);
    void end.then(() => {
      turn.shared.delete(end);
      this.#forgetIdle(key, turn);
    });
    return result;
  }

  /** Whether somebody holds the key or waits for it. */
  isBusy(key: string): boolean {
    return this.#turns.has(key);
  }

  #forgetIdle(key: string, turn: Turn): void {
    if (turn.isOver && turn.shared.size === 0 && this.#turns.get(key) === turn) this.#turns.delete(key);
  }
}

/** One exclusive holder, and the shared ones that come after it. */
interface Turn {
  readonly exclusive: Promise<unknown>;
  readonly shared: Set<Promise<unknown>>;
  isOver: boolean;
}

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.then(undefined, () => undefined);
