/**
 * libnftables' JSON of one table (man 5 libnftables-json), turned into values to compare.
 *
 * Elements are written as nft's own language writes them, but for two things: interface names stand without quotes, and
 * protocols always by name, although the listing is asked for in numbers (it must not depend on /etc/protocols). The
 * kernel keeps intervals as they were added, adjacent ones included (no auto-merge), with three exceptions: a /32, a /128
 * and a range of one come back as the single value, and a range of addresses that is a prefix comes back as the prefix.
 */
import type { Elements, ObservedFirewall } from "../plan/observed.ts";

type Json = null | boolean | number | string | readonly Json[] | JsonObject;
interface JsonObject {
  readonly [key: string]: Json;
}

/** IANA's assigned numbers, those that a firewall of containers meets; any other stays a number, which nft reads as well. */
const protocols: Readonly<Record<number, string>> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  33: "dccp",
  50: "esp",
  51: "ah",
  58: "ipv6-icmp",
  108: "comp",
  132: "sctp",
  136: "udplite",
};

/**
 * Reads `list table` as libnftables prints it with the JSON and NUMERIC flags.
 * @throws SyntaxError, TypeError if it is not that
 */
export function parseFirewall(text: string): ObservedFirewall {
  const listing: unknown = JSON.parse(text);
  if (!isObject(listing) || !Array.isArray(listing["nftables"]))
    throw new TypeError("nft: the listing has no nftables");
  const objects = (listing["nftables"] as readonly Json[]).filter(isObject);
  return { skeleton: formatSkeleton(objects), elements: formatElements(objects) };
}

function formatElements(objects: readonly JsonObject[]): Elements {
  const elements: Record<string, Record<string, string>> = {};
  for (const object of objects) {
    const set = object["set"] ?? object["map"];
    if (!isObject(set)) continue;
    const types = listOf(set["type"] ?? null).map(String);
    const entries = listOf(set["elem"] ?? []).map((element) => formatEntry(element, types, "map" in set));
    elements[String(set["name"])] = Object.fromEntries(entries);
  }
  return elements;
}

function formatEntry(element: Json, types: readonly string[], isMap: boolean): [key: string, data: string] {
  if (!isMap) return [formatValue(element, types), ""];
  const [key = null, data = null] = listOf(element);
  return [formatValue(key, types), formatValue(data, [])];
}

/** One value in nft's own language; `types` are the types of its parts, as the set declares them. */
function formatValue(value: Json, types: readonly string[]): string {
  if (typeof value === "number") return (types[0] === "inet_proto" ? protocols[value] : undefined) ?? String(value);
  if (!isObject(value)) return String(value);
  const [kind = "", inner = null] = Object.entries(value)[0] ?? [];
  switch (kind) {
    case "elem":
      return formatValue(isObject(inner) ? (inner["val"] ?? null) : null, types);
    case "concat":
      return listOf(inner)
        .map((part, index) => formatValue(part, types.slice(index, index + 1)))
        .join(" . ");
    case "range":
      return listOf(inner)
        .map((end) => formatValue(end, []))
        .join("-");
    case "prefix":
      return isObject(inner) ? `${inner["addr"]}/${inner["len"]}` : kind;
    default:
      return isObject(inner) ? `${kind} ${inner["target"]}` : kind; // a verdict
  }
}

/**
 * One line for each chain, rule, set and map: definitions sorted, since their order means nothing, and rules in the order
 * of their chain. A table with flags, a counter or anything else that we never make shows up as a line of its own.
 */
function formatSkeleton(objects: readonly JsonObject[]): string {
  const lines = objects
    .filter((object) => !("metainfo" in object))
    .map((object) => JSON.stringify(object, withoutState));
  const rules = lines.filter((line) => line.startsWith('{"rule"'));
  const definitions = lines.filter((line) => !line.startsWith('{"rule"'));
  return [...definitions.sort(), ...sortByChain(rules)].join("\n");
}

/** Rules of one chain keep their order: the sort is stable, and compares no more than the name of the chain. */
function sortByChain(rules: readonly string[]): string[] {
  const chain = (rule: string): string => /"chain":"([^"]*)"/.exec(rule)?.[1] ?? "";
  const order = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);
  return rules.toSorted((left, right) => order(chain(left), chain(right)));
}

/** Leaves out what differs between two tables made by the same script: handles, elements, counted packets. */
function withoutState(this: unknown, key: string, value: Json): Json | undefined {
  if (key === "handle" || key === "elem") return undefined;
  return key === "counter" ? null : value;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function listOf(value: Json): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [value];
}
