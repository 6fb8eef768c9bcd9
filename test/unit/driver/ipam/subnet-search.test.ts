import { expect } from "chai";
import fc from "fast-check";
import { addressSpaces, type DefaultPool, defaultPools } from "../../../../src/driver/ipam/default-pools.ts";
import { SubnetSearch } from "../../../../src/driver/ipam/subnet-search.ts";
import { type Cidr, cidrOf, containsCidr, formatIp, overlaps, parseCidr } from "../../../../src/net/cidr.ts";
import { mostMs, turnsOf } from "../../../support/stall.ts";
import { errorOf } from "../../../support/store-changes.ts";

const pools = defaultPools("host-1");
const local = pools[addressSpaces.local];
const any = (family: 4 | 6, prefix?: number) => ({ family, prefix });
const by = (who: string, ...texts: string[]) => texts.map((text) => ({ cidr: parseCidr(text), by: who }));

async function choose(from: readonly DefaultPool[], wish: ReturnType<typeof any>, ...taken: string[]) {
  const search = new SubnetSearch(from, wish);
  await search.avoid(by("route of tun0", ...taken.slice(1)));
  return search.choose(by("tsnet pool", ...taken.slice(0, 1))).text;
}

describe("SubnetSearch", () => {
  it("gives out nothing that touches what is taken, be it larger, smaller, nested or of the other family", async () => {
    const taken = ["172.16.0.0/14", "172.20.3.0/24", "172.20.0.0/16", "172.20.3.7/32", "172.22.255.255/32", "::/0"];
    expect(await choose(local, any(4), ...taken)).to.equal("172.21.0.0/16");
    expect(await choose(local, any(4), ...taken, "172.21.9.0/24")).to.equal("172.23.0.0/16");
    const global = pools[addressSpaces.global];
    expect(await choose(global, any(4))).to.equal("10.0.0.0/24");
    expect(await choose(global, any(4), "10.0.0.0/9", "10.128.0.0/24")).to.equal("10.128.1.0/24");
    expect(await choose(local, any(6), "fd4a:1796:ac49::/63")).to.equal("fd4a:1796:ac49:2::/64");
  });

  it("gives out subnets of a size that is asked for", async () => {
    expect(await choose(local, any(4, 24), "172.17.0.0/16", "172.18.0.0/25")).to.equal("172.18.1.0/24");
    expect(await choose(local, any(4, 14))).to.equal("172.20.0.0/14");
    expect(await choose(local, any(6, 56))).to.equal("fd4a:1796:ac49::/56");
    expect(await choose(local, any(6, 112), "fd4a:1796:ac49::/112")).to.equal("fd4a:1796:ac49::1:0/112");
  });

  it("says that nothing is large enough", async () => {
    const large = await errorOf(choose(local, any(4, 13)));
    expect(large.code).to.equal("invalid");
    expect(large.message).to.match(/^invalid address pool: no default pool holds IPv4 \/13 \(172\.17\.0\.0\/16, /);
    const none = await errorOf(choose(pools[addressSpaces.global], any(6)));
    expect(none.message).to.equal(
      "invalid address pool: no default pool holds IPv6 (there are none): give a subnet, or set TSNET_ADDRESS_POOLS",
    );
  });

  it("says of which pools and sizes nothing is free, and names the largest in the way", async () => {
    const two = [
      { base: parseCidr("10.8.0.0/16"), prefix: 20 },
      { base: parseCidr("10.9.0.0/16"), prefix: 17 },
    ];
    const search = new SubnetSearch(two, any(4));
    await search.avoid([
      ...by("route of eth1", "10.9.128.7/32", "10.9.3.0/24"),
      ...by("route of tun0", "10.8.0.0/16"),
      ...by("Docker network web", "10.8.0.0/16", "10.9.0.0/20"),
      ...by("name server", "10.7.0.1/32"),
    ]);
    const error = await errorOf((async () => search.choose(by("tsnet pool x", "10.9.128.0/24")))());
    expect(error.code).to.equal("exhausted");
    expect(error.message).to.equal(
      "all predefined address pools have been fully subnetted: no IPv4 subnet is free in 10.8.0.0/16 (size 20), " +
        "10.9.0.0/16 (size 17); in the way, the largest first: 10.8.0.0/16 (route of tun0), 10.9.0.0/20 (Docker network web), " +
        "10.9.3.0/24 (route of eth1): remove networks that are not used, give a subnet, or set TSNET_ADDRESS_POOLS",
    );
  });

  it("agrees with a look at each subnet in turn", () => {
    const base = parseCidr("10.0.0.0/24");
    const within = fc
      .tuple(fc.integer({ min: 22, max: 32 }), fc.nat(1023))
      .map(([prefix, offset]) => cidrOf(4, parseCidr("10.0.0.0/22").base - 256n + BigInt(offset), prefix));
    const wish = fc.integer({ min: 24, max: 30 });
    fc.assert(
      fc.property(fc.array(within, { maxLength: 12 }), wish, (taken, prefix) => {
        const found = attempt(() =>
          new SubnetSearch([{ base, prefix: 24 }], any(4, prefix)).choose(taken.map((cidr) => ({ cidr, by: "" }))),
        );
        expect(found).to.equal(naive(base, prefix, taken));
      }),
      { numRuns: 500 },
    );
  });

  it("is quick among 100,000 obstacles, and never keeps the event loop waiting", async () => {
    const one = { base: parseCidr("10.0.0.0/8"), prefix: 24 };
    // a host in each /24 but the last, and half of them twice
    function* obstacles() {
      for (let n = 0; n < 100_000; n++) {
        const address = one.base.base + BigInt((((n * 7919) % 65_535) << 8) + (n % 200));
        yield { cidr: cidrOf(4, address, 32), by: "route of tun0" };
      }
    }
    const search = new SubnetSearch([one], any(4));
    const { meanMs, value } = await turnsOf(async () => {
      await search.avoid(obstacles());
      return search.choose([]).text;
    });
    expect(value).to.equal("10.255.255.0/24");
    expect(meanMs).to.be.below(mostMs);
  });
});

function naive(base: Cidr, prefix: number, taken: readonly Cidr[]): string | undefined {
  const step = 1n << BigInt(32 - prefix);
  for (let at = base.base; ; at += step) {
    const candidate = parseCidr(`${formatIp(4, at)}/${prefix}`);
    if (!containsCidr(base, candidate)) return undefined;
    if (!taken.some((other) => overlaps(candidate, other))) return candidate.text;
  }
}

function attempt(work: () => Cidr): string | undefined {
  try {
    return work().text;
  } catch {
    return undefined;
  }
}
