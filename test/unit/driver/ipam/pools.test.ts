import { expect } from "chai";
import { cidrs, gateway, named, PoolsLab, serial, startMs } from "../../../support/pools-lab.ts";
import { errorOf } from "../../../support/store-contract.ts";

describe("Pools", () => {
  let lab: PoolsLab;
  let { request, idOf, take, release, recorded } = new PoolsLab();

  beforeEach(async () => {
    lab = await PoolsLab.open();
    ({ request, idOf, take, release, recorded } = lab);
  });

  describe("requestPool", () => {
    it("answers with the ID and the subnet", async () => {
      expect(await request("172.18.0.0/16", { subPool: "172.18.5.0/24" })).to.deep.equal({
        poolId: "tsnet-local/172.18.0.0/16/172.18.5.0/24",
        pool: "172.18.0.0/16",
      });
      expect(await idOf("fd00:0::/64", { addressSpace: "tsnet-global" })).to.equal("tsnet-global/fd00::/64");
    });

    it("never gives out a subnet twice while it is held, nor one that is excluded", async () => {
      lab.excluded = cidrs("172.17.0.0/16", "172.19.1.0/24");
      const ids = [
        await idOf(""),
        await idOf("172.20.0.0/24"),
        await idOf(""),
        await idOf("0.0.0.0/24"),
        await idOf("0.0.0.0/24"),
      ];
      const subnets = ["172.18.0.0/16", "172.20.0.0/24", "172.21.0.0/16", "172.19.0.0/24", "172.19.2.0/24"];
      expect(ids).to.deep.equal(subnets.map((subnet) => `tsnet-local/${subnet}`));
      await lab.pools.releasePool("tsnet-local/172.18.0.0/16");
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
  });

  describe("requestAddress", () => {
    it("gives the lowest free address, with the prefix length of the subnet", async () => {
      const id = await idOf("172.18.0.0/16");
      expect([await take(id, "", gateway), await take(id), await take(id)]).to.deep.equal([
        "172.18.0.1/16",
        "172.18.0.2/16",
        "172.18.0.3/16",
      ]);
      await release(id, "172.18.0.2");
      expect([await take(id), await take(id)]).to.deep.equal(["172.18.0.2/16", "172.18.0.4/16"]);
    });

    it("goes on after the last one where the manager of a swarm asks, a restart later too", async () => {
      const id = await idOf("10.0.0.0/29");
      expect([await take(id, "", serial), await take(id, "", serial)]).to.deep.equal(["10.0.0.1/29", "10.0.0.2/29"]);
      await release(id, "10.0.0.2");
      await lab.restart();
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
          "held by containers without a name 2, gateway 1; remove containers, or make the network with a larger subnet or IP range",
      );
    });

    it("says that it is tasks and services who have those of a swarm", async () => {
      const id = await idOf("10.0.0.0/30", { addressSpace: "tsnet-global" });
      await take(id);
      await take(id);
      expect((await errorOf(take(id))).message).to.include(": held by tasks and services of the swarm 2; ");
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
        "Address already in use: 10.0.0.9 is held by an auxiliary address in tsnet-local/10.0.0.0/24",
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
      expect((await lab.store.list("lease")).size).to.equal(300);
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

      await release(b, "10.0.0.16");
      expect((await errorOf(take(b, "10.0.0.16"))).code).to.equal("conflict");
      await lab.pools.releasePool(a);
      expect([await take(b), await take(b)]).to.deep.equal(["10.0.0.16/24", "10.0.0.18/24"]);
      await lab.pools.releasePool(b);
      expect(await recorded()).to.deep.equal([]);
      expect(await idOf("10.0.0.0/24")).to.equal("tsnet-local/10.0.0.0/24");
    });
  });

  it("takes the release of what it does not know", async () => {
    const id = await idOf("10.0.0.0/24");
    await lab.pools.releasePool("tsnet-local/10.7.0.0/24");
    for (const address of ["10.0.0.0", "10.0.0.3", "10.3.0.0", "fd00::1", ""]) await release(id, address);
    await release("tsnet-local/10.7.0.0/24", "10.7.0.1");
    expect((await errorOf(take(id, "10.0.0.0"))).code).to.equal("conflict");
  });

  it("keeps its format on disk", async () => {
    const options = { "tsnet.sticky": "true", "tsnet.sticky_ttl": "1h" };
    const id = await idOf("10.0.0.0/24", { subPool: "10.0.0.128/25", options });
    await take(id, "", { ...serial, ...named("web") });
    await lab.attach("n1", "10.0.0.0/24");
    expect(Object.fromEntries(await lab.store.list("pool"))).to.deep.equal({
      "tsnet-local/10.0.0.0/24/10.0.0.128/25": {
        addressSpace: "tsnet-local",
        subnet: "10.0.0.0/24",
        subPool: "10.0.0.128/25",
        lastAllocated: "10.0.0.128",
        options: { sticky: true, stickyTtlMs: 3_600_000, quarantineMs: 0, shared: false },
        network: "n1",
        hosts: [],
        sequence: 1,
      },
    });
    const [grant] = lab.pools.leasesAt("n1", ["10.0.0.128/24"]);
    expect(grant).to.match(/^[\w-]{8}\.\w+$/);
    const lease = {
      ...{ pool: "tsnet-local/10.0.0.0/24/10.0.0.128/25", address: "10.0.0.128" },
      ...{ grant, role: "endpoint", identity: "name:web", sinceMs: startMs, hosts: [], restsUntilMs: null },
    };
    expect(Object.fromEntries(await lab.store.list("lease"))).to.deep.equal({ "tsnet-local/10.0.0.128": lease });
    await release(id, "10.0.0.128");
    expect(Object.fromEntries(await lab.store.list("lease"))).to.deep.equal({
      "tsnet-local/10.0.0.128": { ...lease, restsUntilMs: startMs + 3_600_000 },
    });
  });
});
