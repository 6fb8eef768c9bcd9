/**
 * Our table without its elements, as a text that is equal for two tables made by the same script: of each object its name and a
 * digest of what the kernel says of it, but for what changes by itself (handles, how often something is used, counted packets).
 * It is not made by libnftables, which reads all elements even to list a table without them, and begins anew whenever others
 * change the ruleset. Attributes: include/uapi/linux/netfilter/nf_tables.h.
 */
import { createHash } from "node:crypto";
import {
  type Attribute,
  type Attributes,
  decodeAttributes,
  findAttribute,
  readText,
  splitList,
  text,
} from "./netlink/codec.ts";
import { nftaElem, nftaElemList, nftaExpr, nftaSet, nftMessage, nftSet } from "./netlink/constants.ts";
import type { NetlinkSocket } from "./netlink/socket.ts";

/** A table as the kernel knows it. */
export interface TableKey {
  /** NFPROTO_… of include/uapi/linux/netfilter.h. */
  readonly family: number;
  readonly name: string;
}

/** struct nfgenmsg: family, version, resource ID. include/uapi/linux/netfilter/nfnetlink.h. */
const nfgenBytes = 4;
export const headerOf = ({ family }: TableKey): Uint8Array => Uint8Array.of(family, 0, 0, 0);

/** The attribute that names the table, in objects of every kind and in what asks for them. */
const tableAttribute = 1;

/** One kind of object: what lists it, where its name stands, and which attributes make it what it is. */
interface Kind {
  readonly what: string;
  readonly message: number;
  readonly name: number;
  readonly attributes: readonly number[];
  /** Which of the attributes are lists of expressions. */
  readonly expressions?: readonly number[];
}

const kinds: readonly Kind[] = [
  // NFTA_TABLE_…: flags, user data, owner
  { what: "table", message: nftMessage.getTable, name: 1, attributes: [2, 6, 7] },
  // NFTA_CHAIN_…: hook, policy, type, flags, user data
  { what: "chain", message: nftMessage.getChain, name: 3, attributes: [4, 5, 7, 10, 12] },
  // NFTA_RULE_…, under the name of its chain: compat, user data, expressions
  { what: "rule", message: nftMessage.getRule, name: 2, attributes: [5, 7], expressions: [4] },
  // NFTA_SET_…: flags, type and length of key and data, policy, description, timeouts, user data, type of objects, counters
  { what: "set", message: nftMessage.getSet, name: 2, attributes: [3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 17, 18] },
  // NFTA_OBJ_…: type
  { what: "object", message: nftMessage.getObject, name: 2, attributes: [3] },
  // NFTA_FLOWTABLE_…: whatever it is, it is not ours
  { what: "flowtable", message: nftMessage.getFlowtable, name: 2, attributes: [] },
];

/** Expressions that count: what they say besides is no part of the rule. */
const counting: readonly string[] = ["counter", "last"];

/** How often something is listed before what others change meanwhile is taken for no concern of ours: see nft-table.ts. */
const attempts = 3;

/**
 * One line for each object of the table, rules in the order of their chain; undefined if there is no such
 * table.
 * @throws TsnetError "kernel"
 */
export function observeSkeleton(socket: NetlinkSocket, table: TableKey): string | undefined {
  const lines = kinds.flatMap((kind) => listObjects(socket, kind, table));
  return lines[0]?.startsWith("table ") ? lines.join("\n") : undefined;
}

function listObjects(socket: NetlinkSocket, kind: Kind, table: TableKey): string[] {
  const objects: Attributes[] = [];
  dump(
    { socket, type: kind.message, table },
    [[tableAttribute, text(table.name)]],
    () => void objects.splice(0),
    (payload) => {
      const attributes = decodeAttributes(Buffer.from(payload), nfgenBytes);
      if (readText(attributes, tableAttribute) === table.name) objects.push(attributes);
    },
  );
  return objects.map((attributes) => {
    const name = readText(attributes, kind.name);
    const isAnonymous =
      kind.what === "set" && ((attributes.get(nftaSet.flags)?.readUInt32BE() ?? 0) & nftSet.anonymous) !== 0;
    const elements = isAnonymous ? listElements(socket, table, name) : [];
    return `${kind.what} ${name} ${digest([...describe(kind, attributes), ...elements])}`;
  });
}

function* describe({ attributes: wanted, expressions = [] }: Kind, attributes: Attributes): Generator<string> {
  for (const type of wanted) yield `${type} ${attributes.get(type)?.toString("hex")}`;
  for (const type of expressions) {
    for (const expression of splitList(attributes.get(type) ?? Buffer.alloc(0))) {
      const name = findAttribute(expression, nftaExpr.name)?.toString("latin1").replace("\0", "") ?? "";
      yield counting.includes(name) ? name : expression.toString("hex");
    }
  }
}

/** The elements of a set that belongs to a rule, in an order that does not depend on where the kernel keeps them. */
function listElements(socket: NetlinkSocket, table: TableKey, set: string): string[] {
  const elements: string[] = [];
  const names: Attribute[] = [
    [nftaElemList.table, text(table.name)],
    [nftaElemList.set, text(set)],
  ];
  dump(
    { socket, type: nftMessage.getSetElem, table },
    names,
    () => void elements.splice(0),
    (payload) => {
      for (const element of splitList(findAttribute(payload, nftaElemList.elements, nfgenBytes) ?? Buffer.alloc(0))) {
        const parts = [nftaElem.key, nftaElem.keyEnd, nftaElem.data, nftaElem.flags];
        elements.push(parts.map((type) => findAttribute(element, type)?.toString("hex")).join(" "));
      }
    },
  );
  return elements.sort();
}

function dump(
  { socket, type, table }: { readonly socket: NetlinkSocket; readonly type: number; readonly table: TableKey },
  attributes: readonly Attribute[],
  begin: () => void,
  visit: (payload: Buffer) => void,
): void {
  socket.tryDump(
    { type, flags: 0, header: headerOf(table), attributes },
    begin,
    ({ payload }) => visit(payload),
    attempts,
  );
}

const digest = (texts: readonly string[]): string => createHash("sha256").update(texts.join("\n")).digest("base64url");
