import type { Figure } from "./figures.ts";

export const drivers = ["bridge", "tsnet"] as const;
export type Driver = (typeof drivers)[number];
type Samples = Record<Driver, number[]>;

const samples = (): Samples => ({ bridge: [], tsnet: [] });

/** `names` give one figure each: `measure` returns a number for each of them, for one driver, once. */
export async function inTurn(
  rounds: number,
  names: readonly (readonly [name: string, limit: number])[],
  measure: (driver: Driver, round: number) => Promise<readonly number[]>,
): Promise<Figure[]> {
  const times = names.map(samples);
  for (const driver of drivers) await measure(driver, 0); // the first time loads what later times find loaded
  for (let round = 1; round <= rounds; round++) {
    // who comes first changes, so that neither gains by it
    for (const driver of round % 2 === 0 ? drivers : drivers.toReversed()) {
      for (const [index, ms] of (await measure(driver, round)).entries()) times[index]?.[driver].push(ms);
    }
  }
  return names.map(([name, value], index): Figure => {
    const { tsnet, bridge } = times[index] ?? samples();
    return { name, unit: "ms", tsnet, bridge, limit: { of: "ratio", value } };
  });
}
