/** A swarm asks for everything again while etcd is late, or hangs. */
import { expect } from "chai";
import { defaultPools } from "../../../../src/driver/ipam/default-pools.ts";
import { Ipam } from "../../../../src/driver/ipam/ipam.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { TestLog } from "../../../support/driver.ts";
import { poolOn, type SharedHost, startHost, takeOn, Wire } from "../../../support/shared-host.ts";
import { errorOf } from "../../../support/store-contract.ts";

const swarmNetwork = "k2d3xyzcarhsmwbp7fa5qtn91";
const deadlineMs = 300;
const global = { addressSpace: "tsnet-global" };

describe("a replay of what is in etcd", () => {
  let store: MemoryStore;
  let host: SharedHost;

  /** A process of the same host, that has not heard of anything in etcd until `hear` is called. */
  const restartDeaf = async (): Promise<() => void> => {
    await host.ipam.close();
    const { promise, resolve } = Promise.withResolvers<void>();
    const wire = new Wire(store);
    wire.deaf = promise;
    host = await startHost("a", store, { deadlineMs, disk: host.disk, wire });
    host.ipam.newEpoch();
    return () => {
      wire.deaf = undefined;
      resolve();
    };
  };

  beforeEach(async () => {
    store = new MemoryStore(128);
    host = await startHost("a", store, { deadlineMs });
  });
  afterEach(() => host.ipam.close());

  it("has its answers in time though etcd hangs, those that come together too", async () => {
    const id = await poolOn(host, "10.1.0.0/24", {}, global);
    const addresses = ["10.1.0.2", "10.1.0.3", "10.1.0.4"];
    for (const address of addresses) await takeOn(host, id, address);
    host.ipam.newEpoch();
    await poolOn(host, "10.1.0.0/24", {}, global);
    const { promise, resolve } = Promise.withResolvers<void>();
    host.wire.hanging = promise;
    const began = performance.now();
    const calls = [...addresses.map((address) => takeOn(host, id, address)), takeOn(host, id)];
    const codes = (await Promise.all(calls.map(errorOf))).map(({ code }) => code);
    expect(performance.now() - began).to.be.lessThan(2 * deadlineMs);
    expect(codes).to.deep.equal(["store", "store", "store", "store"]);
    resolve();
  });

  it("of an address is none while the same one is given to somebody who wants any", async () => {
    const id = await poolOn(host, "10.1.0.0/24", {}, global);
    host.ipam.newEpoch();
    await poolOn(host, "10.1.0.0/24", {}, global);
    for (let n = 1; n < 100; n++) {
      let turns = n;
      host.wire.turns = () => (turns = (turns * 7) % 5);
      const named = takeOn(host, id, `10.1.0.${2 * n}`).catch(() => "");
      const some = await Promise.all([takeOn(host, id), takeOn(host, id), takeOn(host, id), named]);
      expect(new Set(some)).to.have.length(4);
      host.wire.turns = () => 0;
      for (const address of some.filter(Boolean))
        await host.ipam.releaseAddress({ poolId: id, address: address.split("/")[0] ?? "" });
    }
  });

  it("of a swarm's pool that nodes share is one though the host has not heard of it yet", async () => {
    const id = await poolOn(host, "10.5.0.0/24");
    await host.ipam.attach(swarmNetwork, [
      { addressSpace: "tsnet-local", pool: "10.5.0.0/24", gateway: null, auxiliary: [] },
    ]);
    const address = await takeOn(host, id);
    const hear = await restartDeaf();
    const again = [poolOn(host, "10.5.0.0/24"), poolOn(host, "10.5.0.0/24")];
    const results = Promise.allSettled(again);
    await new Promise(setImmediate);
    hear();
    expect((await results).map(({ status }) => status)).to.deep.equal(["fulfilled", "rejected"]);
    expect(await takeOn(host, id, address.split("/")[0])).to.equal(address);
  });

  it("shows what was not asked for again though the host had not heard of it when it began", async () => {
    const id = await poolOn(host, "10.1.0.0/24", {}, global);
    for (const address of ["10.1.0.2", "10.1.0.3"]) await takeOn(host, id, address);
    const hear = await restartDeaf();
    const again = poolOn(host, "10.1.0.0/24", {}, global);
    await new Promise(setImmediate);
    hear();
    await again;
    await takeOn(host, id, "10.1.0.2");
    const unclaimed = [...host.ipam.leasesOf(id)].filter((lease) => host.ipam.isUnclaimed(lease));
    expect(unclaimed.map(({ address }) => address)).to.deep.equal(["10.1.0.3"]);
  });

  it("is of no host alone, nor is what was on a host's disk before there was etcd", async () => {
    const id = await poolOn(host, "10.1.0.0/24", {}, global);
    const disk = new MemoryStore();
    const options = { records: disk, hostId: "b", hostName: "b", defaultPools: defaultPools("b"), log: new TestLog() };
    const alone = new Ipam({ ...options, excluded: async () => [], now: () => 1 });
    await alone.restore();
    const wish = { ...global, pool: "10.2.0.0/24", subPool: "", options: {}, v6: false };
    const { poolId } = await alone.requestPool(wish);
    const last = ({ ipam }: { ipam: Ipam }) => ipam.pools().map((pool) => [pool.id, pool.lastRequest]);
    expect(last({ ipam: alone })).to.deep.equal([[poolId, 1]]);
    const together = await startHost("b", new MemoryStore(128), { disk });
    expect(last(together)).to.deep.equal([[poolId, null]]);
    await together.ipam.close();
    expect(last(host)).to.deep.equal([[id, null]]);
  });

  it("fails in time if nothing is ever heard", async () => {
    const hear = await restartDeaf();
    const began = performance.now();
    const calls = [poolOn(host, "10.1.0.0/24", {}, global), poolOn(host, "10.5.0.0/24")];
    expect((await Promise.all(calls.map(errorOf))).map(({ code }) => code)).to.deep.equal(["store", "store"]);
    expect(performance.now() - began).to.be.lessThan(2 * deadlineMs);
    hear();
  });
});
