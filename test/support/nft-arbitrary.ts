/** Random elements for every set and map of our table, made from its definitions. */
import fc from "fast-check";
import type { Element } from "../../src/plan/elements.ts";
import { setDefinitions } from "../../src/plan/firewall-rules.ts";
import { typesOf } from "./nft-declaration.ts";

interface Definition {
  readonly name: string;
  readonly key: readonly string[];
  /** Empty for a set. */
  readonly data: readonly string[];
  readonly isInterval: boolean;
}

const definitions: readonly Definition[] = [
  ...setDefinitions.matchAll(/(?:set|map) (\w+) +\{ (type(?:of)? [^;]+);(.*)\}/g),
].map(([, name = "", type = "", rest = ""]) => {
  const [key = [], data = []] = typesOf(type);
  return { name, key, data, isInterval: rest.includes("interval") };
});

export const setNames = definitions.map(({ name }) => name);

const ipv4 = (value: bigint): string => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
const ipv6 = (value: bigint): string =>
  new URL(`http://[${(value.toString(16).padStart(32, "0").match(/.{4}/g) ?? []).join(":")}]`).hostname.slice(1, -1);

/** Types that are numbers: how many bits, and how they are written. */
const numbers: Readonly<Record<string, readonly [bits: number, format: (value: bigint) => string]>> = {
  ipv4_addr: [32, ipv4],
  ipv6_addr: [128, ipv6],
  inet_service: [16, String],
};

const words: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ifname: fc.oneof(fc.constantFrom("tcp", "17", "all", "__proto__"), fc.stringMatching(/^[A-Za-z0-9_.@-]{1,15}$/)),
  inet_proto: fc.constantFrom("tcp", "udp", "sctp", "253", "0"),
  nf_proto: fc.constantFrom("ipv4", "ipv6"),
  verdict: fc.constantFrom("drop", "accept", "goto pass", "jump leave", "continue", "return"),
};

/** Values of all sizes: the ends, what begins a subnet, anything. */
function number(bits: number): fc.Arbitrary<bigint> {
  const max = (1n << BigInt(bits)) - 1n;
  const any = fc.bigInt({ min: 0n, max });
  const aligned = fc.tuple(any, fc.integer({ min: 0, max: bits })).map(([value, zeros]) => {
    return (value >> BigInt(zeros)) << BigInt(zeros);
  });
  return fc.oneof(any, aligned, fc.constantFrom(0n, 1n, max - 1n, max));
}

function value(type: string): fc.Arbitrary<string> {
  const [bits, format] = numbers[type] ?? [];
  const found = bits && format ? number(bits).map(format) : words[type];
  if (found) return found;
  throw new Error(`a type that no test knows: ${type}`);
}

const joined = (types: readonly string[]): fc.Arbitrary<string> =>
  fc.tuple(...types.map(value)).map((parts) => parts.join(" . "));

/** Intervals that do not overlap, some of them next to each other: the whole range cut into pieces, of which some are taken. */
function intervals(type: string): fc.Arbitrary<string[]> {
  const [bits, format] = numbers[type] ?? [];
  if (!bits || !format) throw new Error(`intervals of ${type}, which no test knows`);
  const cuts = fc.uniqueArray(number(bits), { maxLength: 5 });
  return fc.tuple(cuts, fc.array(fc.boolean(), { minLength: 7, maxLength: 7 })).map(([points, taken]) => {
    const starts = [...new Set([0n, ...points])].sort((a, b) => (a < b ? -1 : 1));
    return starts
      .map((start, at) => [start, (starts[at + 1] ?? 1n << BigInt(bits)) - 1n] as const)
      .filter((_, at) => taken[at])
      .map(([first, last]) => (first === last ? format(first) : `${format(first)}-${format(last)}`));
  });
}

function keys({ key, isInterval }: Definition): fc.Arbitrary<string[]> {
  if (!isInterval) return fc.uniqueArray(joined(key), { maxLength: 6 });
  const [head, last = ""] = [key.slice(0, -1), key.at(-1)];
  if (head.length === 0) return intervals(last);
  const groups = fc.uniqueArray(fc.tuple(joined(head), intervals(last)), {
    maxLength: 3,
    selector: ([prefix]) => prefix,
  });
  return groups.map((all) => all.flatMap(([prefix, rest]) => rest.map((one) => `${prefix} . ${one}`)));
}

const content = (definition: Definition): fc.Arbitrary<Element[]> =>
  keys(definition).chain((all) =>
    fc
      .tuple(...all.map(() => joined(definition.data)))
      .map((data) => all.map((key, at) => [definition.name, key, data[at] ?? ""])),
  );

/** Some elements of every set and map, that can be added together. */
export const someElements: fc.Arbitrary<Element[]> = fc.tuple(...definitions.map(content)).map((all) => all.flat());
