import type { NetworkService, ReadServices } from "./service-tasks.ts";

/** After so long without a task, a service is taken for one that was removed. */
export const absentMs = 600_000;

/** A virtual IP that is served, or was, or that an earlier process has left. */
interface Remembered {
  /** undefined where that is not known. */
  readonly service: string | undefined;
  /** Since when it is not listed; null while it is. */
  readonly absentSinceMs: number | null;
}

/**
 * Services of a network that were there and are not listed: Docker lists those with tasks only, and who calls one without is to be refused
 * at once. One is forgotten when its address is another's, it has another address, or it was absent for ten minutes.
 */
export class AbsentServices {
  /** By virtual IP. */
  readonly #known = new Map<string, Remembered>();

  /** Virtual IPs that an earlier process has left. */
  adopt(vips: Iterable<string>, nowMs: number): void {
    for (const vip of vips) this.#known.set(vip, { service: undefined, absentSinceMs: nowMs });
  }

  /** @param nowMs by the same clock each time. @returns those that are absent now, without tasks */
  of({ services, isSpare }: ReadServices, nowMs: number): NetworkService[] {
    const listed = new Set(services.map(({ service }) => service));
    const absent: NetworkService[] = [];
    for (const [vip, { service, absentSinceMs }] of this.#known) {
      const sinceMs = absentSinceMs ?? nowMs;
      const isListed = service !== undefined && listed.has(service);
      if (isListed || nowMs - sinceMs >= absentMs || !isSpare(vip)) {
        this.#known.delete(vip);
        continue;
      }
      this.#known.set(vip, { service, absentSinceMs: sinceMs });
      absent.push({ service: service ?? "", vip, tasks: [] });
    }
    for (const { service, vip } of services) if (vip !== null) this.#known.set(vip, { service, absentSinceMs: null });
    return absent;
  }

  /** Whether one is absent for too long. */
  isDue(nowMs: number): boolean {
    return [...this.#known.values()].some(({ absentSinceMs: since }) => since !== null && nowMs - since >= absentMs);
  }
}
