import { expect } from "chai";
import type { PoolRequest } from "../../../../src/driver/ipam/pool-request.ts";
import { Pools } from "../../../../src/driver/ipam/pools.ts";
import { SlowStore } from "../../../support/slow-store.ts";
import { errorOf } from "../../../support/store-contract.ts";

describe("leases of an endpoint", () => {
  let store: SlowStore;
  let pools: Pools;

  const restart = async () => {
    const restarted = new Pools({ records: store, hostId: "host-1", excluded: async () => [] });
    await restarted.restore();
    return restarted;
  };
  const idOf = async (pool: string, wish: Partial<PoolRequest> = {}) => {
    const request = { addressSpace: "tsnet-local", pool, subPool: "", options: {}, v6: pool.includes(":"), ...wish };
    return (await pools.requestPool(request)).poolId;
  };
  const take = async (poolId: string, address = "") =>
    (await pools.requestAddress({ poolId, address, options: {} })).address;
  const recorded = async () => [...(await store.list("pool")).keys(), ...(await store.list("lease")).keys()];

  beforeEach(async () => {
    store = new SlowStore();
    pools = await restart();
  });

  it("are unique to each time that an address is given out, and the same after a restart", async () => {
    const id = await idOf("10.0.0.0/24");
    const six = await idOf("fd00::/64");
    const addresses = [await take(id, "10.0.0.5"), await take(six)];
    const first = pools.leasesAt(addresses);
    expect(new Set(first).size).to.equal(2);
    await pools.releaseAddress({ poolId: id, address: "10.0.0.5" });
    expect(pools.leasesAt(addresses)).to.deep.equal([first[1]]);
    await take(id, "10.0.0.5");
    const second = pools.leasesAt(addresses);
    expect([second.length, second.includes(first[0] ?? "")]).to.deep.equal([2, false]);
    pools = await restart();
    expect(pools.leasesAt(addresses)).to.deep.equal(second);
  });

  it("are none where another IPAM driver gave the address, or another address space has it", async () => {
    await take(await idOf("10.0.0.0/24"), "10.0.0.5");
    await take(await idOf("10.8.0.0/24", { addressSpace: "tsnet-global" }), "10.8.0.5");
    expect(pools.leasesAt(["10.0.0.6/24", "10.0.0.5/16", "10.9.0.5/24", "10.8.0.5/24"])).to.deep.equal([]);
  });

  it("are given back by their grant, and only by it", async () => {
    const id = await idOf("10.0.0.0/24", { subPool: "10.0.0.0/25" });
    const address = await take(id, "10.0.0.5");
    const old = pools.leasesAt([address]);
    await pools.releaseAddress({ poolId: id, address: "10.0.0.5" });
    await take(id, "10.0.0.5");
    for (const grants of [old, [], [""]]) await pools.releaseLeases([address], grants);
    expect((await errorOf(take(id, "10.0.0.5"))).code).to.equal("conflict");
    await pools.releaseLeases([address, "fd00::5/64"], ["other", ...pools.leasesAt([address])]);
    expect(await recorded()).to.deep.equal([id]);
    expect(await take(id, "10.0.0.5")).to.equal(address);
  });

  it("that were recorded without a grant are held, and never given back by one", async () => {
    const id = await idOf("10.0.0.0/24");
    await store.commit([
      { put: "lease", id: "tsnet-local/10.0.0.5", value: { pool: "tsnet-local/10.0.0.0/24", address: "10.0.0.5" } },
    ]);
    pools = await restart();
    expect(pools.leasesAt(["10.0.0.5/24"])).to.deep.equal([]);
    for (const grants of [[], [""]]) await pools.releaseLeases(["10.0.0.5/24"], grants);
    expect((await errorOf(take(id, "10.0.0.5"))).code).to.equal("conflict");
    await pools.releaseAddress({ poolId: id, address: "10.0.0.5" });
    expect(await take(id, "10.0.0.5")).to.equal("10.0.0.5/24");
  });

  it("gives back nobody's lease but the one that was meant, though both are under way", async () => {
    const id = await idOf("10.0.0.0/24");
    const old = pools.leasesAt([await take(id, "10.0.0.5")]);
    store.isHolding = true;
    const released = pools.releaseAddress({ poolId: id, address: "10.0.0.5" });
    const collected = pools.releaseLeases(["10.0.0.5/24"], old);
    store.isHolding = false;
    store.held.shift()?.();
    await released;
    const next = take(id, "10.0.0.5");
    for (const resolve of store.held.splice(0)) resolve();
    await Promise.all([collected, next]);
    expect(await recorded()).to.deep.equal([id, "tsnet-local/10.0.0.5"]);
    expect((await errorOf(take(id, "10.0.0.5"))).code).to.equal("conflict");
  });
});
