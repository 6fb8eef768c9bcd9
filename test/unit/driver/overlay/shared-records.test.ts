import { expect } from "chai";
import fc from "fast-check";
import { ipOf, isCanonical, parsePlaceId } from "../../../../src/driver/overlay/shared-records.ts";
import { isAddress, parseIp, ipOf as textOf } from "../../../../src/net/cidr.ts";

describe("addresses in records", () => {
  const group = fc.oneof(
    fc.constantFrom("0", "0", "0", "ffff", "00a", "A"),
    fc.nat(65_535).map((n) => n.toString(16)),
  );
  const ipv6 = fc.oneof(
    fc.array(group, { minLength: 2, maxLength: 8 }).map((groups) => groups.join(":")),
    fc
      .tuple(fc.array(group, { maxLength: 6 }), fc.array(group, { maxLength: 6 }))
      .map((ends) => ends.map((groups) => groups.join(":")).join("::")),
    fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => textOf(6, value).text),
  );
  const byte = fc.oneof(fc.nat(300).map(String), fc.constantFrom("0", "01", "0x1"));
  const ipv4 = fc.array(byte, { minLength: 3, maxLength: 5 }).map((bytes) => bytes.join("."));
  const any = fc.oneof(ipv6, ipv4, fc.constantFrom("abc.de", "::ffff:10.1.0.2", "fe80::1%eth0", "::", ":", "", "::1]"));

  it("are as all hosts write them if they are what they are parsed to", () => {
    fc.assert(
      fc.property(any, (text) => {
        const expected = isAddress(text) && parseIp(text).text === text;
        expect(isCanonical(text)).to.equal(expected);
        expect(parsePlaceId(`5/${text}`)).to.deep.equal(expected ? { vni: 5, ip: text } : undefined);
      }),
      { numRuns: 500 },
    );
  });

  it("are made of an endpoint's, however they are written there", () => {
    const cases = { "10.1.0.2/24": "10.1.0.2", "fd00::2/64": "fd00::2", "FD00:0::2/64": "fd00::2" };
    for (const [address, ip] of Object.entries(cases)) expect(ipOf(address)).to.equal(ip);
  });
});
