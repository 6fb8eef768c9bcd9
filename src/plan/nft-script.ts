/** nft transactions about a table of ours: the whole table, changes of its elements, and what repairs it. */
import { bySet, diffElements, type Element } from "./elements.ts";
import type { Elements, ObservedFirewall } from "./observed.ts";

/** The tables that tsnet keeps: family and name. The last two are in namespaces of ours. */
export type TableName = "inet tsnet" | "arp tsnet" | "bridge tsnet" | "ip tsnet-vip";

/** A table without its elements. */
export interface NftTable {
  readonly name: TableName;
  /** Sets, maps and chains, in nft's own language. */
  readonly definition: string;
  /** Which parts of a set's keys are names of links: these are quoted, since a link may be called as nft's own words are. */
  readonly linkParts: Readonly<Record<string, readonly number[]>>;
}

/** An nft transaction that puts the whole table in place, whatever was there before. */
export function wholeTableScript(table: NftTable, elements: Elements): string {
  return [
    `add table ${table.name}`,
    `delete table ${table.name}`,
    `table ${table.name} {${table.definition}\n}`,
    ...Object.entries(elements).flatMap(([set, content]) => addCommand(table, set, Object.entries(content))),
    "",
  ].join("\n");
}

/** Removes the table, whether it is there or not. */
export const removalScript = ({ name }: Pick<NftTable, "name">): string => `add table ${name}\ndelete table ${name}\n`;

/**
 * An nft transaction that adds and removes elements. Adding what is there is nothing; so is removing what is not, since
 * each removal begins by adding (nft 1.0.6 has no `destroy`).
 */
export function elementScript(
  table: NftTable,
  change: { readonly add?: readonly Element[]; readonly remove?: readonly Element[] },
): string {
  const removed = groupBySet(change.remove ?? []);
  const added = groupBySet(change.add ?? []);
  return [
    ...removed.flatMap(([set, content]) => [
      ...addCommand(table, set, content),
      `delete element ${table.name} ${set} { ${content.map(([key]) => formatKey(table, set, key)).join(", ")} }`,
    ]),
    ...added.flatMap(([set, content]) => addCommand(table, set, content)),
    "",
  ].join("\n");
}

/**
 * What repairs a table: undefined if it is as it should be.
 * @param skeleton how the kernel lists the table without its elements: ObservedFirewall
 */
export function planTable(
  table: NftTable,
  wanted: Elements,
  observed: ObservedFirewall | undefined,
  skeleton: string,
): string | undefined {
  if (observed?.skeleton !== skeleton) return wholeTableScript(table, wanted);
  const { add, remove } = diffElements(wanted, observed.elements);
  return add.length + remove.length === 0 ? undefined : elementScript(table, { add, remove });
}

function formatKey({ linkParts }: NftTable, set: string, key: string): string {
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

function addCommand(table: NftTable, set: string, content: Content): string[] {
  if (content.length === 0) return [];
  const texts = content.map(([key, data]) => `${formatKey(table, set, key)}${data === "" ? "" : ` : ${data}`}`);
  return [`add element ${table.name} ${set} { ${texts.join(", ")} }`];
}
