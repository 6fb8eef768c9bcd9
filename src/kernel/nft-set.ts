/** One set or map of nf_tables, and its elements as texts. Sources: include/uapi/linux/netfilter/nf_tables.h, nft's segtree.c. */
import type { ObservedCounter } from "../plan/observed.ts";
import {
  type Attributes,
  align,
  attributeEnd,
  attributeHeaderBytes,
  attributeType,
  decodeAttributes,
  findAttribute,
  readText,
} from "./netlink/codec.ts";
import {
  nftaCounter,
  nftaElem,
  nftaElemList,
  nftaExpr,
  nftaSet,
  nftDataVerdict,
  nftElem,
  nftSet,
} from "./netlink/constants.ts";
import { formatInterval, formatValue, type Layout, layoutOf, valueIn, verdictIn } from "./nft-types.ts";

/** struct nfgenmsg of include/uapi/linux/netfilter/nfnetlink.h. */
const nfgenBytes = 4;

/** Of set definitions, what it takes to read the elements. */
export interface SetDefinition {
  readonly name: string;
  readonly key: Layout;
  /** undefined for a set. */
  readonly data: Layout | "verdict" | undefined;
  /** Elements are where intervals begin and end (an interval set whose key is no concatenation). */
  readonly isOfBounds: boolean;
  readonly hasCounters: boolean;
}

/** What a set holds. */
export interface SetContent {
  /** Key → data, "" in a set. */
  readonly elements: Record<string, string>;
  /** Empty unless asked for. */
  readonly counters: Record<string, ObservedCounter>;
  /** Whether there are elements of a form that we never write. */
  hasForeign: boolean;
}

/** Where an interval begins, or the value after its end. */
interface Bound {
  readonly value: Buffer;
  readonly isEnd: boolean;
  readonly data: string | undefined;
  readonly counter: ObservedCounter | undefined;
}

/** One element as it comes. */
interface Element {
  key: number | undefined;
  keyEnd: number | undefined;
  data: string | undefined;
  flags: number;
  counter: ObservedCounter | undefined;
}

/**
 * The answer to NFT_MSG_GETSET. undefined for a set without a name of its own, which belongs to a rule; only the name of one that
 * holds what our sets never do.
 */
export function decodeSet(payload: Buffer): SetDefinition | string | undefined {
  const attributes = decodeAttributes(payload, nfgenBytes);
  const flags = numberIn(attributes, nftaSet.flags);
  if ((flags & nftSet.anonymous) !== 0) return undefined;
  const name = readText(attributes, nftaSet.name);
  const key = layoutOf(numberIn(attributes, nftaSet.keyType));
  const isMap = (flags & nftSet.map) !== 0;
  const data = isMap ? dataLayoutOf(numberIn(attributes, nftaSet.dataType)) : undefined;
  if (!key || (isMap && !data) || (flags & nftSet.object) !== 0) return name;
  return {
    name,
    key,
    data,
    isOfBounds: (flags & nftSet.interval) !== 0 && key.parts.length === 1,
    hasCounters: attributes.has(nftaSet.expression) || attributes.has(nftaSet.expressions),
  };
}

const dataLayoutOf = (type: number): Layout | "verdict" | undefined =>
  type === nftDataVerdict ? "verdict" : layoutOf(type);

/** A number in the network's byte order; 0 if the attribute is not there. */
const numberIn = (attributes: Attributes, type: number): number => attributes.get(type)?.readUInt32BE() ?? 0;

/** Puts together what a set holds from the messages of one dump (NFT_MSG_GETSETELEM). */
export class SetReader {
  readonly #set: SetDefinition;
  readonly #wantsCounters: boolean;
  readonly #bounds: Bound[] = [];
  readonly #content: SetContent = {
    elements: Object.create(null) as Record<string, string>,
    counters: Object.create(null) as Record<string, ObservedCounter>,
    hasForeign: false,
  };

  constructor(set: SetDefinition, wantsCounters: boolean) {
    this.#set = set;
    this.#wantsCounters = wantsCounters;
  }

  /** @throws TsnetError "kernel" if an attribute is longer than what is left */
  read(payload: Buffer): void {
    for (let at = nfgenBytes, end = 0; at < payload.length; at = align(end)) {
      end = attributeEnd(payload, at, payload.length);
      if (attributeType(payload, at) === nftaElemList.elements) this.#readList(payload, at + attributeHeaderBytes, end);
    }
  }

  /** What was read, after the last message. */
  finish(): SetContent {
    this.#joinBounds();
    return this.#content;
  }

  #readList(bytes: Buffer, start: number, end: number): void {
    for (let at = start, next = 0; at < end; at = align(next)) {
      next = attributeEnd(bytes, at, end);
      this.#add(bytes, this.#decode(bytes, at + attributeHeaderBytes, next));
    }
  }

  #decode(bytes: Buffer, start: number, end: number): Element {
    const { key, data } = this.#set;
    const none = data === undefined ? "" : undefined;
    const element: Element = { key: undefined, keyEnd: undefined, data: none, flags: 0, counter: undefined };
    for (let at = start, next = 0; at < end; at = align(next)) {
      next = attributeEnd(bytes, at, end);
      const from = at + attributeHeaderBytes;
      const type = attributeType(bytes, at);
      if (type === nftaElem.key) element.key = valueIn(bytes, from, next, key);
      else if (type === nftaElem.keyEnd) element.keyEnd = valueIn(bytes, from, next, key);
      else if (type === nftaElem.flags) element.flags = bytes.readUInt32BE(from);
      else if (type === nftaElem.data) element.data = decodeData(data, bytes, from, next);
      else if (type === nftaElem.expression && this.#wantsCounters) {
        element.counter = decodeCounter(bytes.subarray(from, next));
      }
    }
    return element;
  }

  #add(bytes: Buffer, { key, keyEnd, data, flags, counter }: Element): void {
    const { key: layout, isOfBounds } = this.#set;
    const valueAt = (at: number): Buffer => bytes.subarray(at, at + layout.bytes);
    if (key === undefined)
      this.#content.hasForeign = true; // it stands for every key that is not there
    else if (isOfBounds) {
      const isEnd = (flags & nftElem.intervalEnd) !== 0;
      // the next message takes the place of this one
      this.#bounds.push({ value: Buffer.from(valueAt(key)), isEnd, data, counter });
    } else if (keyEnd === undefined) this.#put(formatValue(layout, bytes, key), data, counter);
    else this.#put(formatInterval(layout, valueAt(key), valueAt(keyEnd)), data, counter);
  }

  #put(key: string | undefined, data: string | undefined, counter: ObservedCounter | undefined): void {
    if (key === undefined || data === undefined) this.#content.hasForeign = true;
    else {
      this.#content.elements[key] = data;
      if (counter) this.#content.counters[key] = counter;
    }
  }

  /** An interval ends before the next bound, whichever that is, and the last at the largest value if no end follows. */
  #joinBounds(): void {
    const bounds = this.#bounds.sort((a, b) => a.value.compare(b.value) || Number(b.isEnd) - Number(a.isEnd));
    for (const [index, { value, isEnd, data, counter }] of bounds.entries()) {
      if (isEnd) continue;
      const next = bounds[index + 1]?.value;
      const last = next ? valueBefore(next) : Buffer.alloc(value.length, 0xff);
      this.#put(formatInterval(this.#set.key, value, last), data, counter);
    }
  }
}

function decodeData(layout: SetDefinition["data"], bytes: Buffer, start: number, end: number): string | undefined {
  if (layout === undefined) return undefined;
  if (layout === "verdict") return verdictIn(bytes, start, end);
  const at = valueIn(bytes, start, end, layout);
  return at === undefined ? undefined : formatValue(layout, bytes, at);
}

/** NFTA_SET_ELEM_EXPR; undefined if it is no counter. */
function decodeCounter(expression: Buffer): ObservedCounter | undefined {
  const name = findAttribute(expression, nftaExpr.name);
  const data = findAttribute(expression, nftaExpr.data);
  if (!data || name?.toString("latin1") !== "counter\0") return undefined;
  return { packets: countIn(data, nftaCounter.packets), bytes: countIn(data, nftaCounter.bytes) };
}

/** A number of 64 bits in the network's byte order, above 2^53 not to the unit. */
function countIn(bytes: Buffer, type: number): number {
  const count = findAttribute(bytes, type);
  return count ? count.readUInt32BE() * 2 ** 32 + count.readUInt32BE(4) : 0;
}

/** The value below, of as many bytes. */
function valueBefore(value: Buffer): Buffer {
  const before = Buffer.from(value);
  for (let at = before.length - 1; at >= 0; at--) {
    const byte = before[at] ?? 0;
    before[at] = byte - 1;
    if (byte > 0) break;
  }
  return before;
}
