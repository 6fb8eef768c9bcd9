/** Elements of an nft table's sets and maps. */
import type { Elements } from "./observed.ts";

/** One element: set or map, key, data ("" in a set). */
export type Element = readonly [set: string, key: string, data: string];

/** Elements, in the form in which they are observed. A link may be called `__proto__`, hence the objects without a prototype. */
export function bySet(elements: readonly Element[]): Elements {
  const sets: Record<string, Record<string, string>> = {};
  for (const [set, key, data] of elements) {
    sets[set] ??= Object.create(null) as Record<string, string>;
    sets[set][key] = data;
  }
  return sets;
}

/** What has to be added, and what is there and should not be. A key with other data is in both lists. */
export function diffElements(wanted: Elements, observed: Elements): { add: Element[]; remove: Element[] } {
  return { add: missingFrom(observed, wanted), remove: missingFrom(wanted, observed) };
}

/** What has to be in a table, and what may be. */
export interface Expected {
  readonly wanted: Elements;
  /** What is on its way out is in it. */
  readonly leaving: Elements;
}

/**
 * As diffElements, for an observation that was made between two looks at the records: what a request has changed in between is in it
 * or not, and neither is amiss.
 */
export function differenceBetween(
  before: Expected,
  after: Expected,
  observed: Elements,
): { add: Element[]; remove: Element[] } {
  const isIn = (elements: Elements, [set, key, data]: Element): boolean => elements[set]?.[key] === data;
  const allowed = [before.wanted, before.leaving, after.leaving];
  return {
    add: missingFrom(observed, after.wanted).filter((element) => isIn(before.wanted, element)),
    remove: missingFrom(after.wanted, observed).filter((element) => !allowed.some((one) => isIn(one, element))),
  };
}

function missingFrom(these: Elements, those: Elements): Element[] {
  return Object.entries(those).flatMap(([set, content]) =>
    Object.entries(content)
      .filter(([key, data]) => these[set]?.[key] !== data)
      .map(([key, data]): Element => [set, key, data]),
  );
}
