/** What the program nft lists of our table's elements, as texts to compare with: the judge of our own reading. */
import { execFileSync } from "node:child_process";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
interface Listed {
  readonly name: string;
  readonly type: string | readonly string[];
  readonly map?: string;
  readonly elem?: readonly Json[];
}
interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

/** What `-n` lists as numbers, and our table's elements have as names. */
const names: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  inet_proto: { 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp" },
  nf_proto: { 2: "ipv4", 10: "ipv6" },
};

/** Set or map → key → data ("" in a set). */
export function listElements(): Record<string, Record<string, string>> {
  return Object.fromEntries(
    listSets().map((set) => {
      const types = [set.type].flat();
      const entries = (set.elem ?? []).map((element) => {
        const [key = null, data = ""] = set.map === undefined ? [element] : (element as readonly Json[]);
        return [formatValue(key, types), formatValue(data, [])];
      });
      return [set.name, Object.fromEntries(entries)];
    }),
  );
}

/** Set or map → key → counter, of the elements that have one. */
export function listCounters(): Record<string, Record<string, Counter>> {
  const counted = listSets().map((set) => {
    const keys = (set.elem ?? []).map((element) => (set.map === undefined ? element : (element as readonly Json[])[0]));
    const entries = keys.flatMap((key) => {
      const { counter } = ((key as { elem?: object } | null)?.elem ?? {}) as { counter?: Counter };
      return counter ? [[formatValue(key ?? null, [set.type].flat()), counter] as const] : [];
    });
    return [set.name, Object.fromEntries(entries)] as const;
  });
  return Object.fromEntries(counted.filter(([, counters]) => Object.keys(counters).length > 0));
}

function listSets(): Listed[] {
  const options = { encoding: "utf8", maxBuffer: 1 << 28 } as const;
  const listing = JSON.parse(execFileSync("nft", ["-j", "-n", "list", "table", "inet", "tsnet"], options));
  return (listing.nftables as { set?: Listed; map?: Listed }[]).flatMap(({ set, map }) => set ?? map ?? []);
}

function formatValue(value: Json, types: readonly string[]): string {
  if (typeof value === "number") return names[types[0] ?? ""]?.[value] ?? String(value);
  if (typeof value !== "object" || value === null) return formatText(String(value));
  const [[kind = "", inner = null] = []] = Object.entries(value);
  const list = (Array.isArray(inner) ? inner : [inner]) as readonly Json[];
  const fields = inner as Readonly<Record<string, Json>> | null;
  if (kind === "elem") return formatValue(fields?.["val"] ?? null, types);
  if (kind === "concat") return list.map((part, at) => formatValue(part, types.slice(at, at + 1))).join(" . ");
  if (kind === "range") return list.map((end) => formatValue(end, types)).join("-");
  if (kind === "prefix") return `${formatText(String(fields?.["addr"]))}/${fields?.["len"]}`;
  return fields ? `${kind} ${fields["target"]}` : kind;
}

/** IPv6 without the dotted end that nft gives some addresses: what URLs have is RFC 5952's form in hexadecimal. */
const formatText = (text: string): string =>
  /^[0-9a-f]*:[0-9a-f:.]*$/.test(text) ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text;
