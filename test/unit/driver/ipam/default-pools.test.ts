import { expect } from "chai";
import { addressSpaces, chooseSubnet, dockerDefaultPools } from "../../../../src/driver/ipam/default-pools.ts";
import { type Cidr, parseCidr } from "../../../../src/net/cidr.ts";
import { errorOf } from "../../../support/store-contract.ts";

const pools = dockerDefaultPools("host-1");
const local = pools[addressSpaces.local];
const any = (family: 4 | 6, prefix?: number) => ({ family, prefix });
const texts = (...subnets: string[]) => subnets.map(parseCidr);

/** Every subnet that is given out while all earlier ones are held. */
function all(choose: (taken: readonly Cidr[]) => Cidr): string[] {
  const taken: Cidr[] = [];
  for (;;) {
    try {
      taken.push(choose(taken));
    } catch {
      return taken.map(({ text }) => text);
    }
  }
}

describe("default pools", () => {
  it("are Docker's 31 subnets for IPv4, lowest first", () => {
    const expected = [
      ...Array.from({ length: 15 }, (_, n) => `172.${17 + n}.0.0/16`),
      ...Array.from({ length: 16 }, (_, n) => `192.168.${16 * n}.0/20`),
    ];
    expect(all((taken) => chooseSubnet(local, any(4), taken))).to.deep.equal(expected);
  });

  it("are /24 of 10.0.0.0/8 in the global address space", () => {
    const global = pools[addressSpaces.global];
    expect(chooseSubnet(global, any(4), []).text).to.equal("10.0.0.0/24");
    expect(chooseSubnet(global, any(4), texts("10.0.0.0/9", "10.128.0.0/24")).text).to.equal("10.128.1.0/24");
  });

  it("are /64 of a unique local prefix of the host for IPv6", () => {
    // printf host-1 | sha256sum
    expect(chooseSubnet(local, any(6), []).text).to.equal("fd4a:1796:ac49::/64");
    expect(chooseSubnet(local, any(6), texts("fd4a:1796:ac49::/63")).text).to.equal("fd4a:1796:ac49:2::/64");
    const other = chooseSubnet(dockerDefaultPools("host-2")[addressSpaces.local], any(6), []).text;
    expect(other)
      .to.match(/^fd.*::\/64$/)
      .and.not.equal("fd4a:1796:ac49::/64");
  });

  it("give out nothing that touches what is taken, be it larger, smaller, nested or of the other family", () => {
    const taken = texts(
      "172.16.0.0/14",
      "172.20.3.0/24",
      "172.20.0.0/16",
      "172.20.3.7/32",
      "172.22.255.255/32",
      "::/0",
    );
    expect(chooseSubnet(local, any(4), taken).text).to.equal("172.21.0.0/16");
    expect(chooseSubnet(local, any(4), [...taken, ...texts("172.21.9.0/24")]).text).to.equal("172.23.0.0/16");
  });

  it("give out subnets of a size that is asked for", () => {
    expect(chooseSubnet(local, any(4, 24), texts("172.17.0.0/16", "172.18.0.0/25")).text).to.equal("172.18.1.0/24");
    expect(chooseSubnet(local, any(4, 14), []).text).to.equal("172.20.0.0/14");
    expect(chooseSubnet(local, any(6, 56), []).text).to.equal("fd4a:1796:ac49::/56");
  });

  it("say whether nothing is free, or nothing is large enough", async () => {
    const choose = async (...parameters: Parameters<typeof chooseSubnet>) => chooseSubnet(...parameters);
    const full = await errorOf(choose(local, any(4), texts("172.0.0.0/8", "192.168.0.0/16")));
    expect(full.code).to.equal("exhausted");
    expect(full.message).to.match(
      /^all predefined address pools have been fully subnetted: no IPv4 is free in 172\.17/,
    );
    const large = await errorOf(choose(local, any(4, 13), []));
    expect(large.code).to.equal("invalid");
    expect(large.message).to.match(/^invalid address pool: no default pool holds IPv4 \/13 \(172\.17\.0\.0\/16, /);
    const none = await errorOf(choose(pools[addressSpaces.global], any(6), []));
    expect(none.message).to.equal("invalid address pool: no default pool holds IPv6 (there are none): give a subnet");
  });
});
