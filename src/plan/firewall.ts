/**
 * The elements of our table's sets and maps, and the nft transactions that put them there. The rules, which never change, are in
 * firewall-rules.ts.
 */
import { type Family, parseHostAddress } from "../net/cidr.ts";
import { chains, setDefinitions, table } from "./firewall-rules.ts";
import type { Endpoint, Network, PortMapping } from "./network.ts";
import type { Elements, ObservedFirewall } from "./observed.ts";

/** What the firewall is made of, besides the rules. */
export interface FirewallInput {
  readonly networks: Iterable<Network>;
  readonly endpoints: Iterable<Endpoint>;
  /** Names of Docker's own bridges that exist. */
  readonly dockerLinks: Iterable<string>;
}

/** One element: set or map, key, data ("" in a set). */
export type Element = readonly [set: string, key: string, data: string];

/** The elements of a network itself. */
export function networkElements(network: Network): Element[] {
  const { bridge, internal, icc } = network;
  return [
    ["bridges", bridge, ""],
    ...(internal ? [["internal", bridge, ""] as const] : []),
    ["between", `${bridge} . ${bridge}`, icc ? "goto pass" : "drop"],
    ["into", bridge, "drop"],
    ["out", bridge, internal ? "drop" : "goto leave"],
    ...network.subnets.flatMap(({ family, pool, snat }): Element[] => {
      const key = withoutWholePrefix(pool);
      return [
        [`own${family}`, `${bridge} . ${key}`, ""],
        ...(internal || !network.masquerade ? [] : [[`masq${family}`, key, ""] as const]),
        ...(internal || !network.masquerade || snat === null ? [] : [[`snat${family}`, key, snat] as const]),
      ];
    }),
  ];
}

/** nft lists a subnet of one address as that address. */
const withoutWholePrefix = (pool: string): string => pool.replace(pool.includes(":") ? /\/128$/ : /\/32$/, "");

/** The elements of an endpoint's published ports. */
export function portElements(endpoint: Pick<Endpoint, "addresses" | "ports">): Element[] {
  const addresses = endpoint.addresses.map((address) => parseHostAddress(address).ip);
  return endpoint.ports.flatMap((port) =>
    addresses
      .filter(({ family }) => servesFamily(port, family))
      .map(({ family, text }): Element => {
        const target = `${text} . ${port.containerPort}`;
        const key = `${port.protocol} . ${port.hostPort}`;
        return isAny(port.hostAddress)
          ? [`port${family}`, key, target]
          : [`bound${family}`, `${port.hostAddress} . ${key}`, target];
      }),
  );
}

const isAny = (address: string): boolean => address === "0.0.0.0" || address === "::";

const servesFamily = (port: PortMapping, family: Family): boolean => port.hostAddress.includes(":") === (family === 6);

/**
 * The addresses of containers that are on several of our networks: an answer may take another way than the question, so that
 * what comes through a published port from another network has to come from the host.
 */
export function multihomedElements(endpoints: Iterable<Endpoint>): Element[] {
  const bySandbox = Map.groupBy(
    [...endpoints].filter(({ sandbox }) => sandbox !== null),
    ({ sandbox }) => sandbox,
  );
  return [...bySandbox.values()]
    .filter((together) => together.length > 1)
    .flatMap((together) => together.flatMap(({ addresses }) => addresses))
    .map((address): Element => {
      const { family, text } = parseHostAddress(address).ip;
      return [`multihomed${family}`, text, ""];
    });
}

/** Everything that should be in our sets and maps. */
export function wantedElements({ networks, endpoints, dockerLinks }: FirewallInput): Elements {
  const all = [...endpoints];
  const elements = [
    ...[...networks].flatMap(networkElements),
    ...all.flatMap(portElements),
    ...multihomedElements(all),
    ...[...dockerLinks].map((name): Element => ["docker_links", name, ""]),
  ];
  return bySet(elements);
}

/** Elements, in the form in which they are observed. A link may be called `__proto__`, hence the objects without a prototype. */
export function bySet(elements: readonly Element[]): Elements {
  const sets: Record<string, Record<string, string>> = {};
  for (const [set, key, data] of elements) {
    sets[set] ??= Object.create(null) as Record<string, string>;
    sets[set][key] = data;
  }
  return sets;
}

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
  own4: [0],
  own6: [0],
  between: [0, 1],
  into: [0],
  out: [0],
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

/** What has to be added, and what is there and should not be. A key with other data is in both lists. */
export function diffElements(wanted: Elements, observed: Elements): { add: Element[]; remove: Element[] } {
  return { add: missingFrom(observed, wanted), remove: missingFrom(wanted, observed) };
}

function missingFrom(these: Elements, those: Elements): Element[] {
  return Object.entries(those).flatMap(([set, content]) =>
    Object.entries(content)
      .filter(([key, data]) => these[set]?.[key] !== data)
      .map(([key, data]): Element => [set, key, data]),
  );
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
