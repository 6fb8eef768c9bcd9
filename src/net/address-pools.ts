/** TSNET_ADDRESS_POOLS: where subnets are chosen from, and where never. The words base and size are those of dockerd's settings. */
import { TsnetError } from "../errors.ts";
import { type Cidr, type Family, overlaps, parseCidr } from "./cidr.ts";
import { nearest } from "./nearest.ts";

/** A range that is split into subnets of one size, for networks of one host (local) or of a swarm (global). */
export interface AddressPool {
  readonly scope: "local" | "global";
  readonly base: Cidr;
  /** Prefix length of the subnets, in bits. */
  readonly prefix: number;
}

export interface AddressPools {
  readonly pools: readonly AddressPool[];
  /** No subnet that we choose touches one of these. */
  readonly excluded: readonly Cidr[];
}

export const noAddressPools: AddressPools = { pools: [], excluded: [] };

const example = "base=10.10.0.0/16,size=24";

/** The smallest subnets that have room for a gateway and a container. */
const longestPrefix: Readonly<Record<Family, number>> = { 4: 30, 6: 126 };

/** What is no container's: this host, loopback, link-local, multicast and beyond (RFC 6890). */
const unusable = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/8", "fe80::/10", "ff00::/8"].map(
  parseCidr,
);

/**
 * Reads "base=10.10.0.0/16,size=24;base=10.20.0.0/16,size=24,scope=global;exclude=10.10.5.0/24". The scope is local if it is not
 * given; "" is no pools at all.
 * @throws TsnetError "invalid", which names the entry, the key and the value
 */
export function parseAddressPools(text: string): AddressPools {
  const pools: AddressPool[] = [];
  const excluded: Cidr[] = [];
  const entries = text
    .split(";")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  for (const entry of entries) {
    const fields = parseFields(entry);
    if (fields.has("exclude")) excluded.push(parseExclude(entry, fields));
    else pools.push(parsePool(entry, fields));
  }
  assertNoOverlap(pools);
  return { pools, excluded };
}

const keys = ["base", "size", "scope", "exclude"];

function parseFields(entry: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const field of entry.split(",")) {
    const [key = "", value = "", ...rest] = field.split("=").map((word) => word.trim());
    if (value === "" || rest.length > 0) throw invalid(entry, `expected key=value, got ${JSON.stringify(field)}`);
    if (!keys.includes(key)) throw invalid(entry, `unknown key ${key}: did you mean ${nearest(key, keys)}?`);
    if (fields.has(key)) throw invalid(entry, `${key} is given twice`);
    fields.set(key, value);
  }
  return fields;
}

function parseExclude(entry: string, fields: ReadonlyMap<string, string>): Cidr {
  if (fields.size > 1) throw invalid(entry, "exclude stands alone: separate it from pools with a semicolon");
  return subnetOf(entry, "exclude", fields);
}

function parsePool(entry: string, fields: ReadonlyMap<string, string>): AddressPool {
  for (const key of ["base", "size"]) {
    if (!fields.has(key)) throw invalid(entry, `${key} is missing: expected such as ${example}`);
  }
  const base = subnetOf(entry, "base", fields);
  const odd = unusable.find((range) => overlaps(range, base));
  if (odd) throw invalid(entry, `base=${base.text} touches ${odd.text}, which containers cannot use`);
  const scope = fields.get("scope") ?? "local";
  if (scope !== "local" && scope !== "global") throw invalid(entry, `scope=${scope}: expected local or global`);
  return { scope, base, prefix: sizeOf(entry, base, fields.get("size") ?? "") };
}

function sizeOf(entry: string, base: Cidr, text: string): number {
  const size = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  const longest = longestPrefix[base.family];
  if (size >= base.prefix && size <= longest) return size;
  const range = base.prefix > longest ? `${base.text} is too small to be split` : `${base.prefix} to ${longest}`;
  throw invalid(entry, `size=${text}: expected the prefix length of the subnets, ${range}`);
}

function subnetOf(entry: string, key: string, fields: ReadonlyMap<string, string>): Cidr {
  const text = fields.get(key) ?? "";
  try {
    return parseCidr(text);
  } catch (cause) {
    throw invalid(entry, `${key}=${text}`, cause);
  }
}

/** Those of the two scopes as well: their networks meet on one host. */
function assertNoOverlap(pools: readonly AddressPool[]): void {
  pools.forEach(({ base }, index) => {
    const other = pools.slice(0, index).find((earlier) => overlaps(earlier.base, base));
    if (other)
      throw new TsnetError("invalid", `base=${base.text} overlaps base=${other.base.text}: give each range once`);
  });
}

const invalid = (entry: string, problem: string, cause?: unknown): TsnetError =>
  new TsnetError("invalid", `${entry}: ${problem}`, { cause });
