import type { Figure } from "./figures.ts";

export const drivers = ["bridge", "tsnet"] as const;
export type Driver = (typeof drivers)[number];

/**
 * Measures each of `kinds` once a round, `count` numbers at a time.
 * @returns for each of the numbers what each kind has
 */
export async function samplesInTurn<Kind extends string>(
  kinds: readonly Kind[],
  { rounds, count }: { readonly rounds: number; readonly count: number },
  measure: (kind: Kind, round: number) => Promise<readonly number[]>,
): Promise<Record<Kind, number[]>[]> {
  const times = Array.from({ length: count }, () => {
    return Object.fromEntries(kinds.map((kind) => [kind, [] as number[]])) as Record<Kind, number[]>;
  });
  for (const kind of kinds) await measure(kind, 0); // the first time loads what later times find loaded
  for (let round = 1; round <= rounds; round++) {
    // who comes first changes, so that nobody gains by it
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      for (const [index, ms] of (await measure(kind, round)).entries()) times[index]?.[kind].push(ms);
    }
  }
  return times;
}

/** `names` give one figure each: `measure` returns a number for each of them, for one driver, once. */
export async function inTurn(
  rounds: number,
  names: readonly (readonly [name: string, limit: number])[],
  measure: (driver: Driver, round: number) => Promise<readonly number[]>,
): Promise<Figure[]> {
  const times = await samplesInTurn(drivers, { rounds, count: names.length }, measure);
  return names.map(([name, value], index): Figure => {
    const { tsnet, bridge } = times[index] ?? { tsnet: [], bridge: [] };
    return { name, unit: "ms", tsnet, bridge, limit: { of: "ratio", value } };
  });
}
