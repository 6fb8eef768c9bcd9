/**
 * The other hosts of which etcd has lost something, or may have. Each puts back what is its own: what it had stays until it has said
 * that it is there, and had time to; or until it is removed, by hand or because it was silent for its TTL.
 */

interface Awaited {
  /** When etcd was found to have lost something: milliseconds since 1970. */
  readonly sinceMs: number;
  /** Whether that was before this process heard what the host had: the kernel alone knows it. */
  readonly isUnheard: boolean;
  /** What is kept of it: "place/8388700/10.1.0.2". */
  readonly kept: Set<string>;
  /** Runs since it has said that it is there, or has put back something that is kept. */
  timer?: NodeJS.Timeout;
}

export interface AwaitedHostsNeeds {
  /** How long a host may take to put everything back. */
  readonly graceMs: number;
  /** It has had its time. */
  readonly onOver: (host: string) => void;
}

export class AwaitedHosts {
  readonly #needs: AwaitedHostsNeeds;
  readonly #byHost = new Map<string, Awaited>();
  /** Whose each record is that is kept. */
  readonly #hostOf = new Map<string, string>();

  constructor(needs: AwaitedHostsNeeds) {
    this.#needs = needs;
  }

  /** Whether there is one of which this process does not know what it had. */
  get hasUnheard(): boolean {
    return [...this.#byHost.values()].some(({ isUnheard }) => isUnheard);
  }

  /** undefined if it is none of them. */
  sinceMs(host: string): number | undefined {
    return this.#byHost.get(host)?.sinceMs;
  }

  add(host: string, sinceMs: number, isUnheard: boolean): void {
    const before = this.#byHost.get(host);
    clearTimeout(before?.timer);
    const kept = before?.kept ?? new Set();
    this.#byHost.set(host, { sinceMs, isUnheard: isUnheard || (before?.isUnheard ?? false), kept });
  }

  /**
   * Whether a record that etcd does not have is kept.
   * @param isNew whether etcd has just lost it; if not, it is kept only if it was
   */
  keeps(key: string, host: string, isNew: boolean): boolean {
    const awaited = this.#byHost.get(host);
    if (isNew && awaited) {
      awaited.kept.add(key);
      this.#hostOf.set(key, host);
    }
    return this.isKept(key);
  }

  isKept(key: string): boolean {
    return this.#hostOf.has(key);
  }

  /** Etcd has told of it. Whoever puts things back has time for the next. */
  told(key: string): void {
    const host = this.#hostOf.get(key);
    if (host === undefined) return;
    this.#hostOf.delete(key);
    const awaited = this.#byHost.get(host);
    awaited?.kept.delete(key);
    if (awaited?.timer !== undefined) this.#grant(host, awaited);
  }

  /** It has said that it is there. */
  announced(host: string): void {
    const awaited = this.#byHost.get(host);
    if (awaited === undefined || awaited.timer !== undefined) return;
    this.#grant(host, awaited);
  }

  #grant(host: string, awaited: Awaited): void {
    clearTimeout(awaited.timer);
    awaited.timer = setTimeout(() => this.#needs.onOver(host), this.#needs.graceMs).unref();
  }

  /** It is awaited no more. @returns what was kept of it */
  take(host: string): ReadonlySet<string> {
    const awaited = this.#byHost.get(host);
    clearTimeout(awaited?.timer);
    this.#byHost.delete(host);
    for (const key of awaited?.kept ?? []) this.#hostOf.delete(key);
    return awaited?.kept ?? new Set();
  }

  close(): void {
    for (const { timer } of this.#byHost.values()) clearTimeout(timer);
  }
}
