import { expect } from "chai";
import fc from "fast-check";
import { answerId, decodeAnswer, encodeQuestion } from "../../../../src/kernel/dns/message.ts";
import { dnsAnswer } from "../../../support/dns-answer.ts";

const asked = "tasks.web.ov";
const decode = (bytes: Buffer): unknown => decodeAnswer(bytes, asked);
const malformed = { outcome: "malformed", addresses: [] };
const address = (end: number): string => `10.77.0.${end}`;

describe("DNS messages", () => {
  it("ask for addresses of IPv4, with room for as long an answer as there is", () => {
    expect(encodeQuestion(0x1234, asked).toString("hex")).to.equal(
      [
        "1234 0100 0001 0000 0000 0001", // recursion desired, one question, one additional record
        "05 7461736b73 03 776562 02 6f76 00", // 5 tasks 3 web 2 ov
        "0001 0001", // A, IN
        "00 0029 ffe3 00000000 0000", // OPT, 65,507 bytes
      ]
        .join("")
        .replaceAll(" ", ""),
    );
  });

  it("give the addresses of an answer, each once, whether the name is written out or pointed to", () => {
    for (const isCompressed of [false, true]) {
      const answer = dnsAnswer({ name: asked, addresses: [address(1), address(2), address(1)], isCompressed });
      expect(decode(answer)).to.deep.equal({ outcome: "answered", addresses: [address(1), address(2)] });
    }
    expect(decode(dnsAnswer({ name: asked, addresses: [] }))).to.deep.equal({ outcome: "answered", addresses: [] });
  });

  it("are the same in upper and lower case", () => {
    const answer = dnsAnswer({ name: "TASKS.Web.oV", addresses: [address(1)] });
    expect(decode(answer)).to.deep.equal({ outcome: "answered", addresses: [address(1)] });
  });

  it("are no answer with an error, or without all that there is", () => {
    const outcome = (bits: number): unknown => decode(dnsAnswer({ name: asked, addresses: [address(1)], bits }));
    expect(outcome(2)).to.deep.equal({ outcome: "SERVFAIL", addresses: [] });
    expect(outcome(3)).to.deep.equal({ outcome: "NXDOMAIN", addresses: [] });
    expect(outcome(11)).to.deep.equal({ outcome: "code 11", addresses: [] });
    expect(outcome(0x0200)).to.deep.equal({ outcome: "truncated", addresses: [] });
  });

  it("are passed over if they answer something else, or nothing", () => {
    expect(decode(dnsAnswer({ name: "tasks.db.ov", addresses: [address(1)] }))).to.equal(undefined);
    expect(decode(dnsAnswer({ name: asked, addresses: [], type: 28 }))).to.equal(undefined);
    expect(decode(encodeQuestion(7, asked))).to.equal(undefined);
    expect(answerId(encodeQuestion(7, asked))).to.equal(undefined);
    expect(answerId(dnsAnswer({ id: 7, name: asked, addresses: [] }))).to.equal(7);
    expect(answerId(Buffer.alloc(11, 0xff))).to.equal(undefined);
  });

  it("give no address of another name, class or type", () => {
    const answer = dnsAnswer({ name: asked, addresses: [address(1)], owner: "tasks.db.ov" });
    expect(decode(answer)).to.deep.equal({ outcome: "answered", addresses: [] });
    for (const change of [1, 3]) {
      const other = dnsAnswer({ name: asked, addresses: [address(1)], isCompressed: true });
      const at = other.length - 14 + change; // the record's type and class
      other.writeUInt8(other.readUInt8(at) + 1, at);
      expect(decode(other)).to.deep.equal({ outcome: "answered", addresses: [] });
    }
  });

  it("are malformed when they are cut off anywhere, and never partly believed", () => {
    const whole = dnsAnswer({ name: asked, addresses: [address(1), address(2)], isCompressed: true });
    for (let length = 12; length < whole.length; length++)
      expect(decode(whole.subarray(0, length))).to.deep.equal(malformed);
  });

  it("are malformed with pointers that go forth, in a circle, or on and on", () => {
    const [header, record] = [
      dnsAnswer({ name: asked, addresses: [] }),
      Buffer.from("0001000100000000000401020304", "hex"),
    ];
    header.writeUInt16BE(1, 6);
    const withOwner = (owner: Buffer): Buffer => Buffer.concat([header, owner, record]);
    const to = (target: number): Buffer => Buffer.of(0xc0 | (target >>> 8), target & 0xff);
    expect(decode(withOwner(to(12)))).to.deep.equal({ outcome: "answered", addresses: ["1.2.3.4"] });
    for (const target of [header.length, header.length + 2, 0x3fff])
      expect(decode(withOwner(to(target)))).to.deep.equal(malformed);
    for (const kind of [0x40, 0x80]) expect(decode(withOwner(Buffer.of(kind, 12)))).to.deep.equal(malformed);

    // 255 bytes are the most, RFC 1035, 2.3.4: 127 labels of one character and the end
    const labels = (count: number): Buffer => Buffer.concat([Buffer.alloc(2 * count, "\x01a"), Buffer.of(0)]);
    expect(decode(withOwner(labels(127)))).to.deep.equal({ outcome: "answered", addresses: [] });
    expect(decode(withOwner(labels(128)))).to.deep.equal(malformed);

    // each pointer goes to the one before, in the data of a record
    const chain = Buffer.concat(Array.from({ length: 200 }, (_, n) => to(n === 0 ? 12 : header.length + 10 + 2 * n)));
    const text = Buffer.from(`c00c0010000100000000${chain.length.toString(16).padStart(4, "0")}`, "hex");
    header.writeUInt16BE(2, 6);
    const last = header.length + text.length + chain.length - 2;
    expect(decode(Buffer.concat([header, text, chain, to(last), record]))).to.deep.equal(malformed);
  });

  it("are read to their end within a moment, whatever is in them", () => {
    const bytes = fc.uint8Array({ maxLength: 400 }).map((content) => Buffer.from(content));
    const near = fc
      .record({ ends: fc.array(fc.nat(255), { maxLength: 9 }), isCompressed: fc.boolean() })
      .map(({ ends, isCompressed }) => dnsAnswer({ name: asked, addresses: ends.map(address), isCompressed }));
    const damaged = fc
      .tuple(near, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
      .map(([answer, changes]) => {
        for (const [at, value] of changes) answer.writeUInt8(value, at % answer.length);
        return answer;
      });
    fc.assert(
      fc.property(fc.oneof(bytes, damaged), (message) => {
        const answer = decodeAnswer(message, asked);
        if (answer === undefined) return;
        expect(answer.outcome).to.match(/^[A-Za-z]+$|^code \d+$/);
        for (const one of answer.addresses) expect(one).to.match(/^\d{1,3}(\.\d{1,3}){3}$/);
        if (answer.outcome !== "answered") expect(answer.addresses).to.deep.equal([]);
      }),
      { numRuns: 3000 },
    );
  });

  it("as long as a datagram can be take milliseconds", () => {
    // a question, and then records whose names are all as long as they may be, and pointed to
    const longest = Array.from({ length: 126 }, () => "a").join(".");
    const answer = dnsAnswer({
      name: longest,
      addresses: Array.from({ length: 4000 }, () => address(1)),
      isCompressed: true,
    });
    expect(answer.length).to.be.within(60_000, 65_507);
    const before = performance.now();
    expect(decodeAnswer(answer, longest)?.addresses).to.deep.equal([address(1)]);
    expect(performance.now() - before).to.be.below(250);
  });
});
