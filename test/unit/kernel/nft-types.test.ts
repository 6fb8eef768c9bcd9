import { expect } from "chai";
import fc from "fast-check";
import { formatInterval, formatValue, layoutOf } from "../../../src/kernel/nft-types.ts";
import { formatIp } from "../../../src/net/cidr.ts";

/** nft's numbers of types: enum datatypes of nft's include/datatype.h. */
const type = {
  nfProto: 2,
  ipv4: 7,
  ipv6: 8,
  etherAddress: 9,
  etherType: 10,
  protocol: 12,
  service: 13,
  mark: 19,
  name: 41,
} as const;

const concatenated = (...types: number[]): number => types.reduce((number, one) => number * 64 + one, 0);
const format = (number: number, hex: string): string | undefined => {
  const layout = layoutOf(number);
  if (layout === undefined) throw new Error(`no layout of ${number}`);
  return formatValue(layout, Buffer.from(hex.replaceAll(" ", ""), "hex"), 0);
};
const formatBetween = (number: number, first: string, last: string): string | undefined => {
  const layout = layoutOf(number);
  if (layout === undefined) throw new Error(`no layout of ${number}`);
  const [from, to] = [first, last].map((hex) => Buffer.from(hex.replaceAll(" ", ""), "hex"));
  return from && to ? formatInterval(layout, from, to) : undefined;
};

describe("nft types", () => {
  it("write IPv6 as the records have it, whatever is zero in it", () => {
    const group = fc.oneof(fc.constant("0000"), fc.constantFrom("ffff", "0001"), fc.stringMatching(/^[0-9a-f]{4}$/));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        expect(format(type.ipv6, groups.join(""))).to.equal(formatIp(6, BigInt(`0x${groups.join("")}`)));
      }),
    );
    expect(format(type.ipv6, "0000 0000 0000 0000 0000 ffff 0102 0304")).to.equal("::ffff:102:304");
  });

  it("write the parts of a concatenation, each padded to 4 bytes", () => {
    const number = concatenated(type.ipv4, type.protocol, type.service);
    expect(layoutOf(number)?.bytes).to.equal(12);
    expect(format(number, "0a000001 06000000 1f900000")).to.equal("10.0.0.1 . tcp . 8080");
    expect(format(concatenated(type.nfProto, type.name), `0a000000 ${"6272300000000000".padEnd(32, "0")}`)).to.equal(
      "ipv6 . br0",
    );
  });

  it("write MAC addresses, which a concatenation pads to 8 bytes", () => {
    expect(format(type.etherAddress, "02420a050009")).to.equal("02:42:0a:05:00:09");
    const number = concatenated(type.etherAddress, type.ipv4);
    expect(layoutOf(number)?.bytes).to.equal(12);
    expect(format(number, "02420a0500090000 0a050009")).to.equal("02:42:0a:05:00:09 . 10.5.0.9");
  });

  it("write marks, which are in the host's byte order, as numbers", () => {
    expect(format(type.mark, "01000000")).to.equal("1");
    expect(format(concatenated(type.ipv4, type.mark), "0a0500c8 ff030000")).to.equal("10.5.0.200 . 1023");
  });

  it("write a single part without padding", () => {
    expect(layoutOf(type.service)?.bytes).to.equal(2);
    expect(format(type.service, "0050")).to.equal("80");
    expect(format(type.name, Buffer.from("a-name-of-16byte").toString("hex"))).to.equal("a-name-of-16byte");
  });

  it("write protocols and families without a name as numbers", () => {
    expect([format(type.protocol, "fd"), format(type.nfProto, "07")]).to.deep.equal(["253", "7"]);
  });

  it("write what is a prefix as one, and anything else as a range", () => {
    const cases = [
      ["0a000000", "0a0000ff", "10.0.0.0/24"],
      ["0a000000", "0a0000fe", "10.0.0.0-10.0.0.254"],
      ["0a000001", "0a000002", "10.0.0.1-10.0.0.2"],
      ["0a000002", "0a000003", "10.0.0.2/31"],
      ["0a0000ff", "0a000100", "10.0.0.255-10.0.1.0"],
      ["0a000100", "0a0002ff", "10.0.1.0-10.0.2.255"],
      ["00000000", "ffffffff", "0.0.0.0/0"],
      ["80000000", "ffffffff", "128.0.0.0/1"],
      ["0a000001", "0a000001", "10.0.0.1"],
    ] as const;
    for (const [first, last, text] of cases) expect(formatBetween(type.ipv4, first, last)).to.equal(text);
    expect(formatBetween(type.service, "1f40", "1f4f")).to.equal("8000-8015");
  });

  it("do not write names that no link of ours has, nor several of them", () => {
    const name = (text: string): string => Buffer.from(text).toString("hex").padEnd(32, "0");
    for (const text of ["", "a b", 'a"', "a*", "a;b", "ä"])
      expect(format(type.name, name(text)), text).to.equal(undefined);
    expect(formatBetween(type.name, name("eth"), `${name("eth").slice(0, 6).padEnd(32, "f")}`)).to.equal(undefined);
    const number = concatenated(type.name, type.ipv4);
    expect(format(number, `${name("a b")} 0a000001`)).to.equal(undefined);
  });

  it("are not known where our sets do not use them", () => {
    for (const number of [0, type.etherType, concatenated(type.ipv4, type.etherType), 0xffffff00]) {
      expect(layoutOf(number), String(number)).to.equal(undefined);
    }
  });
});
