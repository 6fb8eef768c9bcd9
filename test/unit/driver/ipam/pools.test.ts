import { expect } from "chai";
import type { PoolRequest } from "../../../../src/driver/ipam/pool-request.ts";
import { Pools } from "../../../../src/driver/ipam/pools.ts";
import { type Cidr, parseCidr } from "../../../../src/net/cidr.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { errorOf } from "../../../support/store-contract.ts";

describe("Pools", () => {
  let store: MemoryStore;
  let excluded: Cidr[];
  let pools: Pools;

  const restart = async () => {
    const restarted = new Pools({ records: store, hostId: "host-1", excluded: async () => excluded });
    await restarted.restore();
    return restarted;
  };
  const request = (pool: string, wish: Partial<PoolRequest> = {}) =>
    pools.requestPool({ addressSpace: "tsnet-local", pool, subPool: "", options: {}, v6: pool.includes(":"), ...wish });
  const idOf = async (pool: string, wish: Partial<PoolRequest> = {}) => (await request(pool, wish)).poolId;
  const take = async (poolId: string, address = "", options: Record<string, string> = {}) =>
    (await pools.requestAddress({ poolId, address, options })).address;
  const gateway = { RequestAddressType: "com.docker.network.gateway" };
  const serial = { "com.docker.network.ipam.serial": "true" };
  const recorded = async () => [...(await store.list("pool")).keys(), ...(await store.list("lease")).keys()];

  beforeEach(async () => {
    store = new MemoryStore();
    excluded = [];
    pools = await restart();
  });

  describe("requestPool", () => {
    it("answers with the ID, the subnet and no data", async () => {
      expect(await request("172.18.0.0/16", { subPool: "172.18.5.0/24" })).to.deep.equal({
        poolId: "tsnet-local/172.18.0.0/16/172.18.5.0/24",
        pool: "172.18.0.0/16",
        data: {},
      });
      expect(await idOf("fd00:0::/64", { addressSpace: "tsnet-global" })).to.equal("tsnet-global/fd00::/64");
    });

    it("never gives out a subnet twice while it is held, nor one that is excluded", async () => {
      excluded = ["172.17.0.0/16", "172.19.1.0/24"].map(parseCidr);
      const ids = [
        await idOf(""),
        await idOf("172.20.0.0/24"),
        await idOf(""),
        await idOf("0.0.0.0/24"),
        await idOf("0.0.0.0/24"),
      ];
      const subnets = ["172.18.0.0/16", "172.20.0.0/24", "172.21.0.0/16", "172.19.0.0/24", "172.19.2.0/24"];
      expect(ids).to.deep.equal(subnets.map((subnet) => `tsnet-local/${subnet}`));
      await pools.releasePool("tsnet-local/172.18.0.0/16");
      expect(await idOf("")).to.equal("tsnet-local/172.18.0.0/16");
    });

    it("gives different subnets to requests that come together", async () => {
      const together = await Promise.all(Array.from({ length: 31 }, () => idOf("")));
      expect(new Set(together).size).to.equal(31);
      const error = await errorOf(request(""));
      expect(error.code).to.equal("exhausted");
      expect(error.message).to.match(/^all predefined address pools have been fully subnetted/);
    });

    it("refuses a subnet that overlaps with another one of the address space", async () => {
      await request("10.0.0.0/16");
      for (const subnet of ["10.0.0.0/16", "10.0.3.0/24", "10.0.0.0/8"]) {
        expect((await errorOf(request(subnet))).message).to.equal(
          `invalid pool request: Pool overlaps with other one on this address space: ${subnet} with tsnet-local/10.0.0.0/16`,
        );
      }
      expect((await errorOf(request("10.0.3.0/24", { subPool: "10.0.3.0/25" }))).code).to.equal("conflict");
      expect(await idOf("10.0.0.0/16", { addressSpace: "tsnet-global" })).to.equal("tsnet-global/10.0.0.0/16");
    });

    const refusals: readonly [PoolRequest["pool"], Partial<PoolRequest>, string][] = [
      ["10.0.0.1/24", {}, "invalid pool: 10.0.0.1/24: it should be 10.0.0.0/24"],
      ["10.0.0.0/24", { v6: true }, "invalid pool: 10.0.0.0/24 is IPv4, but IPv6 was asked for"],
      ["fd00::/64", { v6: false }, "invalid pool: fd00::/64 is IPv6, but IPv4 was asked for"],
      ["10.0.0.0/33", {}, "invalid pool"],
      ["10.0.0.0/24", { subPool: "10.0.1.0/25" }, "invalid sub pool: 10.0.1.0/25 is not a part of 10.0.0.0/24"],
      ["10.0.0.0/24", { subPool: "10.0.0.3/25" }, "invalid sub pool: 10.0.0.3/25: it should be 10.0.0.0/25"],
      ["", { subPool: "10.0.0.0/25" }, "invalid sub pool: 10.0.0.0/25 needs a subnet that it is a part of"],
      ["0.0.0.0/24", { subPool: "10.0.0.0/25" }, "invalid sub pool: 10.0.0.0/25 cannot be a part of 0.0.0.0/24"],
      ["", { addressSpace: "moon" }, 'invalid address space: "moon": expected tsnet-local or tsnet-global'],
      ["", { options: { "tsnet.size": "3" } }, "unknown IPAM option tsnet.size=3: tsnet has no IPAM options"],
    ];
    for (const [pool, wish, message] of refusals) {
      it(`says "${message}"`, async () => {
        const error = await errorOf(request(pool, wish));
        expect([error.code, error.message]).to.deep.equal(["invalid", message]);
        expect(await recorded()).to.deep.equal([]);
      });
    }

    it("ignores options of others", async () => {
      expect(await idOf("", { options: { "com.example.colour": "blue" } })).to.equal("tsnet-local/172.17.0.0/16");
    });
  });

  describe("requestAddress", () => {
    it("gives the lowest free address, with the prefix length of the subnet", async () => {
      const id = await idOf("172.18.0.0/16");
      expect([await take(id, "", gateway), await take(id), await take(id)]).to.deep.equal([
        "172.18.0.1/16",
        "172.18.0.2/16",
        "172.18.0.3/16",
      ]);
      await pools.releaseAddress({ poolId: id, address: "172.18.0.2" });
      expect([await take(id), await take(id)]).to.deep.equal(["172.18.0.2/16", "172.18.0.4/16"]);
    });

    it("goes on after the last one where the manager of a swarm asks, a restart later too", async () => {
      const id = await idOf("10.0.0.0/29");
      expect([await take(id, "", serial), await take(id, "", serial)]).to.deep.equal(["10.0.0.1/29", "10.0.0.2/29"]);
      await pools.releaseAddress({ poolId: id, address: "10.0.0.2" });
      pools = await restart();
      const rest = [await take(id, "", serial), await take(id, "10.0.0.5", serial), await take(id, "", serial)];
      expect(rest).to.deep.equal(["10.0.0.3/29", "10.0.0.5/29", "10.0.0.4/29"]);
      expect([await take(id, "", serial), await take(id, "", serial)]).to.deep.equal(["10.0.0.6/29", "10.0.0.2/29"]);
    });

    it("gives unasked only what is in the sub pool, asked for all of the subnet", async () => {
      const id = await idOf("10.0.0.0/16", { subPool: "10.0.5.0/31" });
      expect([await take(id), await take(id, "10.0.0.1", gateway), await take(id)]).to.deep.equal([
        "10.0.5.0/16",
        "10.0.0.1/16",
        "10.0.5.1/16",
      ]);
      const error = await errorOf(take(id));
      expect(error.code).to.equal("exhausted");
      expect(error.message).to.equal(
        "no available IPv4 addresses on this network's address pools: tsnet-local/10.0.0.0/16/10.0.5.0/31 (size 2): " +
          "remove containers, or make the network with a larger subnet or IP range",
      );
    });

    it("reserves what no host may have", async () => {
      const addresses = async (subnet: string) => {
        const id = await idOf(subnet);
        const given: string[] = [];
        for (;;) {
          try {
            given.push(await take(id));
          } catch (error) {
            expect(error).to.include({ code: "exhausted" });
            return given;
          }
        }
      };
      expect(await addresses("10.0.0.0/30")).to.deep.equal(["10.0.0.1/30", "10.0.0.2/30"]);
      expect(await addresses("10.0.0.4/31")).to.deep.equal(["10.0.0.4/31", "10.0.0.5/31"]);
      expect(await addresses("10.0.0.7/32")).to.deep.equal(["10.0.0.7/32"]);
      expect(await addresses("fd00::/126")).to.deep.equal(["fd00::1/126", "fd00::2/126", "fd00::3/126"]);
      expect(await addresses("fd01::/128")).to.deep.equal([]);
    });

    it("refuses an address that is taken, out of range, or of an unknown pool", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id, "10.0.0.9");
      const messages = [];
      for (const address of ["10.0.0.9", "10.0.0.0", "10.0.0.255", "10.0.1.1", "fd00::1"]) {
        messages.push((await errorOf(take(id, address))).message);
      }
      expect(messages).to.deep.equal([
        "Address already in use: 10.0.0.9 is held in tsnet-local/10.0.0.0/24",
        "Address already in use: 10.0.0.0 is reserved in tsnet-local/10.0.0.0/24",
        "Address already in use: 10.0.0.255 is reserved in tsnet-local/10.0.0.0/24",
        "requested address is out of range: 10.0.1.1 is not in 10.0.0.0/24",
        "requested address is out of range: fd00::1 is not in 10.0.0.0/24",
      ]);
      expect((await errorOf(take("tsnet-local/10.9.0.0/24"))).message).to.equal(
        "invalid pool id: tsnet-local/10.9.0.0/24",
      );
    });

    it("takes IPv6 addresses far beyond 2^53", async () => {
      const id = await idOf("fd00::/48", { subPool: "fd00::ffff:0:0:0/80" });
      expect([await take(id), await take(id, "fd00:0:0:ffff:ffff:ffff:ffff:ffff")]).to.deep.equal([
        "fd00::ffff:0:0:0/48",
        "fd00::ffff:ffff:ffff:ffff:ffff/48",
      ]);
    });

    it("gives different addresses to requests that come together", async () => {
      const id = await idOf("10.0.0.0/16");
      const given = await Promise.all(Array.from({ length: 300 }, () => take(id)));
      expect(new Set(given).size).to.equal(300);
      expect((await store.list("lease")).size).to.equal(300);
    });
  });

  describe("pools that share a subnet", () => {
    it("give out no address twice, and last until the last of them is released", async () => {
      const a = await idOf("10.0.0.0/24", { subPool: "10.0.0.16/30" });
      const b = await idOf("10.0.0.0/24", { subPool: "10.0.0.16/29" });
      expect([await take(a), await take(b), await take(a)]).to.deep.equal([
        "10.0.0.16/24",
        "10.0.0.17/24",
        "10.0.0.18/24",
      ]);
      expect((await errorOf(take(b, "10.0.0.16"))).code).to.equal("conflict");
      expect((await errorOf(request("10.0.0.0/24"))).code).to.equal("conflict");
      expect((await errorOf(request("10.0.0.0/24", { subPool: "10.0.0.16/30" }))).code).to.equal("conflict");

      await pools.releaseAddress({ poolId: b, address: "10.0.0.16" });
      expect((await errorOf(take(b, "10.0.0.16"))).code).to.equal("conflict");
      await pools.releasePool(a);
      expect([await take(b), await take(b)]).to.deep.equal(["10.0.0.16/24", "10.0.0.18/24"]);
      await pools.releasePool(b);
      expect(await recorded()).to.deep.equal([]);
      expect(await idOf("10.0.0.0/24")).to.equal("tsnet-local/10.0.0.0/24");
    });
  });

  it("takes the release of what it does not know", async () => {
    const id = await idOf("10.0.0.0/24");
    await pools.releasePool("tsnet-local/10.7.0.0/24");
    for (const address of ["10.0.0.0", "10.0.0.3", "10.3.0.0", "fd00::1", ""])
      await pools.releaseAddress({ poolId: id, address });
    await pools.releaseAddress({ poolId: "tsnet-local/10.7.0.0/24", address: "10.7.0.1" });
    expect((await errorOf(take(id, "10.0.0.0"))).code).to.equal("conflict");
  });

  it("keeps its format on disk", async () => {
    const id = await idOf("10.0.0.0/24", { subPool: "10.0.0.128/25" });
    await take(id, "", serial);
    expect(Object.fromEntries(await store.list("pool"))).to.deep.equal({
      "tsnet-local/10.0.0.0/24/10.0.0.128/25": {
        addressSpace: "tsnet-local",
        subnet: "10.0.0.0/24",
        subPool: "10.0.0.128/25",
        lastAllocated: "10.0.0.128",
      },
    });
    const [grant] = pools.leasesAt(["10.0.0.128/24"]);
    expect(grant).to.match(/^[0-9a-f-]{36}$/);
    expect(Object.fromEntries(await store.list("lease"))).to.deep.equal({
      "tsnet-local/10.0.0.128": { pool: "tsnet-local/10.0.0.0/24/10.0.0.128/25", address: "10.0.0.128", grant },
    });
  });
});
