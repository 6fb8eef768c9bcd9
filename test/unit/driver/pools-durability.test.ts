import { expect } from "chai";
import { Pools } from "../../../src/driver/pools.ts";
import { TsnetError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import type { Change } from "../../../src/store/store.ts";
import { errorOf } from "../../support/store-contract.ts";

/** A store whose commits can be made to fail, or to wait. */
class TestStore extends MemoryStore {
  isFull = false;
  readonly held: (() => void)[] = [];
  isHolding = false;

  override async commit(changes: readonly Change[]): Promise<void> {
    const { isFull } = this;
    if (this.isHolding) await new Promise<void>((resolve) => this.held.push(resolve));
    if (isFull) throw new TsnetError("store", "the disk is full");
    await super.commit(changes);
  }
}

describe("Pools", () => {
  let store: TestStore;
  let pools: Pools;

  const request = (pool: string) =>
    pools.requestPool({ addressSpace: "tsnet-local", pool, subPool: "", options: {}, v6: false });
  const idOf = async (pool: string) => (await request(pool)).poolId;
  const take = async (poolId: string, address = "", options: Record<string, string> = {}) =>
    (await pools.requestAddress({ poolId, address, options })).address;
  const serial = { "com.docker.network.ipam.serial": "true" };
  const recorded = async () => [...(await store.list("pool")).keys(), ...(await store.list("lease")).keys()];

  beforeEach(() => {
    store = new TestStore();
    pools = new Pools({ records: store, hostId: "host-1", excluded: async () => [] });
  });

  describe("when the disk is full", () => {
    it("changes nothing, and goes on when there is space", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id);
      store.isFull = true;
      const calls = [request(""), request("10.5.0.0/24"), take(id), take(id, "10.0.0.9"), take(id, "", serial)];
      const releases = [pools.releaseAddress({ poolId: id, address: "10.0.0.1" }), pools.releasePool(id)];
      const errors = await Promise.all([...calls, ...releases].map(errorOf));
      expect(errors.map(({ code }) => code)).to.deep.equal(errors.map(() => "store"));
      store.isFull = false;
      expect([await take(id, "", serial), await take(id, "10.0.0.9")]).to.deep.equal(["10.0.0.2/24", "10.0.0.9/24"]);
      expect([await idOf(""), await idOf("10.5.0.0/24")]).to.deep.equal([
        "tsnet-local/172.17.0.0/16",
        "tsnet-local/10.5.0.0/24",
      ]);
      expect((await errorOf(take(id, "10.0.0.1"))).code).to.equal("conflict");
    });
  });

  describe("while the disk is slow", () => {
    const flush = async (calls: Promise<unknown>) => {
      store.isHolding = false;
      for (const resolve of store.held.splice(0)) resolve();
      await calls;
    };

    it("answers nothing before it is durable", async () => {
      store.isHolding = true;
      let answered = false;
      const call = request("10.0.0.0/24").then(() => {
        answered = true;
      });
      await new Promise(setImmediate);
      expect([answered, await recorded()]).to.deep.equal([false, []]);
      await flush(call);
      expect(await recorded()).to.deep.equal(["tsnet-local/10.0.0.0/24"]);
    });

    it("gives nobody an address or a subnet whose release is not durable yet", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id);
      store.isHolding = true;
      const releases = [1, 2].map(() => pools.releaseAddress({ poolId: id, address: "10.0.0.1" }));
      expect((await errorOf(take(id, "10.0.0.1"))).code).to.equal("conflict");
      await flush(Promise.all(releases));
      store.isHolding = true;
      const gone = [1, 2].map(() => pools.releasePool(id));
      expect((await errorOf(take(id))).message).to.equal(`invalid pool id: ${id}`);
      expect((await errorOf(request("10.0.0.0/24"))).code).to.equal("conflict");
      await flush(Promise.all(gone));
      expect(await recorded()).to.deep.equal([]);
      expect(await idOf("10.0.0.0/24")).to.equal(id);
    });

    it("releases an address after the request for it, whatever becomes of that", async () => {
      const id = await idOf("10.0.0.0/24");
      for (const isFull of [false, true]) {
        Object.assign(store, { isHolding: true, isFull });
        const requested = take(id, "10.0.0.7").catch((error: TsnetError) => error.code);
        store.isFull = false;
        const released = pools.releaseAddress({ poolId: id, address: "10.0.0.7" });
        await flush(Promise.all([requested, released]));
        expect(await requested).to.equal(isFull ? "store" : "10.0.0.7/24");
        expect(await recorded()).to.deep.equal([id]);
        expect(await take(id, "10.0.0.7")).to.equal("10.0.0.7/24");
        await pools.releaseAddress({ poolId: id, address: "10.0.0.7" });
      }
    });
  });
});
