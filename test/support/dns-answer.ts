/** Answers of a name server, made by hand: RFC 1035. */

interface DnsAnswer {
  readonly id?: number;
  readonly name: string;
  readonly addresses: readonly string[];
  /** Code and flags besides: RFC 1035, 4.1.1. */
  readonly bits?: number;
  /** Of the question. */
  readonly type?: number;
  /** Whose addresses they are, if not the name's. */
  readonly owner?: string;
  /** Whether the name is pointed to in each record; otherwise it is written out. */
  readonly isCompressed?: boolean;
}

const nameBytes = (name: string): Buffer =>
  Buffer.concat([
    ...name.split(".").map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
    Buffer.of(0),
  ]);

export function dnsAnswer({
  id = 1,
  name,
  addresses,
  bits = 0,
  type = 1,
  owner,
  isCompressed = false,
}: DnsAnswer): Buffer {
  const header = Buffer.alloc(12);
  const words = [id, 0x8180 | bits, 1, addresses.length];
  for (const [n, word] of words.entries()) header.writeUInt16BE(word, 2 * n);
  const question = Buffer.concat([nameBytes(name), Buffer.of(0, type, 0, 1)]);
  const whose = isCompressed ? Buffer.of(0xc0, 12) : nameBytes(owner ?? name);
  const records = addresses.map((address) =>
    // A, IN, 600 s, 4 bytes
    Buffer.concat([whose, Buffer.from("00010001000002580004", "hex"), Buffer.from(address.split(".").map(Number))]),
  );
  return Buffer.concat([header, question, ...records]);
}
