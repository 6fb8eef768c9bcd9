import { expect } from "chai";
import fc from "fast-check";
import { parsePoolRequest } from "../../../../src/driver/ipam/pool-request.ts";
import { TsnetError } from "../../../../src/errors.ts";
import type { Change } from "../../../../src/store/store.ts";
import { openPools, PoolsLab, serial } from "../../../support/pools-lab.ts";
import type { SlowStore } from "../../../support/slow-store.ts";
import { errorOf } from "../../../support/store-changes.ts";
import { UnreliableStore } from "../../../support/unreliable-store.ts";

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof TsnetError)) throw error;
}

describe("Pools on a disk", () => {
  let lab: PoolsLab;
  let store: SlowStore;
  let { take, release, recorded } = new PoolsLab();

  const request = (pool: string, subPool = "") => lab.request(pool, { subPool });
  const idOf = async (pool: string, subPool = "") => (await request(pool, subPool)).poolId;
  const releasePool = (id: string) => lab.pools.releasePool(id);

  beforeEach(async () => {
    lab = await PoolsLab.open();
    ({ store, take, release, recorded } = lab);
  });

  describe("when the disk is full", () => {
    it("changes nothing, and goes on when there is space", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id);
      store.isFull = true;
      const calls = [request(""), request("10.5.0.0/24"), take(id), take(id, "10.0.0.9"), take(id, "", serial)];
      const releases = [release(id, "10.0.0.1"), releasePool(id)];
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
      const releases = [1, 2].map(() => release(id, "10.0.0.1"));
      expect((await errorOf(take(id, "10.0.0.1"))).code).to.equal("conflict");
      await flush(Promise.all(releases));
      store.isHolding = true;
      const gone = [1, 2].map(() => releasePool(id));
      expect((await errorOf(take(id))).message).to.equal(`invalid pool id: ${id}`);
      expect((await errorOf(request("10.0.0.0/24"))).code).to.equal("conflict");
      await flush(Promise.all(gone));
      expect(await recorded()).to.deep.equal([]);
      expect(await idOf("10.0.0.0/24")).to.equal(id);
    });

    it("frees an address once, though it is released twice and given out again in between", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id);
      store.isHolding = true;
      const releases = [1, 2].map(() => release(id, "10.0.0.1"));
      store.isHolding = false;
      store.held.shift()?.();
      await releases[0];
      expect(await take(id)).to.equal("10.0.0.1/24");
      await flush(Promise.all(releases));
      expect([await take(id), await recorded()]).to.deep.equal([
        "10.0.0.2/24",
        [id, "tsnet-local/10.0.0.1", "tsnet-local/10.0.0.2"],
      ]);
    });

    it("frees nothing of a pool that shares the subnet when a request of a pool that is gone fails", async () => {
      const [gone, other] = [await idOf("10.0.0.0/24", "10.0.0.8/29"), await idOf("10.0.0.0/24", "10.0.0.8/30")];
      Object.assign(store, { isHolding: true, isFull: true });
      const failed = errorOf(take(gone));
      Object.assign(store, { isHolding: false, isFull: false });
      await releasePool(gone);
      expect(await take(other)).to.equal("10.0.0.8/24");
      await flush(failed);
      expect(await take(other)).to.equal("10.0.0.9/24");
    });

    it("leaves no lease behind of a pool that could not be made durable", async () => {
      Object.assign(store, { isHolding: true, isFull: true });
      const pool = errorOf(request("10.0.0.0/24"));
      store.isFull = false;
      const address = errorOf(take("tsnet-local/10.0.0.0/24"));
      await flush(Promise.all([pool, address]));
      expect([(await pool).code, (await address).message]).to.deep.equal([
        "store",
        "invalid pool id: tsnet-local/10.0.0.0/24",
      ]);
      expect(await recorded()).to.deep.equal([]);
      await openPools(store);
    });

    it("gives addresses of a pool once it is durable", async () => {
      store.isHolding = true;
      const pool = request("10.0.0.0/24");
      const address = take("tsnet-local/10.0.0.0/24");
      await flush(Promise.all([pool, address]));
      expect([await address, await recorded()]).to.deep.equal([
        "10.0.0.1/24",
        ["tsnet-local/10.0.0.0/24", "tsnet-local/10.0.0.1"],
      ]);
    });

    it("releases an address after the request for it, whatever becomes of that", async () => {
      const id = await idOf("10.0.0.0/24");
      for (const isFull of [false, true]) {
        Object.assign(store, { isHolding: true, isFull });
        const requested = take(id, "10.0.0.7").catch((error: TsnetError) => error.code);
        store.isFull = false;
        const released = release(id, "10.0.0.7");
        await flush(Promise.all([requested, released]));
        expect(await requested).to.equal(isFull ? "store" : "10.0.0.7/24");
        expect(await recorded()).to.deep.equal([id]);
        expect(await take(id, "10.0.0.7")).to.equal("10.0.0.7/24");
        await release(id, "10.0.0.7");
      }
    });
  });

  it("does not start with records that it cannot understand or that contradict each other", async () => {
    const records: [Change, string][] = [
      [{ put: "pool", id: "x", value: { subnet: 3 } }, "record pool x cannot be understood: "],
      [
        { put: "lease", id: "y", value: { pool: "p", address: "10.0.0.1" } },
        "record lease y names pool p, which does not exist; remove it from tsnet.db",
      ],
      [
        { put: "lease", id: "z", value: { pool: "tsnet-local/10.0.0.0/24", address: "10.1.0.1" } },
        "record lease z contradicts",
      ],
    ];
    await idOf("10.0.0.0/24");
    for (const [change, message] of records) {
      await store.commit([change]);
      const error = await errorOf(openPools(store));
      expect([error.code, error.message.slice(0, message.length)]).to.deep.equal(["store", message]);
      if ("put" in change) await store.commit([{ remove: change.put, id: change.id }]);
    }
  });

  it("never give out an address twice, however calls overlap and whichever commits fail", async function () {
    this.timeout(30_000);
    const property = fc.asyncProperty(
      fc.array(fc.record({ take: fc.boolean(), fails: fc.boolean(), n: fc.nat(), turns: fc.nat(2) }), {
        maxLength: 60,
        size: "max",
      }),
      async (steps) => {
        const store = new UnreliableStore();
        const pools = await openPools(store);
        const request = { addressSpace: "tsnet-local", pool: "10.0.0.0/28", options: {}, v6: false };
        const idOf = (subPool: string) => pools.requestPool(parsePoolRequest({ ...request, subPool }), false);
        const ids = [await idOf("10.0.0.0/29"), await idOf("10.0.0.4/30")];
        const owned = new Map<string, string>();
        const running: Promise<unknown>[] = [];
        for (const { take, fails, n, turns } of steps) {
          store.isFailing = fails;
          const [address, owner = ""] = [...owned][n % Math.max(owned.size, 1)] ?? [];
          const poolId = ids[n % 2]?.poolId ?? "";
          if (take) {
            const taken = pools.requestAddress({ poolId, address: "", options: {} }, false).then((address) => {
              expect(owned.has(address), address).to.equal(false);
              owned.set(address, poolId);
            });
            running.push(taken.catch(ignoreRefusal));
          } else if (address !== undefined) {
            owned.delete(address);
            const released = pools.releaseAddress({ poolId: owner, address: address.split("/")[0] ?? "" });
            running.push(
              released.catch((error: unknown) => {
                ignoreRefusal(error);
                owned.set(address, owner);
              }),
            );
          }
          for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
        }
        await Promise.all(running);
        const recorded = [...(await store.list("lease")).keys()].map((id) => `${id.split("/")[1]}/28`);
        expect(recorded.sort()).to.deep.equal([...owned.keys()].sort());
      },
    );
    await fc.assert(property, { numRuns: 300 });
  });
});
