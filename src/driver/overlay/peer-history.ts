/** So many probes count. */
const remembered = 100;

/** What became of the last probes to a host. */
export class PeerHistory {
  /** Milliseconds; null for one that was lost. */
  readonly #last: (number | null)[] = [];

  record(ms: number | null): void {
    this.#last.push(ms);
    if (this.#last.length > remembered) this.#last.shift();
  }

  get probes(): number {
    return this.#last.length;
  }

  get lost(): number {
    return this.#last.filter((ms) => ms === null).length;
  }

  /** Half of those that were answered took no longer; null where none was. */
  get roundTripMs(): number | null {
    const sorted = this.#last.filter((ms) => ms !== null).toSorted((a, b) => a - b);
    return sorted[Math.ceil(sorted.length / 2) - 1] ?? null;
  }
}
