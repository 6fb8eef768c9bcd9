import { expect } from "chai";
import { addressSpaces, defaultPools } from "../../../../src/driver/ipam/default-pools.ts";
import { SubnetSearch } from "../../../../src/driver/ipam/subnet-search.ts";
import { parseAddressPools } from "../../../../src/net/address-pools.ts";

const pools = defaultPools("host-1");
const local = pools[addressSpaces.local];

/** Every subnet that is given out, in order. */
function all(): string[] {
  const search = new SubnetSearch(local, { family: 4, prefix: undefined });
  const chosen: string[] = [];
  try {
    for (let taken: Parameters<SubnetSearch["choose"]>[0] = []; ; ) {
      const cidr = search.choose(taken);
      chosen.push(cidr.text);
      taken = [{ cidr, by: "a test" }];
    }
  } catch {
    return chosen;
  }
}

describe("default pools", () => {
  it("are Docker's 31 subnets for IPv4, lowest first", () => {
    const expected = [
      ...Array.from({ length: 15 }, (_, n) => `172.${17 + n}.0.0/16`),
      ...Array.from({ length: 16 }, (_, n) => `192.168.${16 * n}.0/20`),
    ];
    expect(all()).to.deep.equal(expected);
  });

  it("are /24 of 10.0.0.0/8 in the global address space", () => {
    expect(pools[addressSpaces.global].map(({ base, prefix }) => `${base.text} ${prefix}`)).to.deep.equal([
      "10.0.0.0/8 24",
    ]);
  });

  it("are /64 of a unique local prefix of the host for IPv6", () => {
    const own = (host: string) => {
      const found = defaultPools(host)[addressSpaces.local].find(({ base }) => base.family === 6);
      return `${found?.base.text} ${found?.prefix}`;
    };
    // printf host-1 | sha256sum
    expect(own("host-1")).to.equal("fd4a:1796:ac49::/48 64");
    expect(own("host-2"))
      .to.match(/^fd.*::\/48 64$/)
      .and.not.equal(own("host-1"));
  });

  const configured: [text: string, local: string[], global: string[]][] = [
    ["base=10.10.0.0/16,size=24", ["10.10.0.0/16 24", "fd4a:1796:ac49::/48 64"], ["10.0.0.0/8 24"]],
    [
      "base=10.10.0.0/16,size=24;base=10.9.0.0/16,size=20;base=fd00:1::/48,size=64;base=10.8.0.0/16,size=26,scope=global",
      ["10.10.0.0/16 24", "10.9.0.0/16 20", "fd00:1::/48 64"],
      ["10.8.0.0/16 26"],
    ],
  ];
  for (const [text, locals, globals] of configured) {
    it(`with TSNET_ADDRESS_POOLS=${text} replace those of the scope and family`, () => {
      const own = defaultPools("host-1", parseAddressPools(text));
      const texts = Object.values(own).map((of) => of.map(({ base, prefix }) => `${base.text} ${prefix}`));
      expect(texts).to.deep.equal([locals, globals]);
    });
  }
});
