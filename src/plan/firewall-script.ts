/** nft transactions about the table of bridge networks. */
import type { Element } from "./elements.ts";
import { chains, setDefinitions, table } from "./firewall-rules.ts";
import { elementScript, type NftTable, planTable, removalScript, wholeTableScript } from "./nft-script.ts";
import type { Elements, ObservedFirewall } from "./observed.ts";

/** The table. The mark is one bit, as in 0x01000000. */
export const firewallTable = (mark: number): NftTable => ({
  name: table,
  definition: setDefinitions + chains(mark),
  linkParts: {
    bridges: [0],
    docker_links: [0],
    internal: [0],
    trusted: [0, 1],
    restricted: [0],
    sources4: [0],
    sources6: [0],
    own4: [0],
    own6: [0],
    direct4: [0],
    direct6: [0],
    between: [0, 1],
    into: [1],
  },
});

/** An nft transaction that puts the whole table in place, whatever was there before. */
export const tableScript = (elements: Elements, mark: number): string =>
  wholeTableScript(firewallTable(mark), elements);

/** Removes the table, whether it is there or not. */
export const removeTableScript = removalScript({ name: table });

/** An nft transaction that adds and removes elements: `elementScript`. */
export const changeScript = (change: {
  readonly add?: readonly Element[];
  readonly remove?: readonly Element[];
}): string => elementScript(firewallTable(0), change);

/** What repairs our table: undefined if it is as it should be. */
export const planFirewall = (
  wanted: Elements,
  observed: ObservedFirewall | undefined,
  { skeleton, mark }: { readonly skeleton: string; readonly mark: number },
): string | undefined => planTable(firewallTable(mark), wanted, observed, skeleton);
