/**
 * The tables of tsnet in memory: it interprets the scripts of plan/nft-script.ts, and nothing else of nft's language. What nft
 * refuses is refused with nft's errno; any text that is not exactly of the grammar is EINVAL, so that nothing gets in unparsed.
 */
import { isIP } from "node:net";
import { TsnetError } from "../../src/errors.ts";
import { type Cidr, overlaps, parseHostAddress } from "../../src/net/cidr.ts";
import type { TableName } from "../../src/plan/nft-script.ts";
import type { ElementCounters, ObservedCounter, ObservedFirewall } from "../../src/plan/observed.ts";
import { typesOf } from "./nft-declaration.ts";

interface NftSet {
  readonly keyTypes: readonly string[];
  /** Empty for a set. */
  readonly dataTypes: readonly string[];
  readonly isInterval: boolean;
  readonly isCounting: boolean;
  readonly elements: ReadonlyMap<string, string>;
}

interface NftTable {
  readonly skeleton: string;
  readonly chains: ReadonlySet<string>;
  readonly sets: ReadonlyMap<string, NftSet>;
}

const refuse = (errno: string, message: string): never => {
  throw new TsnetError("kernel", `run-nft: ${message}`, { errno });
};

type Tables = ReadonlyMap<string, NftTable>;

/** An nft ruleset that knows tsnet's tables. */
export class WorldNft {
  #tables: Tables = new Map();
  /** What has passed, by set and key; an element that is removed loses it. */
  #passed = new Map<string, ObservedCounter>();

  /** One transaction: all of it or nothing. */
  run(script: string): void {
    const commands = splitCommands(script);
    this.#tables = commands.reduce(execute, this.#tables);
    const isThere = (name: string): boolean => {
      const [set = "", key = ""] = name.split(": ");
      return this.#tables.get(counted)?.sets.get(set)?.elements.has(key) ?? false;
    };
    this.#passed = new Map([...this.#passed].filter(([name]) => isThere(name)));
  }

  /** Packets pass an element. */
  pass(set: string, key: string, { packets, bytes }: ObservedCounter): void {
    const before = this.counters()[set]?.[key];
    if (before === undefined) throw new Error(`no element that counts: ${set} ${key}`);
    this.#passed.set(`${set}: ${key}`, { packets: before.packets + packets, bytes: before.bytes + bytes });
  }

  counters(): ElementCounters {
    const counting = [...(this.#tables.get(counted)?.sets ?? [])].filter(
      ([, set]) => set.isCounting && set.elements.size > 0,
    );
    return Object.fromEntries(
      counting.map(([name, { elements }]) => [
        name,
        Object.fromEntries([...elements.keys()].map((key) => [key, this.#passed.get(`${name}: ${key}`) ?? noPackets])),
      ]),
    );
  }

  /** As `nft flush ruleset` by somebody else. */
  flush(): void {
    this.#tables = new Map();
  }

  /** Somebody else changes a rule. */
  changeSkeleton(text: string, name: TableName = counted): void {
    const table = this.#tables.get(name);
    if (table) this.#tables = new Map(this.#tables).set(name, { ...table, skeleton: table.skeleton + text });
  }

  observe(name: TableName = counted): ObservedFirewall | undefined {
    const table = this.#tables.get(name);
    if (table === undefined) return undefined;
    const { skeleton, sets } = table;
    const filled = [...sets].filter(([, { elements }]) => elements.size > 0);
    return {
      skeleton,
      elements: Object.fromEntries(filled.map(([name, { elements }]) => [name, toRecord(elements)])),
    };
  }
}

/** The table whose elements count packets. */
const counted: TableName = "inet tsnet";

const noPackets: ObservedCounter = { packets: 0, bytes: 0 };

const toRecord = (elements: ReadonlyMap<string, string>): Record<string, string> => {
  const record: Record<string, string> = Object.create(null);
  for (const [key, data] of elements) record[key] = data;
  return record;
};

/** A command a line; a table's block goes from its first line to the brace that stands alone. */
function splitCommands(script: string): string[] {
  return [...script.matchAll(/table (?:inet|arp) tsnet \{\n[\s\S]*?\n\}\n|[^\n]*\n?/g)]
    .map(([text]) => text.trimEnd())
    .filter(Boolean);
}

function execute(tables: Tables, command: string): Tables {
  const [, verb = "", name = "", rest = ""] =
    /^(\w*?) ?(?:table |element )((?:inet|arp) tsnet)(.*)$/s.exec(command) ?? [];
  const table = tables.get(name);
  const changed = new Map(tables);
  if (command === `add table ${name}`) {
    return changed.set(name, table ?? { skeleton: "", chains: new Set(), sets: new Map() });
  }
  if (command === `delete table ${name}`) {
    if (!changed.delete(name)) refuse("ENOENT", `No such file or directory in: ${command}`);
    return changed;
  }
  if (command.startsWith(`table ${name} {\n`)) return changed.set(name, parseTable(command));
  return changed.set(name, changeElements(table, command, verb, rest));
}

function changeElements(table: NftTable | undefined, command: string, verb: string, rest: string): NftTable {
  const match = /^ (\w+) \{ (.+) \}$/.exec(rest);
  if (match === null || !/^(add|delete) element /.test(command)) return refuse("EINVAL", `syntax error in: ${command}`);
  const [, name = "", list = ""] = match;
  const set = table?.sets.get(name);
  if (table === undefined || set === undefined) return refuse("ENOENT", `No such file or directory in: ${command}`);
  const elements = new Map(set.elements);
  for (const text of list.split(", ")) {
    if (verb === "add") addElement({ ...set, elements }, elements, parseElement(text, set, table));
    else if (!elements.delete(parseKey(text, set))) refuse("ENOENT", `No such file or directory in: ${text}`);
  }
  return { ...table, sets: new Map(table.sets).set(name, { ...set, elements }) };
}

function addElement(set: NftSet, elements: Map<string, string>, [key, data]: readonly [string, string]): void {
  const present = elements.get(key);
  if (present !== undefined && present !== data) refuse("EEXIST", `File exists: ${key}`);
  if (present === undefined && set.isInterval) {
    const other = [...elements.keys()].find((held) => clash(held, key));
    if (other !== undefined) refuse("EEXIST", `conflicting intervals specified: ${key} and ${other}`);
  }
  elements.set(key, data);
}

/** Whether two keys of an interval set have a value in common: the last parts overlap, and those before are equal. */
function clash(a: string, b: string): boolean {
  const [inA, inB] = [a.split(" . "), b.split(" . ")];
  if (inA.slice(0, -1).join() !== inB.slice(0, -1).join()) return false;
  const [lastA = "", lastB = ""] = [inA.at(-1), inB.at(-1)];
  if (lastA.includes("/") || isIP(lastA) !== 0) return overlaps(subnetOf(lastA), subnetOf(lastB));
  const [[firstA, endA], [firstB, endB]] = [portsOf(lastA), portsOf(lastB)];
  return firstA <= endB && firstB <= endA;
}

const subnetOf = (text: string): Cidr => (text.includes("/") ? parseHostAddress(text).subnet : wholeOf(text));

const wholeOf = (address: string): Cidr => parseHostAddress(`${address}/${isIP(address) === 4 ? 32 : 128}`).subnet;

function portsOf(text: string): [first: number, last: number] {
  const [first = "", last = first] = text.split("-");
  return [Number(first), Number(last)];
}

function parseElement(text: string, set: NftSet, table: NftTable): readonly [key: string, data: string] {
  const parts = text.split(" : ");
  const [key = "", data = ""] = parts;
  if (parts.length !== (set.dataTypes.length === 0 ? 1 : 2)) return refuse("EINVAL", `syntax error in: ${text}`);
  if (set.dataTypes.length > 0) parseParts(data, set.dataTypes, false);
  const target = /^goto (\w+)$/.exec(data)?.[1];
  if (target !== undefined && !table.chains.has(target)) refuse("ENOENT", `no chain ${target}`);
  return [parseKey(key, set), data];
}

const parseKey = (text: string, set: NftSet): string => parseParts(text, set.keyTypes, set.isInterval);

function parseParts(text: string, types: readonly string[], isInterval: boolean): string {
  const parts = text.split(" . ");
  if (parts.length !== types.length) refuse("EINVAL", `expected ${types.join(" . ")}: ${text}`);
  return parts.map((part, index) => parseAtom(part, types[index] ?? "", isInterval)).join(" . ");
}

function parseAtom(text: string, type: string, isInterval: boolean): string {
  const isValid = atoms[type]?.(text, isInterval) ?? false;
  if (!isValid) refuse("EINVAL", `not of type ${type}: ${text}`);
  return type === "ifname" ? text.slice(1, -1) : text;
}

const isAddress = (text: string, isInterval: boolean, family: 4 | 6): boolean => {
  const [address = "", prefix, ...rest] = text.split("/");
  if (isIP(address) !== family || rest.length > 0) return false;
  return (
    prefix === undefined || (isInterval && /^\d{1,3}$/.test(prefix) && parseHostAddress(text).subnet.text === text)
  );
};

const atoms: Readonly<Record<string, (text: string, isInterval: boolean) => boolean>> = {
  // What dev_valid_name() of net/core/dev.c allows, less what would end nft's quotes or make it a wildcard.
  ifname: (text) => /^"[^"\s/:*\\]{1,15}"$/.test(text),
  ipv4_addr: (text, isInterval) => isAddress(text, isInterval, 4),
  ipv6_addr: (text, isInterval) => isAddress(text, isInterval, 6),
  inet_proto: (text) => /^(tcp|udp|sctp)$/.test(text),
  inet_service: (text, isInterval) => {
    const [first, last] = portsOf(text);
    if (!/^\d{1,5}(-\d{1,5})?$/.test(text) || last > 65535 || first > last) return false;
    return !text.includes("-") || (isInterval && first < last);
  },
  nf_proto: (text) => /^ipv[46]$/.test(text),
  verdict: (text) => /^(drop|accept|goto \w+)$/.test(text),
};

function parseTable(command: string): NftTable {
  const skeleton = command.replace(/\s+/g, " ");
  const pattern = /(?:set|map) (\w+) \{ (type(?:of)? [^;]+); (flags interval; )?(counter; )?\}/g;
  const sets = [...skeleton.matchAll(pattern)].map(([, name = "", type = "", interval, counter]): [string, NftSet] => {
    const [keyTypes = [], dataTypes = []] = typesOf(type);
    const definition = { keyTypes, dataTypes };
    const flags = { isInterval: interval !== undefined, isCounting: counter !== undefined };
    return [name, { ...definition, ...flags, elements: new Map() }];
  });
  const chains = [...skeleton.matchAll(/chain (\w+) \{/g)].map(([, name = ""]) => name);
  return { skeleton, chains: new Set(chains), sets: new Map(sets) };
}
