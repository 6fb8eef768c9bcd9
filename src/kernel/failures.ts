/** For work of many parts, which goes on after one that fails. */
export class Failures {
  #first: { readonly error: unknown } | undefined;

  /** @returns what `work` returns; undefined if it throws */
  guard<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#first ??= { error };
      return undefined;
    }
  }

  /** @throws what was thrown first */
  end(): void {
    if (this.#first !== undefined) throw this.#first.error;
  }
}
