/**
 * Values of nf_tables as texts: the types that our sets use, single or as parts of a concatenation. The kernel knows nothing of
 * types; their numbers are those that nft gives them (enum datatypes of nft's include/datatype.h), and part of what it stores.
 */
import { attributeEnd, attributeHeaderBytes, attributeType, decodeAttributes, readText } from "./netlink/codec.ts";
import { nftaData, nftaVerdict } from "./netlink/constants.ts";
import { formatMac } from "./netlink/messages.ts";

/** A type with its length, and how a value of it is written in nft's own language; undefined for one that we never write. */
interface DataType {
  readonly bytes: number;
  /** How several values are written: as a range, or as a prefix where they are one; not at all in our sets. */
  readonly several: "range" | "prefix" | "never";
  readonly format: (bytes: Buffer, at: number) => string | undefined;
}

/** What a key or data consists of: one type, or the parts of a concatenation, each of which is padded to 4 bytes. */
export interface Layout {
  readonly parts: readonly { readonly type: DataType; readonly offset: number }[];
  /** Length of a value. */
  readonly bytes: number;
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

/** NFPROTO_… as nft reads and writes them without the flag for numbers. */
const families: Readonly<Record<number, string>> = { 2: "ipv4", 10: "ipv6" };

/** nf_proto, ipv4_addr, ipv6_addr, ether_addr, inet_proto, inet_service, mark, ifname. A mark is in the host's byte order. */
const dataTypes: Readonly<Record<number, DataType>> = {
  2: { bytes: 1, several: "never", format: (bytes, at) => nameOf(families, bytes.readUInt8(at)) },
  7: { bytes: 4, several: "prefix", format: formatIpv4 },
  8: { bytes: 16, several: "prefix", format: formatIpv6 },
  9: { bytes: 6, several: "never", format: (bytes, at) => formatMac(bytes.subarray(at, at + 6)) },
  12: { bytes: 1, several: "never", format: (bytes, at) => nameOf(protocols, bytes.readUInt8(at)) },
  13: { bytes: 2, several: "range", format: (bytes, at) => String(bytes.readUInt16BE(at)) },
  19: { bytes: 4, several: "never", format: (bytes, at) => String(bytes.readUInt32LE(at)) },
  41: { bytes: 16, several: "never", format: formatName },
};

/** Each part of a concatenation takes so many bits of the number of its type, the first part the highest (TYPE_BITS). */
const typeBits = 6;

/** Codes of a verdict: NF_… of include/uapi/linux/netfilter.h, NFT_… of …/netfilter/nf_tables.h. */
const verdicts: Readonly<Record<number, string>> = {
  0: "drop",
  1: "accept",
  [-1]: "continue",
  [-2]: "break",
  [-3]: "jump",
  [-4]: "goto",
  [-5]: "return",
};

/** The layout of a type by nft's number; undefined if one of its parts is of a type that our sets do not use. */
export function layoutOf(number: number): Layout | undefined {
  const numbers: number[] = [];
  for (let rest = number; rest > 0; rest = Math.floor(rest / 2 ** typeBits)) numbers.unshift(rest % 2 ** typeBits);
  const parts: { type: DataType; offset: number }[] = [];
  let offset = 0;
  for (const one of numbers) {
    const type = dataTypes[one];
    if (!type) return undefined;
    parts.push({ type, offset });
    offset += (type.bytes + 3) & ~3;
  }
  const [only] = parts;
  if (!only) return undefined;
  return { parts, bytes: parts.length === 1 ? only.type.bytes : offset };
}

/** A value as nft writes it: "tcp . 8080"; undefined if a part of it is none that we write. */
export function formatValue({ parts }: Layout, bytes: Buffer, at: number): string | undefined {
  let text = "";
  for (const { type, offset } of parts) {
    const part = type.format(bytes, at + offset);
    if (part === undefined) return undefined;
    text += text === "" ? part : ` . ${part}`;
  }
  return text;
}

/** All values from the first to the last, in each part: "tcp . 8000-8010", "br0 . 10.0.0.0/8"; undefined as for formatValue. */
export function formatInterval({ parts }: Layout, first: Buffer, last: Buffer): string | undefined {
  const texts = parts.map(({ type, offset }) => formatRange(type, offset, first, last));
  return texts.includes(undefined) ? undefined : texts.join(" . ");
}

function formatRange(type: DataType, offset: number, first: Buffer, last: Buffer): string | undefined {
  const end = offset + type.bytes;
  const low = type.format(first, offset);
  if (first.compare(last, offset, end, offset, end) === 0) return low;
  if (type.several === "never") return undefined;
  const range = `${low}-${type.format(last, offset)}`;
  if (type.several === "range") return range;
  const prefix = prefixOf(first.subarray(offset, end), last.subarray(offset, end));
  return prefix === undefined ? range : `${low}/${prefix}`;
}

/** The length in bits of the prefix that is exactly these values; undefined if there is none. */
function prefixOf(first: Buffer, last: Buffer): number | undefined {
  let bits = 0;
  for (let at = 0; at < first.length; at++) {
    const differing = (first[at] ?? 0) ^ (last[at] ?? 0);
    bits += Math.clz32(differing) - 24;
    if (differing === 0) continue;
    const isWhole = (differing & (differing + 1)) === 0 && ((first[at] ?? 0) & differing) === 0;
    const isRestWhole = first.subarray(at + 1).every((byte) => byte === 0) && last.subarray(at + 1).every(isFull);
    return isWhole && isRestWhole ? bits : undefined;
  }
  return bits;
}

const isFull = (byte: number): boolean => byte === 0xff;

/** "goto pass", "drop": a verdict in NFTA_SET_ELEM_DATA; undefined if there is none. */
export function verdictIn(bytes: Buffer, start: number, end: number): string | undefined {
  const verdict = decodeAttributes(bytes.subarray(start, end)).get(nftaData.verdict);
  if (!verdict) return undefined;
  const attributes = decodeAttributes(verdict);
  const code = attributes.get(nftaVerdict.code)?.readInt32BE() ?? 0;
  const chain = readText(attributes, nftaVerdict.chain);
  return `${nameOf(verdicts, code)}${chain && ` ${chain}`}`;
}

/** Where the value begins in NFTA_SET_ELEM_KEY, …_KEY_END or …_DATA; undefined if it is none of that layout. */
export function valueIn(bytes: Buffer, start: number, end: number, layout: Layout): number | undefined {
  const value = start + attributeHeaderBytes;
  const isValue = attributeEnd(bytes, start, end) - value === layout.bytes;
  return isValue && attributeType(bytes, start) === nftaData.value ? value : undefined;
}

const nameOf = (names: Readonly<Record<number, string>>, number: number): string => names[number] ?? String(number);

function formatIpv4(bytes: Buffer, at: number): string {
  const number = bytes.readUInt32BE(at);
  return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
}

/** As net/cidr.ts writes it (RFC 5952), so without a dotted end: the texts of records and of the kernel are compared. */
function formatIpv6(bytes: Buffer, at: number): string {
  let [best, bestLength] = [-1, 1];
  for (let group = 0, zeros = 0; group < 8; group++) {
    zeros = bytes.readUInt16BE(at + group * 2) === 0 ? zeros + 1 : 0;
    if (zeros > bestLength) [best, bestLength] = [group - zeros + 1, zeros];
  }
  let text = "";
  for (let group = 0; group < 8; group++) {
    if (group === best) {
      text += "::";
      group += bestLength - 1;
    } else text += `${text === "" || text.endsWith(":") ? "" : ":"}${bytes.readUInt16BE(at + group * 2).toString(16)}`;
  }
  return text;
}

/** Up to the zero byte with which the kernel fills it up. Names with other characters than net/names.ts lets through are not ours. */
function formatName(bytes: Buffer, at: number): string | undefined {
  let end = at;
  while (end < at + 16 && bytes[end] !== 0) end++;
  const name = bytes.toString("latin1", at, end);
  return /^[A-Za-z0-9_.@-]+$/.test(name) ? name : undefined;
}
