/** Work that waits for the disk, by what it is about: what follows on the same waits for it. */
export class Busy {
  readonly #running = new Map<string, Promise<void>>();

  /**
   * What runs for this key, whatever becomes of it; undefined if nothing does. To be asked again after it: somebody else may
   * have begun.
   */
  of(key: string): Promise<void> | undefined {
    return this.#running.get(key)?.catch(() => {});
  }

  /** Runs `work`, which `of` tells of: what it does to the disk, it does before. */
  async run(keys: readonly string[], work: () => Promise<void>): Promise<void> {
    const running = work();
    for (const key of keys) this.#running.set(key, running);
    try {
      await running;
    } finally {
      // An address may be free by now, and somebody else at work on it.
      for (const key of keys) if (this.#running.get(key) === running) this.#running.delete(key);
    }
  }
}
