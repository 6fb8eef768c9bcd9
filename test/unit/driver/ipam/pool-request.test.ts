import { expect } from "chai";
import { defaultPoolOptions } from "../../../../src/driver/ipam/pool-options.ts";
import { type PoolRequest, type PoolWish, parsePoolRequest } from "../../../../src/driver/ipam/pool-request.ts";
import { explain } from "../../../../src/errors.ts";
import { parseCidr } from "../../../../src/net/cidr.ts";
import { errorOf } from "../../../support/store-contract.ts";

const parse = (pool: string, wish: Partial<PoolRequest> = {}): PoolWish =>
  parsePoolRequest({ addressSpace: "tsnet-local", pool, subPool: "", options: {}, v6: false, ...wish });

describe("a request for a pool", () => {
  const refusals: readonly [PoolRequest["pool"], Partial<PoolRequest>, string][] = [
    ["10.0.0.1/24", {}, "invalid pool: 10.0.0.1/24: it should be 10.0.0.0/24"],
    ["10.0.0.0/24", { v6: true }, "invalid pool: 10.0.0.0/24 is IPv4, but IPv6 was asked for"],
    ["fd00::/64", {}, "invalid pool: fd00::/64 is IPv6, but IPv4 was asked for"],
    [
      "10.0.0.0/24",
      { v6: true, addressSpace: "tsnet-global" },
      "invalid pool: 10.0.0.0/24 is IPv4, but IPv6 was asked for",
    ],
    ["10.0.0.0/33", {}, 'invalid pool: expected an address in CIDR form, such as 172.18.0.2/16, got "10.0.0.0/33"'],
    ["10.0.0.0/24", { subPool: "10.0.1.0/25" }, "invalid sub pool: 10.0.1.0/25 is not a part of 10.0.0.0/24"],
    ["10.0.0.0/24", { subPool: "10.0.0.3/25" }, "invalid sub pool: 10.0.0.3/25: it should be 10.0.0.0/25"],
    ["10.0.0.0/24", { subPool: "fd00::/80" }, "invalid sub pool: fd00::/80 is IPv6, but IPv4 was asked for"],
    ["", { subPool: "10.0.0.0/25" }, "invalid sub pool: 10.0.0.0/25 needs a subnet that it is a part of"],
    ["0.0.0.0/24", { subPool: "10.0.0.0/25" }, "invalid sub pool: 10.0.0.0/25 cannot be a part of 0.0.0.0/24"],
    ["", { addressSpace: "moon" }, 'invalid address space: "moon": expected tsnet-local or tsnet-global'],
    [
      "",
      { addressSpace: "tsnet-shared" },
      'invalid address space: "tsnet-shared": expected tsnet-local or tsnet-global',
    ],
  ];
  for (const [pool, wish, message] of refusals) {
    it(`is refused: "${message}"`, async () => {
      const error = await errorOf((async () => parse(pool, wish))());
      expect([error.code, explain(error)]).to.deep.equal(["invalid", message]);
    });
  }

  it("names a subnet, or a size, or nothing", () => {
    const local = { addressSpace: "tsnet-local", options: defaultPoolOptions };
    const any = (family: 4 | 6, prefix?: number) => ({ ...local, any: { family, prefix } });
    expect(parse("")).to.deep.equal(any(4));
    expect(parse("", { v6: true })).to.deep.equal(any(6));
    expect(parse("0.0.0.0/24")).to.deep.equal(any(4, 24));
    expect(parse("::/64", { v6: true })).to.deep.equal(any(6, 64));
    const [subnet, subPool] = [parseCidr("10.0.0.0/16"), parseCidr("10.0.5.0/24")];
    expect(parse("10.0.0.0/16", { subPool: "10.0.5.0/24" })).to.deep.equal({ ...local, subnet, subPool });
  });

  it("may be for IPv6 without saying so where a swarm asks, which never does", () => {
    const global = { addressSpace: "tsnet-global", options: defaultPoolOptions };
    expect(parse("fd00::/64", { addressSpace: "tsnet-global" })).to.deep.equal({
      ...global,
      ...{ subnet: parseCidr("fd00::/64"), subPool: null },
    });
    expect(parse("::/64", { addressSpace: "tsnet-global" })).to.deep.equal({
      ...global,
      any: { family: 6, prefix: 64 },
    });
    expect(parse("", { addressSpace: "tsnet-global" })).to.deep.equal({
      ...global,
      any: { family: 4, prefix: undefined },
    });
  });
});

describe("the options of a pool", () => {
  const options = (texts: Record<string, string>) => parse("", { options: texts }).options;

  it("are off unless they are given; those of others are passed over", () => {
    expect(options({ "com.example.colour": "blue" })).to.deep.equal({
      ...{ sticky: false, stickyTtlMs: 24 * 3_600_000, quarantineMs: 0, shared: false },
    });
    expect(
      options({
        "tsnet.sticky": "true",
        "tsnet.sticky_ttl": "1h30m",
        "tsnet.quarantine": "90s",
        "tsnet.shared": "true",
      }),
    ).to.deep.equal({ sticky: true, stickyTtlMs: 5_400_000, quarantineMs: 90_000, shared: true });
    expect(options({ "tsnet.sticky": "false" }).sticky).to.equal(false);
  });

  const refusals: readonly [Record<string, string>, string][] = [
    [{ "tsnet.stiky": "true" }, "unknown IPAM option tsnet.stiky=true: did you mean tsnet.sticky?"],
    [{ "tsnet.sticky": "yes" }, 'invalid IPAM option tsnet.sticky=yes: expected true or false, got "yes"'],
    [{ "tsnet.shared": "" }, 'invalid IPAM option tsnet.shared=: expected true or false, got ""'],
    [
      { "tsnet.quarantine": "10" },
      'invalid IPAM option tsnet.quarantine=10: expected a length of time with its unit, such as 90s, 10m or 1h30m, got "10"',
    ],
    [{ "tsnet.sticky_ttl": "1h" }, "IPAM option tsnet.sticky_ttl=1h needs tsnet.sticky=true beside it"],
    [
      { "tsnet.sticky": "false", "tsnet.sticky_ttl": "1h" },
      "IPAM option tsnet.sticky_ttl=1h needs tsnet.sticky=true beside it",
    ],
  ];
  for (const [texts, message] of refusals) {
    it(`are refused: "${message}"`, async () => {
      const error = await errorOf((async () => options(texts))());
      expect([error.code, explain(error)]).to.deep.equal(["invalid", message]);
    });
  }
});
