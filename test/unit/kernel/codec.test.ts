import { expect } from "chai";
import fc from "fast-check";
import {
  type Attribute,
  type Attributes,
  attributeEnd,
  attributeType,
  decodeAttributes,
  decodeMessages,
  encodeEmbedded,
  encodeMessage,
  findAttribute,
  readNested,
  readNumber,
  readText,
  splitList,
  text,
  u8,
  u16,
  u32,
} from "../../../src/kernel/netlink/codec.ts";

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString("hex")
    .replaceAll(/(.{8})(?=.)/g, "$1 ");
const bytesOf = (hexText: string): Buffer => Buffer.from(hexText.replaceAll(" ", ""), "hex");
const noHeader = new Uint8Array();

/** The bytes of attributes alone. */
const encodeAttributes = (attributes: readonly Attribute[]): Buffer => encodeEmbedded(noHeader, attributes);

describe("netlink codec", () => {
  it("writes the message of `ip link add tsb-1 type bridge` byte by byte", () => {
    const attributes: Attribute[] = [
      [3, text("tsb-1")],
      [18, [[1, text("bridge")]]],
    ];
    const message = encodeMessage({ type: 16, flags: 0x605, header: new Uint8Array(16), attributes }, 7);
    expect(hex(message)).to.equal(
      [
        "3c000000 10000506 07000000 00000000", // nlmsghdr: 60 bytes, RTM_NEWLINK, flags, sequence, port ID
        "00000000 00000000 00000000 00000000", // ifinfomsg
        "0a000300 7473622d 31000000", // IFLA_IFNAME, 10 bytes, padded to 12
        "10001280 0b000100 62726964 67650000", // IFLA_LINKINFO with NLA_F_NESTED: IFLA_INFO_KIND, padded
      ].join(" "),
    );
  });

  it("pads a fixed struct and every value to four bytes with zeros", () => {
    expect(
      hex(
        encodeEmbedded(Uint8Array.of(1), [
          [2, u8(255)],
          [3, u32(0xfffffffe)],
        ]),
      ),
    ).to.equal("01000000 05000200 ff000000 08000300 feffffff");
  });

  it("reads back whatever attributes it has written", () => {
    const value = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.string({ maxLength: 20 }).map(text));
    const flat = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 0x3fff }), value), { selector: ([type]) => type });
    fc.assert(
      fc.property(flat, flat, fc.integer({ min: 0, max: 0x3fff }), (outer, inner, type) => {
        const others = outer.filter(([other]) => other !== type);
        const read = decodeAttributes(encodeAttributes([...others, [type, inner]]));
        expect(plain(read, type)).to.deep.equal(others.map(([key, bytes]) => [key, hex(bytes)]));
        expect(plain(readNested(read, type))).to.deep.equal(inner.map(([key, bytes]) => [key, hex(bytes)]));
      }),
    );
  });

  it("reads back whatever messages it has written, one after another", () => {
    const request = fc.record({
      type: fc.integer({ min: 0, max: 0xffff }),
      flags: fc.integer({ min: 0, max: 0xffff }),
      header: fc.uint8Array({ minLength: 4, maxLength: 4 }),
      attributes: fc.constant([[1, text("x")]] as Attribute[]),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 5 }), (requests) => {
        const read = decodeMessages(Buffer.concat(requests.map((one, n) => encodeMessage(one, n))));
        const payload = (one: (typeof requests)[number]) => hex(encodeEmbedded(one.header, one.attributes));
        expect(read.map(({ payload, portId: _, ...rest }) => ({ ...rest, payload: hex(payload) }))).to.deep.equal(
          requests.map((one, n) => ({ type: one.type, flags: one.flags, sequence: n, payload: payload(one) })),
        );
      }),
    );
  });

  for (const [what, bytes] of [
    ["half a header", "10000000 1000"],
    ["a length beyond the datagram", "14000000 10000000 00000000 00000000"],
    ["a length below its own header", "0f000000 10000000 00000000 00000000"],
    ["a length of zero", "00000000 10000000 00000000 00000000"],
  ] as const) {
    it(`refuses a message with ${what}`, () => {
      expect(() => decodeMessages(bytesOf(bytes))).to.throw(/^netlink: message of \d+ bytes where \d+ bytes are left$/);
    });
  }

  for (const [what, bytes] of [
    ["half a header", "0800"],
    ["a length beyond the payload", "09000300 00000000"],
    ["a length below its own header", "03000300"],
    ["a length of zero", "00000300"],
  ] as const) {
    it(`refuses an attribute with ${what}`, () => {
      expect(() => decodeAttributes(bytesOf(bytes))).to.throw(
        /^netlink: attribute of \d+ bytes where \d+ bytes are left$/,
      );
    });
  }

  it("takes a last attribute without its padding", () => {
    expect(readNumber(decodeAttributes(bytesOf("05000700 09")), 7)).to.equal(9);
    expect(readNumber(decodeAttributes(encodeAttributes([[7, u16(4094)]])), 7)).to.equal(4094);
  });

  it("ignores the flags in the type of an attribute", () => {
    expect(readText(decodeAttributes(bytesOf("08000780 61626300")), 7)).to.equal("abc");
  });

  it("reads a text without a zero byte to its end, and what is missing as nothing", () => {
    const attributes = decodeAttributes(bytesOf("07000100 616263"));
    expect(readText(attributes, 1)).to.equal("abc");
    expect(readText(attributes, 2)).to.equal("");
    expect(readNumber(attributes, 2)).to.equal(0);
    expect(readNested(attributes, 2).size).to.equal(0);
  });

  it("finds one attribute among others as decoding all of them does, and refuses a torn one before it", () => {
    const types = fc.integer({ min: 1, max: 20 });
    const lists = fc.uniqueArray(fc.tuple(types, fc.uint8Array({ maxLength: 9 })), { selector: ([type]) => type });
    fc.assert(
      fc.property(lists, types, (attributes, type) => {
        const bytes = encodeAttributes(attributes);
        expect(findAttribute(bytes, type)).to.deep.equal(decodeAttributes(bytes).get(type));
      }),
    );
    const torn = encodeAttributes([[1, u32(1)]]).subarray(0, 6);
    expect(() => findAttribute(torn, 2)).to.throw("attribute of 8 bytes where 6 bytes are left");
  });

  it("walks through a list of attributes of one type, padded, and refuses a torn one", () => {
    const list = encodeAttributes([
      [1, bytesOf("01")],
      [1, bytesOf("0203040506")],
      [1, noHeader],
    ]);
    expect(splitList(list).map(hex)).to.deep.equal(["01", "02030405 06", ""]);
    expect([attributeType(list, 8), attributeEnd(list, 8, list.length)]).to.deep.equal([1, 17]);
    expect(() => splitList(list.subarray(0, 15))).to.throw("attribute of 9 bytes where 7 bytes are left");
    expect(() => splitList(list.subarray(0, 10))).to.throw("attribute of 0 bytes where 2 bytes are left");
    expect(() => splitList(Buffer.alloc(4))).to.throw("attribute of 0 bytes where 4 bytes are left");
  });
});

/** Types and bytes, without one type. */
const plain = (attributes: Attributes, without?: number): [number, string][] =>
  [...attributes].filter(([type]) => type !== without).map(([type, bytes]) => [type, hex(bytes)]);
