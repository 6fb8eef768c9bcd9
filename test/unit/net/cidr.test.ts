import { expect } from "chai";
import fc from "fast-check";
import {
  addressBits,
  cidrOf,
  containsCidr,
  containsIp,
  type Family,
  formatIp,
  ipOf,
  lastOf,
  overlaps,
  parseCidr,
  parseHostAddress,
  parseIp,
  sizeOf,
} from "../../../src/net/cidr.ts";

const addresses = fc
  .constantFrom<Family>(4, 6)
  .chain((family) =>
    fc.bigInt({ min: 0n, max: (1n << BigInt(addressBits[family])) - 1n }).map((value) => ipOf(family, value)),
  );

describe("addresses", () => {
  it("are the same after formatting and parsing, whatever they are", () => {
    fc.assert(
      fc.property(addresses, (ip) => {
        expect(parseIp(ip.text)).to.deep.equal(ip);
      }),
    );
  });

  it("have the text of RFC 5952", () => {
    const texts = [
      "2001:DB8:0:0:1:0:0:1",
      "2001:0db8:0000:0000:0000:0000:0002:0001",
      "::",
      "::1",
      "fe80:0:0:0:0:0:0:1",
      "64:ff9b::192.0.2.33",
    ];
    const canonical = ["2001:db8::1:0:0:1", "2001:db8::2:1", "::", "::1", "fe80::1", "64:ff9b::c000:221"];
    expect(texts.map((text) => parseIp(text).text)).to.deep.equal(canonical);
  });

  const noAddresses = [
    "",
    " ",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "1.2.3.4/24",
    "01.2.3.4",
    "::1::",
    "::1.2.3",
    "::1.2.3.256",
    "1.2.3.4::",
    "fe80::1%eth0",
    "1.2.3.4 ",
    "g::1",
    "٣.1.1.1",
    "1.2.3.4\n",
  ];
  for (const text of noAddresses) {
    it(`are refused: ${JSON.stringify(text)}`, () => {
      expect(() => parseIp(text)).to.throw(`expected an IP address, got ${JSON.stringify(text)}`);
    });
  }

  const noHostAddresses = [
    "1.2.3.4",
    "1.2.3.4/",
    "1.2.3.4/33",
    "::1/129",
    "1.2.3.4/-1",
    "1.2.3.4/08",
    "1.2.3.4/8/8",
    "/8",
    "1.2.3.4/8 ",
    "1.2.3.4/1e1",
  ];
  for (const text of noHostAddresses) {
    it(`with a prefix length are refused: ${JSON.stringify(text)}`, () => {
      expect(() => parseHostAddress(text)).to.throw(`such as 172.18.0.2/16, got ${JSON.stringify(text)}`);
    });
  }
});

describe("subnets", () => {
  it("are those of their addresses", () => {
    const { ip, subnet, text } = parseHostAddress("172.18.5.2/16");
    expect([ip.text, subnet.text, text]).to.deep.equal(["172.18.5.2", "172.18.0.0/16", "172.18.5.2/16"]);
    expect(formatIp(4, lastOf(subnet))).to.equal("172.18.255.255");
    expect(sizeOf(subnet)).to.equal(65536n);
    expect(parseHostAddress("FD00:0::00:2/64").text).to.equal("fd00::2/64");
  });

  it("with host bits set are refused, with what was probably meant", () => {
    expect(() => parseCidr("10.0.0.1/8")).to.throw("10.0.0.1/8 has host bits set: it should be 10.0.0.0/8");
  });

  it("contain each address between their first and their last, and no other", () => {
    fc.assert(
      fc.property(addresses, addresses, fc.nat(), (ip, other, seed) => {
        const cidr = cidrOf(ip.family, ip.value, seed % (addressBits[ip.family] + 1));
        expect(containsIp(cidr, ip)).to.equal(true);
        const isSame = other.family === ip.family && cidrOf(other.family, other.value, cidr.prefix).base === cidr.base;
        expect(containsIp(cidr, other)).to.equal(isSame);
      }),
    );
  });

  it("overlap if and only if one contains the other", () => {
    const cidrs = fc.tuple(addresses, fc.nat()).map(([ip, seed]) => cidrOf(ip.family, ip.value, seed % 9));
    fc.assert(
      fc.property(cidrs, cidrs, (a, b) => {
        expect(overlaps(a, b)).to.equal(containsCidr(a, b) || containsCidr(b, a));
      }),
    );
  });
});
