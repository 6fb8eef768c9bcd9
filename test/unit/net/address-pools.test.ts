import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { parseAddressPools } from "../../../src/net/address-pools.ts";

describe("parseAddressPools", () => {
  const read = (text: string) => {
    const { pools, excluded } = parseAddressPools(text);
    const texts = pools.map(({ scope, base, prefix }) => `${scope} ${base.text} ${prefix}`);
    return [...texts, ...excluded.map((cidr) => `not ${cidr.text}`)];
  };

  const good: [text: string, values: string[]][] = [
    ["", []],
    ["base=10.10.0.0/16,size=24", ["local 10.10.0.0/16 24"]],
    ["size=20,scope=local,base=10.10.0.0/16", ["local 10.10.0.0/16 20"]],
    [
      " base = 10.10.0.0/16 , size = 24 ; base=10.20.0.0/16,size=26,scope=global; exclude=10.10.5.0/24;exclude=10.9.0.0/16;",
      ["local 10.10.0.0/16 24", "global 10.20.0.0/16 26", "not 10.10.5.0/24", "not 10.9.0.0/16"],
    ],
    ["base=fd00:1::/48,size=64;base=10.0.0.0/30,size=30", ["local fd00:1::/48 64", "local 10.0.0.0/30 30"]],
    ["exclude=0.0.0.0/1", ["not 0.0.0.0/1"]],
  ];
  for (const [text, values] of good) {
    it(`reads ${JSON.stringify(text)}`, () => expect(read(text)).to.deep.equal(values));
  }

  const bad: [text: string, message: string][] = [
    ["10.10.0.0/16", 'expected key=value, got "10.10.0.0/16"'],
    ["base=10.10.0.0/16,", 'base=10.10.0.0/16,: expected key=value, got ""'],
    ["base=,size=24", 'base=,size=24: expected key=value, got "base="'],
    ["base=1=2,size=24", 'got "base=1=2"'],
    ["bas=10.10.0.0/16,size=24", "bas=10.10.0.0/16,size=24: unknown key bas: did you mean base?"],
    ["base=10.10.0.0/16,size=24,size=25", "size is given twice"],
    ["base=10.10.0.0/16", "size is missing: expected such as base=10.10.0.0/16,size=24"],
    ["size=24", "base is missing"],
    ["base=10.10.1.0/16,size=24", "base=10.10.1.0/16: 10.10.1.0/16 has host bits set: it should be 10.10.0.0/16"],
    ["base=ten,size=24", 'base=ten: expected an address in CIDR form, such as 172.18.0.2/16, got "ten"'],
    ["base=10.10.0.0/16,size=15", "size=15: expected the prefix length of the subnets, 16 to 30"],
    ["base=10.10.0.0/16,size=31", "16 to 30"],
    ["base=10.10.0.0/16,size=x", "size=x: expected"],
    ["base=10.10.0.0/16,size=2.4e1", "size=2.4e1: expected"],
    ["base=10.10.0.0/31,size=31", "10.10.0.0/31 is too small to be split"],
    ["base=fd00::/48,size=127", "48 to 126"],
    ["base=10.10.0.0/16,size=24,scope=swarm", "scope=swarm: expected local or global"],
    ["base=0.0.0.0/0,size=24", "base=0.0.0.0/0 touches 0.0.0.0/8, which containers cannot use"],
    ["base=127.9.0.0/16,size=24", "touches 127.0.0.0/8"],
    ["base=ff00::/16,size=64", "touches ff00::/8"],
    ["base=10.10.0.0/16,size=24,exclude=10.10.5.0/24", "exclude stands alone"],
    ["exclude=10.10.5.1/24", "exclude=10.10.5.1/24: 10.10.5.1/24 has host bits set: it should be 10.10.5.0/24"],
    [
      "base=10.10.0.0/16,size=24;base=10.10.8.0/24,size=26",
      "base=10.10.8.0/24 overlaps base=10.10.0.0/16: give each range once",
    ],
    ["base=10.10.0.0/16,size=24;base=10.0.0.0/8,size=26,scope=global", "base=10.0.0.0/8 overlaps base=10.10.0.0/16"],
  ];
  for (const [text, message] of bad) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      let said = "";
      try {
        parseAddressPools(text);
      } catch (error) {
        said = explain(error);
      }
      expect(said).to.include(message);
    });
  }
});
