import { expect } from "chai";
import { gateway, named, PoolsLab, startMs, withMac } from "../../../support/pools-lab.ts";
import { errorOf } from "../../../support/store-contract.ts";

const hourMs = 3_600_000;

describe("Pools whose released addresses rest:", () => {
  let lab: PoolsLab;
  let { idOf, take, takeAll, release, recorded, attach } = new PoolsLab();

  const sticky = (pool: string, options = {}) => idOf(pool, { options: { "tsnet.sticky": "true", ...options } });
  const quarantine = (pool: string, length: string) => idOf(pool, { options: { "tsnet.quarantine": length } });
  const warnings = () => lab.log.lines.filter((line) => line.startsWith("warn: an address that rested"));

  beforeEach(async () => {
    lab = await PoolsLab.open();
    ({ idOf, take, takeAll, release, recorded, attach } = lab);
  });

  describe("sticky", () => {
    it("gives a container its address again, by name or by MAC address, a restart later too", async () => {
      const id = await sticky("10.0.0.0/24");
      await takeAll(id, ["a", "b"]);
      expect(await take(id, "", withMac("02:42:AA:00:00:01"))).to.equal("10.0.0.3/24");
      for (const n of [1, 2, 3]) await release(id, `10.0.0.${n}`);
      expect(await takeAll(id, ["new"])).to.deep.equal(["10.0.0.4/24"]);
      await lab.restart();
      expect(await takeAll(id, ["b", "a"])).to.deep.equal(["10.0.0.2/24", "10.0.0.1/24"]);
      expect(await take(id, "", withMac("02:42:aa:00:00:01"))).to.equal("10.0.0.3/24");
    });

    it("keeps it for a day, or as long as it is told, and not a moment longer", async () => {
      const [day, hour] = [await sticky("10.0.0.0/24"), await sticky("10.1.0.0/24", { "tsnet.sticky_ttl": "1h" })];
      for (const [id, ttlMs] of [
        [day, 24 * hourMs],
        [hour, hourMs],
      ] as const) {
        const [address = ""] = await takeAll(id, ["a"]);
        const ip = address.split("/")[0] ?? "";
        await release(id, ip);
        lab.nowMs += ttlMs - 1;
        expect((await takeAll(id, ["b", "a"])).map((text) => text.slice(5))).to.deep.equal(["0.2/24", "0.1/24"]);
        await release(id, ip);
        lab.nowMs += ttlMs;
        expect((await takeAll(id, ["c", "a"])).map((text) => text.slice(5))).to.deep.equal(["0.1/24", "0.3/24"]);
      }
    });

    it("never refuses an address that rests to the one who names it", async () => {
      const id = await sticky("10.0.0.0/24");
      await takeAll(id, ["a"]);
      await release(id, "10.0.0.1");
      expect(await take(id, "10.0.0.1", named("b"))).to.equal("10.0.0.1/24");
      expect(warnings()).to.have.length(1);
      expect(await takeAll(id, ["a"])).to.deep.equal(["10.0.0.2/24"]);
    });

    it("yields what was released first once nothing else is free, and says so", async () => {
      const id = await sticky("10.0.0.0/29");
      await takeAll(id, ["a", "b", "c", "d", "e", "f"]);
      for (const n of [3, 1, 2]) {
        lab.nowMs += 1;
        await release(id, `10.0.0.${n}`);
      }
      expect(await takeAll(id, ["x", "b", "y"])).to.deep.equal(["10.0.0.3/29", "10.0.0.2/29", "10.0.0.1/29"]);
      expect(warnings()).to.deep.equal([
        'warn: an address that rested for somebody else is given out {"pool":"tsnet-local/10.0.0.0/29",' +
          '"address":"10.0.0.3","keptFor":"name:c","givenTo":"name:x"}',
        'warn: an address that rested for somebody else is given out {"pool":"tsnet-local/10.0.0.0/29",' +
          '"address":"10.0.0.1","keptFor":"name:a","givenTo":"name:y"}',
      ]);
      expect((await errorOf(take(id))).code).to.equal("exhausted");
    });

    it("does not yield what rests outside of the range of the pool", async () => {
      const id = await idOf("10.0.0.0/24", { subPool: "10.0.0.8/31", options: { "tsnet.sticky": "true" } });
      await attach("n1", "10.0.0.0/24");
      await take(id, "10.0.0.1", named("a"));
      await release(id, "10.0.0.1");
      await takeAll(id, ["b", "c"]);
      expect((await errorOf(take(id, "", named("d")))).code).to.equal("exhausted");
      expect(await takeAll(id, ["a"])).to.deep.equal(["10.0.0.1/24"]);
    });

    it("keeps nothing for gateways, nor for those that nobody can recognize", async () => {
      const id = await sticky("10.0.0.0/24");
      await take(id, "", gateway);
      await take(id);
      await release(id, "10.0.0.1");
      await release(id, "10.0.0.2");
      expect(await recorded()).to.deep.equal([id]);
    });

    it("gives the one that was released last if several rest for the same container", async () => {
      const id = await sticky("10.0.0.0/24");
      await takeAll(id, ["a", "a", "a"]);
      for (const n of [2, 1, 3]) {
        lab.nowMs += 1;
        await release(id, `10.0.0.${n}`);
      }
      await lab.restart();
      expect(await takeAll(id, ["a", "a", "a", "a"])).to.deep.equal([
        ...["10.0.0.3/24", "10.0.0.1/24", "10.0.0.2/24", "10.0.0.4/24"],
      ]);
    });

    it("takes a second release for the first", async () => {
      const id = await sticky("10.0.0.0/24", { "tsnet.sticky_ttl": "1h" });
      await takeAll(id, ["a"]);
      await release(id, "10.0.0.1");
      lab.nowMs += hourMs / 2;
      await release(id, "10.0.0.1");
      expect([...lab.pools.leasesOf(id)].map(({ restsUntilMs }) => restsUntilMs)).to.deep.equal([startMs + hourMs]);
    });
  });

  describe("quarantine", () => {
    it("keeps a released address from everybody for a while, a restart later too", async () => {
      const id = await quarantine("10.0.0.0/24", "10m");
      await takeAll(id, ["a"]);
      await release(id, "10.0.0.1");
      expect(await takeAll(id, ["a"])).to.deep.equal(["10.0.0.2/24"]);
      lab.nowMs += 600_000 - 1;
      await lab.restart();
      expect(await take(id)).to.equal("10.0.0.3/24");
      lab.nowMs += 1;
      expect(await take(id)).to.equal("10.0.0.1/24");
    });

    it("does not yield: the error says how many rest, and until when", async () => {
      const id = await quarantine("10.0.0.0/29", "10m");
      await takeAll(id, ["a", "b", "web.1.aaaaaaaaaaaaaaaaaaaaaaaaa", "web.2.bbbbbbbbbbbbbbbbbbbbbbbbb"]);
      await take(id);
      await take(id, "", gateway);
      await release(id, "10.0.0.2");
      lab.nowMs += 1000;
      await release(id, "10.0.0.1");
      expect((await errorOf(take(id))).message).to.equal(
        "no available IPv4 addresses on this network's address pools: tsnet-local/10.0.0.0/29 (size 8): " +
          "held by web 2, containers without a name 1, gateway 1; " +
          "2 released ones rest, the first until 2026-01-01T00:10:00.000Z; " +
          "remove containers, or make the network with a larger subnet or IP range",
      );
      expect(await take(id, "10.0.0.1")).to.equal("10.0.0.1/29");
      expect(warnings()).to.deep.equal([]);
      lab.nowMs = startMs + 600_000;
      expect(await take(id)).to.equal("10.0.0.2/29");
    });

    it("of a pool with whom it shares the subnet ends for both", async () => {
      const [a, b] = [
        await idOf("10.0.0.0/24", { subPool: "10.0.0.8/30", options: { "tsnet.quarantine": "10m" } }),
        await idOf("10.0.0.0/24", { subPool: "10.0.0.8/31" }),
      ];
      await take(a);
      await release(a, "10.0.0.8");
      expect(await take(b)).to.equal("10.0.0.9/24");
      lab.nowMs += 600_000;
      expect(await take(b)).to.equal("10.0.0.8/24");
      expect([...lab.pools.leasesOf(a)]).to.deep.equal([]);
      expect((await errorOf(take(b))).code).to.equal("exhausted");
    });

    it("of a pool with whom it shares the subnet refuses nobody who names the address", async () => {
      const [a, b] = [
        await idOf("10.0.0.0/24", { subPool: "10.0.0.8/30", options: { "tsnet.quarantine": "10m" } }),
        await idOf("10.0.0.0/24", { subPool: "10.0.0.16/30" }),
      ];
      await take(a);
      await release(a, "10.0.0.8");
      lab.store.isFull = true;
      expect((await errorOf(take(b, "10.0.0.8"))).code).to.equal("store");
      expect([...lab.pools.leasesOf(a)]).to.have.length(1);
      lab.store.isFull = false;
      expect(await take(b, "10.0.0.8")).to.equal("10.0.0.8/24");
      await lab.restart();
      expect([a, b].map((id) => [...lab.pools.leasesOf(id)].length)).to.deep.equal([0, 1]);
      await release(a, "10.0.0.8");
      expect((await errorOf(take(a, "10.0.0.8"))).code).to.equal("conflict");
    });
  });

  it("removes the records of rests that are over with what it writes next", async () => {
    const id = await quarantine("10.0.0.0/24", "10m");
    await takeAll(
      id,
      Array.from({ length: 50 }, (_, n) => `c${n}`),
    );
    for (let n = 1; n <= 50; n++) await release(id, `10.0.0.${n}`);
    expect((await recorded()).length).to.equal(51);
    lab.nowMs += 600_000;
    await take(id, "10.0.0.9");
    expect((await recorded()).length).to.equal(1 + 1 + 50 - 1 - 32);
    lab.store.isFull = true;
    expect((await errorOf(take(id))).code).to.equal("store");
    lab.store.isFull = false;
    await take(id);
    expect((await recorded()).sort()).to.deep.equal([id, "tsnet-local/10.0.0.1", "tsnet-local/10.0.0.9"].sort());
  });

  it("leaves nothing behind when the pool goes", async () => {
    const id = await quarantine("10.0.0.0/24", "10m");
    await takeAll(id, ["a", "b", "c"]);
    for (const n of [1, 2]) await release(id, `10.0.0.${n}`);
    lab.nowMs += 600_000;
    expect([...lab.pools.leasesOf(id)]).to.have.length(1);
    await release(id, "10.0.0.3");
    await lab.pools.releasePool(id);
    expect(await recorded()).to.deep.equal([]);
    expect(await take(await idOf("10.0.0.0/24"))).to.equal("10.0.0.1/24");
  });
});
