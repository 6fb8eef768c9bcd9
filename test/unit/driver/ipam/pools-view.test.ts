import { expect } from "chai";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { gateway, named, openPools, PoolsLab, startMs } from "../../../support/pools-lab.ts";

describe("what there is to see of pools", () => {
  let lab: PoolsLab;
  let { idOf, take, release, attach } = new PoolsLab();

  const counts = (id: string) => {
    const view = [...lab.pools.pools()].find((pool) => pool.id === id);
    return view && [view.size, view.reserved, view.used, view.resting, view.free];
  };

  beforeEach(async () => {
    lab = await PoolsLab.open();
    ({ idOf, take, release, attach } = lab);
  });

  it("is how full they are, of their range", async () => {
    const options = { "tsnet.quarantine": "10m" };
    const all = await idOf("10.0.0.0/24", { options });
    const part = await idOf("10.0.0.0/24", { subPool: "10.0.0.0/29" });
    expect(counts(all)).to.deep.equal([256n, 2n, 0n, 0n, 254n]);
    expect(counts(part)).to.deep.equal([8n, 1n, 0n, 0n, 7n]);
    await take(all, "", gateway);
    await take(all, "", named("a"));
    await take(part);
    await take(part, "10.0.0.100");
    await release(all, "10.0.0.2");
    expect(counts(all)).to.deep.equal([256n, 2n, 1n, 1n, 250n]);
    expect(counts(part)).to.deep.equal([8n, 1n, 1n, 0n, 4n]);
    const late = await idOf("10.0.0.0/24", { subPool: "10.0.0.0/30" });
    expect(counts(late)).to.deep.equal([4n, 1n, 0n, 0n, 0n]);
    lab.nowMs += 600_000;
    expect([counts(all), counts(late)]).to.deep.equal([
      [256n, 2n, 1n, 0n, 251n],
      [4n, 1n, 0n, 0n, 1n],
    ]);
    await lab.pools.releasePool(part);
    expect(counts(all)).to.deep.equal([256n, 2n, 1n, 0n, 253n]);
    await lab.restart();
    expect([counts(all), counts(late)]).to.deep.equal([
      [256n, 2n, 1n, 0n, 253n],
      [4n, 1n, 0n, 0n, 2n],
    ]);
    expect(counts(await idOf("fd00::/64"))).to.deep.equal([1n << 64n, 1n, 0n, 0n, (1n << 64n) - 1n]);
  });

  it("is whose they are", async () => {
    const id = await idOf("10.0.0.0/24", { subPool: "10.0.0.8/29" });
    await attach("n1", "10.0.0.0/24");
    expect([...lab.pools.pools()]).to.deep.equal([
      {
        ...{ id, addressSpace: "tsnet-local", family: 4, subnet: "10.0.0.0/24", subPool: "10.0.0.8/29" },
        ...{ network: "n1", hosts: [], size: 8n, reserved: 0n, used: 0n, resting: 0n, free: 8n, lastRequest: 1 },
      },
    ]);
  });

  it("is who has what, since when, in the order of the addresses", async () => {
    const id = await idOf("10.0.0.0/24", { options: { "tsnet.sticky": "true" } });
    await attach("n1", "10.0.0.0/24");
    await take(id, "10.0.0.9", named("b"));
    lab.nowMs += 1000;
    await take(id, "10.0.0.10", named("a"));
    await take(id, "", gateway);
    await release(id, "10.0.0.9");
    const lease = { pool: id, role: "endpoint", hosts: [], restsUntilMs: null };
    const seen = [...lab.pools.leasesOf(id)].map(({ grant, ...rest }) => rest);
    expect(seen).to.deep.equal([
      { ...lease, address: "10.0.0.1", role: "gateway", identity: null, sinceMs: startMs + 1000 },
      {
        ...{ ...lease, address: "10.0.0.9", identity: "name:b", sinceMs: startMs },
        restsUntilMs: startMs + 1000 + 24 * 3_600_000,
      },
      { ...lease, address: "10.0.0.10", identity: "name:a", sinceMs: startMs + 1000 },
    ]);
    expect([...lab.pools.leasesOf("tsnet-local/10.7.0.0/24")]).to.deep.equal([]);
  });

  it("may change while somebody looks", async () => {
    const id = await idOf("10.0.0.0/24");
    for (let n = 0; n < 20; n++) await take(id);
    const seen: string[] = [];
    for (const { address } of lab.pools.leasesOf(id)) {
      seen.push(address);
      await release(id, address);
      if (seen.length === 10) await release(id, "10.0.0.12");
    }
    expect(seen).to.deep.equal(
      Array.from({ length: 20 }, (_, n) => `10.0.0.${n + 1}`).filter((address) => address !== "10.0.0.12"),
    );
  });

  it("can be given back by its grant, once", async () => {
    const id = await idOf("10.0.0.0/24", { options: { "tsnet.quarantine": "10m" } });
    await take(id, "10.0.0.5", named("a"));
    const grant = [...lab.pools.leasesOf(id)][0]?.grant ?? "";
    for (const [pool, address, by] of [
      [id, "10.0.0.5", "other"],
      [id, "10.0.0.5", ""],
      [id, "10.0.0.6", grant],
      [id, "fd00::5", grant],
      ["tsnet-local/10.7.0.0/24", "10.0.0.5", grant],
    ] as const) {
      expect(await lab.pools.releaseGrant(pool, address, by)).to.equal(false);
    }
    const both = [1, 2].map(() => lab.pools.releaseGrant(id, "10.0.0.5", grant));
    expect(await Promise.all(both)).to.deep.equal([true, false]);
    expect(counts(id)).to.deep.equal([256n, 2n, 0n, 1n, 253n]);
    expect(await lab.pools.releaseGrant(id, "10.0.0.5", grant)).to.equal(false);
  });

  describe("a warning", () => {
    const warnings = () => lab.log.lines.filter((line) => line.includes("nearly full"));
    const fill = async (id: string, from: number, to: number) => {
      for (let n = from; n <= to; n++) await take(id, `10.0.0.${n}`);
    };
    const empty = async (id: string, from: number, to: number) => {
      for (let n = from; n <= to; n++) await release(id, `10.0.0.${n}`);
    };

    it("comes at 80 % of what can be given out, and again after less than 70 %", async () => {
      const id = await idOf("10.0.0.0/28");
      await attach("n1", "10.0.0.0/28");
      await fill(id, 1, 11);
      expect(warnings()).to.deep.equal([]);
      await fill(id, 12, 14);
      expect(warnings()).to.deep.equal([
        "warn: a pool is nearly full: remove containers, or make the network with a larger subnet or IP range " +
          '{"pool":"tsnet-local/10.0.0.0/28","network":"n1","size":"16","percent":85}',
      ]);
      await empty(id, 11, 14);
      await fill(id, 11, 14);
      expect(warnings()).to.have.length(1);
      await empty(id, 10, 14);
      expect(warnings()).to.have.length(1);
      await fill(id, 10, 14);
      expect(warnings()).to.have.length(2);
    });

    it("does not come for what rests", async () => {
      const id = await idOf("10.0.0.0/28", { options: { "tsnet.quarantine": "1h" } });
      await attach("n1", "10.0.0.0/28");
      await fill(id, 1, 11);
      await empty(id, 5, 11);
      await fill(id, 12, 14);
      expect(warnings()).to.deep.equal([]);
    });
  });

  it("is the same for records of before there was more to say", async () => {
    const store = new MemoryStore();
    const pool = { addressSpace: "tsnet-local", subnet: "10.0.0.0/24", subPool: null, lastAllocated: null };
    await store.commit([
      { put: "pool", id: "tsnet-local/10.0.0.0/24", value: pool },
      { put: "lease", id: "tsnet-local/10.0.0.5", value: { pool: "tsnet-local/10.0.0.0/24", address: "10.0.0.5" } },
    ]);
    const pools = await openPools(store);
    expect([...pools.pools()].map(({ id, network, used }) => [id, network, used])).to.deep.equal([
      ["tsnet-local/10.0.0.0/24", null, 1n],
    ]);
    expect([...pools.leasesOf("tsnet-local/10.0.0.0/24")]).to.deep.equal([
      {
        ...{ pool: "tsnet-local/10.0.0.0/24", address: "10.0.0.5", grant: "", role: "endpoint", identity: null },
        ...{ sinceMs: 0, hosts: [], restsUntilMs: null },
      },
    ]);
  });
});
