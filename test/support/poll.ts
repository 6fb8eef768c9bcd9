import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { patience } from "./patience.ts";

/** How often a condition is looked at. */
const intervalMs = 5 * patience;

/**
 * Waits until `check` gives something other than undefined and false, and returns it.
 * @param what the condition in words, for the error
 * @throws Error after the deadline, with the last error of `check`, if there was one
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  check: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const end = performance.now() + deadlineMs * patience;
  for (;;) {
    // the last look: what came while this process stood still is read before it
    const isLast = performance.now() >= end;
    if (isLast) await setImmediate();
    let cause: unknown;
    try {
      const found = await check();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      cause = error;
    }
    if (isLast)
      throw new Error(`not within ${deadlineMs * patience} ms: ${what}`, cause === undefined ? undefined : { cause });
    await sleep(intervalMs);
  }
}
