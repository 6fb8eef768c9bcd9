import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import type { Pools } from "../../../../src/driver/ipam/pools.ts";
import { formatIp, parseIp } from "../../../../src/net/cidr.ts";
import { openPools, PoolsLab, startMs } from "../../../support/pools-lab.ts";
import { mostMs, turnsOf } from "../../../support/stall.ts";
import { errorOf } from "../../../support/store-changes.ts";
import { UnreliableStore } from "../../../support/unreliable-store.ts";

const count = 100_000;
const id = "tsnet-local/10.0.0.0/8";

describe("Pools with 100,000 addresses", function () {
  this.timeout(10_000);
  let store: UnreliableStore; // as with a disk, a commit takes turns
  let pools: Pools;
  let nowMs: number;

  /** All of them are held, or rest. */
  const fill = async (restsUntilMs: number | null) => {
    const options = { sticky: true, stickyTtlMs: 60_000, quarantineMs: 0, shared: false };
    const pool = { addressSpace: "tsnet-local", subnet: "10.0.0.0/8", subPool: null, lastAllocated: null, options };
    await store.commit([{ put: "pool", id, value: pool }]);
    const first = parseIp("10.0.0.1").value;
    const leases = Array.from({ length: count }, (_, n) => {
      const address = formatIp(4, first + BigInt(n));
      const lease = { role: "endpoint", identity: `name:${n}`, sinceMs: 0, hosts: [], restsUntilMs };
      const value = { pool: id, address, grant: `g${n}`, ...lease };
      return { put: "lease" as const, id: `tsnet-local/${address}`, value };
    });
    await store.commit(leases);
    pools = await openPools(store, { now: () => nowMs });
  };
  const resting = () => Number(pools.pools()[0]?.resting);

  beforeEach(() => {
    store = new UnreliableStore();
    nowMs = startMs;
  });

  for (const [what, untilMs] of [
    ["held", null],
    ["resting", startMs + 60_000],
  ] as const) {
    it(`go in turns with a pool, ${what}`, async () => {
      await fill(untilMs);
      const { meanMs } = await turnsOf(() => pools.releasePool(id));
      expect([...(await store.list("pool")), ...(await store.list("lease"))]).to.deep.equal([]);
      expect(pools.pools()).to.deep.equal([]);
      expect(meanMs).to.be.below(mostMs);
    });
  }

  it("stay with a pool as far as they are not gone when the disk is full, and go later", async () => {
    await fill(null);
    const released = errorOf(pools.releasePool(id));
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    store.isFailing = true;
    expect((await released).code).to.equal("store");
    store.isFailing = false;
    const left = [...pools.leasesOf(id)].map(({ address }) => `tsnet-local/${address}`);
    expect(left.length).to.be.within(1, count - 1);
    expect([...(await store.list("lease")).keys()].sort()).to.deep.equal(left.sort());
    await pools.releasePool(id);
    expect([...(await store.list("pool")), ...(await store.list("lease"))]).to.deep.equal([]);
  });

  it("end their rests in turns, and no request waits for all", async () => {
    await fill(nowMs + 60_000);
    expect(resting()).to.equal(count);
    nowMs += 60_000;
    const { meanMs, value } = await turnsOf(async () => {
      const taken = await pools.requestAddress({ poolId: id, address: "", options: {} }, false);
      const left = resting();
      while (resting() > 0) await setImmediate();
      return { taken, left };
    });
    expect(value.taken).to.equal("10.0.0.1/8");
    expect(value.left).to.be.within(1, count);
    expect(meanMs).to.be.below(mostMs);
    expect([...pools.leasesOf(id)]).to.have.length(1);
  });
});

describe("Pools with many rests that end at once", () => {
  it("give out what has ended, wherever it is", async () => {
    const lab = await PoolsLab.open();
    const options = { "tsnet.quarantine": "10s" };
    const all = await lab.idOf("11.0.0.0/21", { options });
    const part = await lab.idOf("11.0.0.0/21", { options, subPool: "11.0.7.0/24" });
    const given = await Promise.all(Array.from({ length: 2046 }, () => lab.take(all)));
    for (const address of given) await lab.release(all, address.split("/")[0] ?? "");
    expect((await errorOf(lab.take(part))).code).to.equal("exhausted");
    lab.nowMs += 10_000;
    expect(await lab.take(part)).to.equal("11.0.7.0/21");
  });
});
