import { expect } from "chai";
import { named, PoolsLab } from "../../../support/pools-lab.ts";
import { errorOf } from "../../../support/store-contract.ts";

describe("Pools whose released addresses rest, while the disk is slow,", () => {
  let lab: PoolsLab;
  let { idOf, take, takeAll, release, recorded } = new PoolsLab();

  const sticky = (pool: string) => idOf(pool, { options: { "tsnet.sticky": "true" } });

  beforeEach(async () => {
    lab = await PoolsLab.open();
    ({ idOf, take, takeAll, release, recorded } = lab);
  });

  const flush = async (calls: Promise<unknown>) => {
    lab.store.isHolding = false;
    for (const resolve of lab.store.held.splice(0)) resolve();
    await calls;
  };

  it("does not record a rest after its pool is gone", async () => {
    const id = await sticky("10.0.0.0/24");
    await takeAll(id, ["a", "b"]);
    lab.store.isHolding = true;
    const first = release(id, "10.0.0.1");
    const gone = lab.pools.releasePool(id);
    const second = release(id, "10.0.0.2");
    await flush(Promise.all([first, gone, second]));
    expect(await recorded()).to.deep.equal([]);
    await lab.restart();
  });

  it("leaves nothing behind of a pool that goes while somebody fails to get what rested in it", async () => {
    const all = await idOf("10.0.0.0/24");
    const part = await idOf("10.0.0.0/24", { subPool: "10.0.0.8/30", options: { "tsnet.quarantine": "10m" } });
    await take(part);
    await release(part, "10.0.0.8");
    Object.assign(lab.store, { isHolding: true, isFull: true });
    const failed = errorOf(take(all, "10.0.0.8"));
    lab.store.isFull = false;
    const gone = lab.pools.releasePool(part);
    await flush(failed);
    await gone;
    expect(await recorded()).to.deep.equal([all]);
    await lab.restart();
  });

  it("fails a release that a release of the pool was to do, if that fails", async () => {
    const id = await sticky("10.0.0.0/24");
    await takeAll(id, ["a"]);
    Object.assign(lab.store, { isHolding: true, isFull: true });
    const calls = [lab.pools.releasePool(id), release(id, "10.0.0.1")].map(errorOf);
    await flush(Promise.all(calls));
    expect((await Promise.all(calls)).map(({ code }) => code)).to.deep.equal(["store", "store"]);
    lab.store.isFull = false;
    await release(id, "10.0.0.1");
    expect(await takeAll(id, ["b", "a"])).to.deep.equal(["10.0.0.2/24", "10.0.0.1/24"]);
  });

  it("holds an address until its rest is durable, and goes on holding it if that fails", async () => {
    const id = await sticky("10.0.0.0/24");
    await takeAll(id, ["a"]);
    Object.assign(lab.store, { isHolding: true, isFull: true });
    const released = errorOf(release(id, "10.0.0.1"));
    await new Promise(setImmediate);
    expect((await errorOf(take(id, "10.0.0.1"))).message).to.equal(
      "Address already in use: 10.0.0.1 is held by container a in tsnet-local/10.0.0.0/24",
    );
    await flush(released);
    expect((await released).code).to.equal("store");
    expect((await errorOf(take(id, "10.0.0.1"))).code).to.equal("conflict");
  });

  it("gives a rest back to whom it was for if the request of another one fails", async () => {
    const id = await sticky("10.0.0.0/30");
    await takeAll(id, ["a", "b"]);
    await release(id, "10.0.0.1");
    lab.store.isFull = true;
    for (const address of ["10.0.0.1", ""])
      expect((await errorOf(take(id, address, named("c")))).code).to.equal("store");
    lab.store.isFull = false;
    expect(await takeAll(id, ["a"])).to.deep.equal(["10.0.0.1/30"]);
  });
});
