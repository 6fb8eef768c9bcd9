/**
 * Messages of the domain name system, as far as questions for addresses of IPv4 need them: RFC 1035, and the size of RFC 6891. Answers
 * may be anybody's: whoever is root in a container can send there what he likes.
 */
import type { NameAnswer } from "../../plan/name-questions.ts";

const headerBytes = 12;

/** RFC 1035, 4.1.1: flags of the header, and codes of answers by their number (2.3.4: lengths). */
const flags = { answer: 0x8000, kind: 0x7800, truncated: 0x0200, recursion: 0x0100, code: 0x000f } as const;
const codes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"] as const;
const longestLabel = 63;
const longestName = 255;

/** RFC 1035, 3.2.2 and 3.2.4; RFC 6891, 6.1.2. */
const types = { a: 1, opt: 41 } as const;
const internet = 1;

/** The most that fits into a datagram of IPv4: RFC 791, RFC 768. */
export const answerBytes = 65_507;

/** Docker writes a name where it stands, or as one pointer: a chain of more of them leads nowhere. */
const mostPointers = 8;

/**
 * A question.
 * @param id of 16 bits
 * @param name of labels of ASCII, each of 1 to 63 characters, with dots between them
 */
export function encodeQuestion(id: number, name: string): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(flags.recursion, 2);
  header.writeUInt16BE(1, 4); // questions
  header.writeUInt16BE(1, 10); // additional records: OPT
  return Buffer.concat([header, encodeName(name), words(types.a, internet), optRecord]);
}

const words = (...values: readonly number[]): Buffer =>
  Buffer.from(values.flatMap((value) => [value >>> 8, value & 0xff]));

/** RFC 6891, 6.1: the root, OPT, the size; extended code, version and flags are 0, and there is nothing in it. */
const optRecord = Buffer.concat([Buffer.of(0), words(types.opt, answerBytes, 0, 0, 0)]);

const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split(".").flatMap((label) => [Buffer.of(label.length), Buffer.from(label, "latin1")]),
    Buffer.of(0),
  ]);

/** The ID of an answer; undefined for what is none. */
export function answerId(message: Buffer): number | undefined {
  if (message.length < headerBytes) return undefined;
  const bits = message.readUInt16BE(2);
  return (bits & flags.answer) !== 0 && (bits & flags.kind) === 0 ? message.readUInt16BE(0) : undefined;
}

/**
 * What an answer says.
 * @param name that was asked for
 * @returns undefined if it is the answer to something else
 */
export function decodeAnswer(message: Buffer, name: string): NameAnswer | undefined {
  if (answerId(message) === undefined) return undefined;
  try {
    return read(message, name.toLowerCase());
  } catch (error) {
    if (error instanceof RangeError) return { outcome: "malformed", addresses: [] };
    throw error;
  }
}

/** @throws RangeError, as Buffer does, for what is beyond the end or cannot be */
function read(message: Buffer, asked: string): NameAnswer | undefined {
  const [questions, answers] = [message.readUInt16BE(4), message.readUInt16BE(6)];
  if (questions !== 1) throw new RangeError("another number of questions");
  const question = readName(message, headerBytes);
  const [type, kind] = [message.readUInt16BE(question.end), message.readUInt16BE(question.end + 2)];
  if (question.name !== asked || type !== types.a || kind !== internet) return undefined;

  const bits = message.readUInt16BE(2);
  const code = bits & flags.code;
  if (code !== 0) return { outcome: codes[code] ?? `code ${code}`, addresses: [] };
  if ((bits & flags.truncated) !== 0) return { outcome: "truncated", addresses: [] };
  const addresses = new Set<string>();
  for (let at = question.end + 4, n = 0; n < answers; n++) {
    const owner = readName(message, at);
    const length = message.readUInt16BE(owner.end + 8); // after type, class and time to live
    const data = owner.end + 10;
    if (data + length > message.length) throw new RangeError("a record is longer than the message");
    const isAddress = message.readUInt16BE(owner.end) === types.a && message.readUInt16BE(owner.end + 2) === internet;
    if (isAddress && length === 4 && owner.name === asked) addresses.add(message.subarray(data, data + 4).join("."));
    at = data + length;
  }
  return { outcome: "answered", addresses: [...addresses] };
}

/** A name in small letters, and where what follows it begins. @throws RangeError */
function readName(message: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let end: number | undefined;
  let at = start;
  for (let bytes = 1, pointers = 0; ; ) {
    const length = message.readUInt8(at);
    if (length > longestLabel) {
      const target = message.readUInt16BE(at) & 0x3fff;
      end ??= at + 2;
      // RFC 1035, 4.1.4: to a prior occurrence; 01 and 10 are no kinds of labels
      if (length < 0xc0 || target >= at || ++pointers > mostPointers)
        throw new RangeError("a pointer that leads nowhere");
      at = target;
      continue;
    }
    if (length === 0) return { name: labels.join(".").toLowerCase(), end: end ?? at + 1 };
    bytes += length + 1;
    if (bytes > longestName || at + 1 + length > message.length) throw new RangeError("a name that is too long");
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
}
