/** nft transactions: the whole table, changes of its elements, and what repairs it. */
import { bySet, diffElements, type Element } from "./firewall.ts";
import { chains, setDefinitions, table } from "./firewall-rules.ts";
import type { Elements, ObservedFirewall } from "./observed.ts";

/** An nft transaction that puts the whole table in place, whatever was there before. */
export function tableScript(elements: Elements, mark: number): string {
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {${setDefinitions}${chains(mark)}\n}`,
    ...Object.entries(elements).flatMap(([set, content]) => addCommand(set, Object.entries(content))),
    "",
  ].join("\n");
}

/** Removes the table, whether it is there or not. */
export const removeTableScript = `add table ${table}\ndelete table ${table}\n`;

/**
 * An nft transaction that adds and removes elements. Adding what is there is nothing; so is removing what is not, since
 * each removal begins by adding (nft 1.0.6 has no `destroy`).
 */
export function changeScript(change: {
  readonly add?: readonly Element[];
  readonly remove?: readonly Element[];
}): string {
  const removed = groupBySet(change.remove ?? []);
  const added = groupBySet(change.add ?? []);
  return [
    ...removed.flatMap(([set, content]) => [
      ...addCommand(set, content),
      `delete element ${table} ${set} { ${content.map(([key]) => formatKey(set, key)).join(", ")} }`,
    ]),
    ...added.flatMap(([set, content]) => addCommand(set, content)),
    "",
  ].join("\n");
}

/** Which parts of a set's keys are names of links: these are quoted, since a link may be called as nft's own words are. */
const linkParts: Readonly<Record<string, readonly number[]>> = {
  bridges: [0],
  docker_links: [0],
  internal: [0],
  trusted: [0, 1],
  restricted: [0],
  sources4: [0],
  sources6: [0],
  own4: [0],
  own6: [0],
  between: [0, 1],
  into: [1],
};

function formatKey(set: string, key: string): string {
  const quoted = linkParts[set] ?? [];
  return key
    .split(" . ")
    .map((part, index) => (quoted.includes(index) ? `"${part}"` : part))
    .join(" . ");
}

type Content = readonly (readonly [key: string, data: string])[];

function groupBySet(elements: readonly Element[]): [string, Content][] {
  return Object.entries(bySet(elements)).map(([set, content]) => [set, Object.entries(content)]);
}

function addCommand(set: string, content: Content): string[] {
  if (content.length === 0) return [];
  const texts = content.map(([key, data]) => `${formatKey(set, key)}${data === "" ? "" : ` : ${data}`}`);
  return [`add element ${table} ${set} { ${texts.join(", ")} }`];
}

/** What repairs our table: undefined if it is as it should be. */
export function planFirewall(
  wanted: Elements,
  observed: ObservedFirewall | undefined,
  expected: { readonly skeleton: string; readonly mark: number },
): string | undefined {
  if (observed?.skeleton !== expected.skeleton) return tableScript(wanted, expected.mark);
  const { add, remove } = diffElements(wanted, observed.elements);
  return add.length + remove.length === 0 ? undefined : changeScript({ add, remove });
}
