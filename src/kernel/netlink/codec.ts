/**
 * Bytes of netlink messages and attributes: include/uapi/linux/netlink.h, RFC 3549. Numbers are in the host's byte order, which
 * is little-endian on every machine that Node's and koffi's packages are built for but s390x.
 */
import { TsnetError } from "../../errors.ts";

/** An attribute: its type, and its bytes or the attributes in it. */
export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[]];

/** A received message. The payload is a view of the buffer that was received into. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Of what brought it about: the port ID of a socket, or 0 for the kernel. */
  readonly portId: number;
  readonly payload: Buffer;
}

/** What is sent: a fixed struct, such as struct ifinfomsg, and attributes. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly header: Uint8Array;
  readonly attributes: readonly Attribute[];
}

/** Attributes by type. Of several with one type, the last. */
export type Attributes = ReadonlyMap<number, Buffer>;

const messageHeaderBytes = 16;
/** struct nlattr. */
export const attributeHeaderBytes = 4;

/** NLA_F_NESTED, and what is left of a type without its two flags (NLA_TYPE_MASK). */
const nested = 0x8000;
const typeMask = 0x3fff;

/** NLMSG_ALIGN and NLA_ALIGN: to 4 bytes. */
export const align = (length: number): number => (length + 3) & ~3;

/** The value of an attribute with one byte. */
export const u8 = (value: number): Uint8Array => Uint8Array.of(value);

/** The value of an attribute with two bytes, in the host's order. */
export function u16(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

/** The value of an attribute with four bytes, in the host's order. */
export function u32(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** The value of an attribute with a text that ends with a zero byte. */
export const text = (value: string): Uint8Array => Buffer.from(`${value}\0`);

/** A message with its header. */
export const encodeMessage = (request: Request, sequence: number): Buffer => encodeMessages([{ ...request, sequence }]);

/** Messages one after another, as a datagram may have them: all in one piece of memory. */
export function encodeMessages(requests: readonly (Request & { readonly sequence: number })[]): Buffer {
  const lengths = requests.map(
    ({ header, attributes }) => messageHeaderBytes + align(header.length) + sizeOf(attributes),
  );
  const datagram = Buffer.alloc(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const [n, { type, flags, sequence, header, attributes }] of requests.entries()) {
    const length = lengths[n] ?? 0;
    datagram.writeUInt32LE(length, at);
    datagram.writeUInt16LE(type, at + 4);
    datagram.writeUInt16LE(flags, at + 6);
    datagram.writeUInt32LE(sequence, at + 8);
    datagram.set(header, at + messageHeaderBytes);
    writeAttributes(datagram, at + messageHeaderBytes + align(header.length), attributes);
    at += length;
  }
  return datagram;
}

/** A struct followed by attributes, as the value of an attribute: VETH_INFO_PEER. */
export function encodeEmbedded(header: Uint8Array, attributes: readonly Attribute[]): Buffer {
  const bytes = Buffer.alloc(align(header.length) + sizeOf(attributes));
  bytes.set(header);
  writeAttributes(bytes, align(header.length), attributes);
  return bytes;
}

function sizeOf(attributes: readonly Attribute[]): number {
  let size = 0;
  for (const [, value] of attributes) size += attributeHeaderBytes + align(valueSize(value));
  return size;
}

const valueSize = (value: Attribute[1]): number => (value instanceof Uint8Array ? value.length : sizeOf(value));

function writeAttributes(target: Buffer, start: number, attributes: readonly Attribute[]): void {
  let at = start;
  for (const [type, value] of attributes) {
    const isBytes = value instanceof Uint8Array;
    const length = attributeHeaderBytes + valueSize(value);
    target.writeUInt16LE(length, at);
    target.writeUInt16LE(isBytes ? type : type | nested, at + 2);
    if (isBytes) target.set(value, at + attributeHeaderBytes);
    else writeAttributes(target, at + attributeHeaderBytes, value);
    at += align(length);
  }
}

/**
 * The messages of one datagram.
 * @throws TsnetError "kernel" if one is longer than what is left
 */
export function decodeMessages(datagram: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < datagram.length; ) {
    const left = datagram.length - at;
    const length = left < messageHeaderBytes ? 0 : datagram.readUInt32LE(at);
    if (length < messageHeaderBytes || length > left) throw truncated("message", length, left);
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      portId: datagram.readUInt32LE(at + 12),
      payload: datagram.subarray(at + messageHeaderBytes, at + length),
    });
    at += align(length);
  }
  return messages;
}

/**
 * The attributes from `start` to the end.
 * @throws TsnetError "kernel" if one is longer than what is left
 */
export function decodeAttributes(bytes: Buffer, start = 0): Attributes {
  const attributes = new Map<number, Buffer>();
  for (let at = start; at < bytes.length; ) {
    const left = bytes.length - at;
    const length = left < attributeHeaderBytes ? 0 : bytes.readUInt16LE(at);
    if (length < attributeHeaderBytes || length > left) throw truncated("attribute", length, left);
    attributes.set(bytes.readUInt16LE(at + 2) & typeMask, bytes.subarray(at + attributeHeaderBytes, at + length));
    at += align(length);
  }
  return attributes;
}

/**
 * Where the attribute that begins at `at` ends, and the next begins after padding: for thousands of attributes, of which none
 * becomes an object. Its type is `attributeType`, its value begins at `at + attributeHeaderBytes`.
 * @throws TsnetError "kernel" if it is longer than what is left before `end`
 */
export function attributeEnd(bytes: Buffer, at: number, end: number): number {
  const left = end - at;
  const length = left < attributeHeaderBytes ? 0 : bytes.readUInt16LE(at);
  if (length < attributeHeaderBytes || length > left) throw truncated("attribute", length, left);
  return at + length;
}

/** The type of the attribute that begins there, without its flags. */
export const attributeType = (bytes: Buffer, at: number): number => bytes.readUInt16LE(at + 2) & typeMask;

/**
 * One attribute, without decoding the others: where there are thousands of messages, of which few matter. Of several with one
 * type, the first.
 * @throws TsnetError "kernel" if one before it is longer than what is left
 */
export function findAttribute(bytes: Buffer, type: number, start = 0): Buffer | undefined {
  for (let at = start; at < bytes.length; ) {
    const left = bytes.length - at;
    const length = left < attributeHeaderBytes ? 0 : bytes.readUInt16LE(at);
    if (length < attributeHeaderBytes || length > left) throw truncated("attribute", length, left);
    if ((bytes.readUInt16LE(at + 2) & typeMask) === type) return bytes.subarray(at + attributeHeaderBytes, at + length);
    at += align(length);
  }
  return undefined;
}

const truncated = (what: string, length: number, left: number): TsnetError =>
  new TsnetError("kernel", `netlink: ${what} of ${length} bytes where ${left} bytes are left`);

/** The values of all attributes in a list, whatever their types: NFTA_LIST_ELEM. */
export function splitList(bytes: Buffer): Buffer[] {
  const values: Buffer[] = [];
  for (let at = 0, end = 0; at < bytes.length; at = align(end)) {
    end = attributeEnd(bytes, at, bytes.length);
    values.push(bytes.subarray(at + attributeHeaderBytes, end));
  }
  return values;
}

/** The attributes in an attribute; none if it is not there. */
export function readNested(attributes: Attributes, type: number): Attributes {
  const bytes = attributes.get(type);
  return bytes ? decodeAttributes(bytes) : new Map();
}

/** A number of 1, 2 or 4 bytes; 0 if the attribute is not there. */
export function readNumber(attributes: Attributes, type: number): number {
  const bytes = attributes.get(type);
  if (!bytes) return 0;
  if (bytes.length >= 4) return bytes.readUInt32LE();
  return bytes.length >= 2 ? bytes.readUInt16LE() : bytes.readUInt8();
}

/** A text up to its zero byte; "" if the attribute is not there. */
export function readText(attributes: Attributes, type: number): string {
  const bytes = attributes.get(type);
  if (!bytes) return "";
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}
