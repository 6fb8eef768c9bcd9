/** How long work keeps the event loop from everybody else. */

/**
 * What a mean turn stays below if work is done in turns of 2 ms, on a machine that does many other things at the same time. In one
 * turn, what these tests do would take more than 100 ms.
 */
export const mostMs = 25;

/**
 * Runs `work`, and measures how long the turns of the event loop take meanwhile.
 * @returns the mean in milliseconds, which says less of how busy the machine is than the longest
 */
export async function turnsOf<T>(work: () => Promise<T>): Promise<{ meanMs: number; longestMs: number; value: T }> {
  const startedAt = performance.now();
  let [turns, longestMs, last, isDone] = [0, 0, startedAt, false];
  const look = (): void => {
    const now = performance.now();
    turns++;
    longestMs = Math.max(longestMs, now - last);
    last = now;
    if (!isDone) setImmediate(look);
  };
  setImmediate(look);
  const value = await work();
  isDone = true;
  look();
  return { meanMs: (last - startedAt) / turns, longestMs, value };
}
