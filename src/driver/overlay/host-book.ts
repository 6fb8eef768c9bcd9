import type { HostRecord } from "./shared-records.ts";

/** A host at one of its tunnel addresses. */
export interface KnownHost extends HostRecord {
  readonly address: string;
  /** When it last gave a sign of life, by this host's clock, as far as that can be told: milliseconds since 1970. */
  readonly aliveMs: number;
}

/** Which host is at which tunnel address, as the records say. */
export class HostBook {
  readonly #byAddress = new Map<string, KnownHost>();

  /**
   * @param record null: nobody is there any more
   * @param aliveMs when it gave a sign of life, if that was just now; otherwise its own clock is believed, but for the future
   */
  put(address: string, record: HostRecord | null, nowMs: number, aliveMs?: number): void {
    if (record === null) this.#byAddress.delete(address);
    else {
      const before = this.#byAddress.get(address);
      const isSame = before?.host === record.host && before.seenMs === record.seenMs;
      // an etcd that was restored tells of it as it was long ago
      const heardMs = before?.host === record.host ? before.aliveMs : 0;
      const alive = aliveMs ?? (isSame ? heardMs : Math.max(heardMs, Math.min(record.seenMs, nowMs)));
      this.#byAddress.set(address, { ...record, address, aliveMs: alive });
    }
  }

  at(address: string): KnownHost | undefined {
    return this.#byAddress.get(address);
  }

  all(): KnownHost[] {
    return [...this.#byAddress.values()];
  }

  /** Where a host is: the address that it named last. */
  of(host: string): KnownHost | undefined {
    const places = this.all().filter((one) => one.host === host);
    return places.sort((a, b) => b.seenMs - a.seenMs || (a.address < b.address ? -1 : 1))[0];
  }

  /** "web-1 (4f2a90c1d2e3)"; the ID alone where there is no other name. */
  call(host: string): string {
    const name = this.of(host)?.name;
    return name === undefined || name === host ? host : `${name} (${host})`;
  }
}
