import { expect } from "chai";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { etcdEndpoint, poolOn, type SharedHost, startHost, takeOn, Wire } from "../../../support/shared-host.ts";
import { errorOf } from "../../../support/store-contract.ts";
import { idOf } from "../../../support/values.ts";

const refused = "connect ECONNREFUSED 10.0.0.1:2379";
const deadlineMs = 60;

describe("while etcd is away", () => {
  let store: MemoryStore;
  let clock: { now: number };
  let host: SharedHost;
  let id: string;

  const leases = async () => [...(await store.list("lease")).keys()];
  const owed = async () => [...(await host.disk.list("owed")).keys()];
  const requests = (): Promise<unknown>[] => [
    poolOn(host, "10.6.0.0/24"),
    poolOn(host, ""),
    takeOn(host, id),
    takeOn(host, id, "10.5.0.9"),
  ];
  const attach = (): Promise<unknown> =>
    host.ipam.attach(idOf("a2"), [{ addressSpace: "tsnet-local", pool: "10.5.0.0/24", gateway: null, auxiliary: [] }]);
  const expectFailures = async (calls: Promise<unknown>[], why: RegExp): Promise<void> => {
    const began = performance.now();
    for (const { code, message } of await Promise.all(calls.map(errorOf))) {
      expect([code, message]).to.deep.equal(["store", message]);
      expect(message).to.match(new RegExp(`^etcd at ${etcdEndpoint} did not do it within 0.06 s: `));
      expect(message).to.match(why).and.to.contain("pools of this host alone do not");
    }
    expect(performance.now() - began).to.be.lessThan(10 * deadlineMs);
  };

  beforeEach(async () => {
    store = new MemoryStore(128);
    clock = { now: 1 };
    host = await startHost("a", store, { clock, deadlineMs });
    id = await poolOn(host, "10.5.0.0/24");
    await takeOn(host, id);
  });
  afterEach(() => host.ipam.close());

  it("requests for shared pools fail in time and name it; those of this host alone go on; afterwards all go on", async () => {
    host.wire.away = refused;
    const local = await poolOn(host, "10.7.0.0/24", {});
    await expectFailures([...requests(), attach()], /ECONNREFUSED/);
    await host.ipam.releaseAddress({ poolId: id, address: "10.5.0.1" });
    expect(await leases()).to.deep.equal(["tsnet-shared/10.5.0.1"]);
    expect((await owed()).filter((key) => key.startsWith("tsnet-shared/10.5.0.1 "))).to.have.length(1);
    expect(await takeOn(host, local)).to.equal("10.7.0.1/24");
    await host.ipam.releaseAddress({ poolId: local, address: "10.7.0.1" });
    await host.ipam.releasePool(local);
    await host.wire.comeBack();
    await host.ipam.settleOwed();
    expect([await leases(), await owed(), [...(await store.list("pool")).keys()]]).to.deep.equal([[], [], [id]]);
    expect(await takeOn(host, id)).to.equal("10.5.0.1/24");
  });

  it("those that are not answered fail in time as well, and what they did late is given back", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    host.wire.hanging = promise;
    await expectFailures(requests(), /did not answer/);
    host.wire.hanging = undefined;
    resolve();
    await host.ipam.settleOwed();
    expect([await leases(), await owed()]).to.deep.equal([["tsnet-shared/10.5.0.1"], []]);
    expect([...(await store.list("pool")).keys()]).to.deep.equal([id]);
    expect(await takeOn(host, id)).to.equal("10.5.0.2/24");
  });

  it("a short while, requests only take longer", async () => {
    host.wire.away = refused;
    const taken = takeOn(host, id);
    const gateway = takeOn(host, id, "10.5.0.254", { RequestAddressType: "com.docker.network.gateway" });
    await new Promise(setImmediate);
    await host.wire.comeBack();
    expect([await taken, await gateway]).to.deep.equal(["10.5.0.2/24", "10.5.0.254/24"]);
    await host.ipam.settleOwed();
    expect([(await leases()).length, await owed()]).to.deep.equal([3, []]);
  });

  it("what Docker gives back is on the disk, and given back when etcd is there, after a restart as well", async () => {
    const network = idOf("a1");
    await host.ipam.attach(network, [
      { addressSpace: "tsnet-local", pool: "10.5.0.0/24", gateway: null, auxiliary: [] },
    ]);
    const address = await takeOn(host, id);
    const grants = host.ipam.leasesAt(network, [address]);
    const other = await poolOn(host, "10.6.0.0/24");
    host.wire.away = refused;
    await Promise.all([host.ipam.releaseAddress({ poolId: id, address: "10.5.0.1" }), host.ipam.releasePool(other)]);
    await host.ipam.releaseLeases(network, [address], grants);
    expect((await owed()).length).to.equal(3);
    await host.ipam.close();
    host = await startHost("a", store, { clock, disk: host.disk, deadlineMs });
    await host.ipam.settleOwed();
    expect([await leases(), await owed(), [...(await store.list("pool")).keys()]]).to.deep.equal([[], [], [id]]);
  });

  it("a release that was late does not take what somebody else has by then", async () => {
    host.wire.away = refused;
    await host.ipam.releaseAddress({ poolId: id, address: "10.5.0.1" });
    const b = await startHost("b", store, { clock });
    await poolOn(b, "10.5.0.0/24");
    const [lease] = [...b.ipam.leasesOf(id)];
    expect(await b.ipam.releaseGrant(id, "10.5.0.1", lease?.grant ?? "")).to.equal(true);
    expect(await takeOn(b, id)).to.equal("10.5.0.1/24");
    await host.wire.comeBack();
    await host.ipam.settleOwed();
    expect([await leases(), await owed()]).to.deep.equal([["tsnet-shared/10.5.0.1"], []]);
    await b.ipam.close();
  });

  describe("since before the start", () => {
    beforeEach(async () => {
      await host.ipam.close();
      const wire = new Wire(store);
      wire.away = refused;
      host = await startHost("a", store, { clock, disk: host.disk, wire, deadlineMs });
    });

    it("the start does not wait, and shared pools are there when it is back", async () => {
      expect([...host.ipam.pools(), host.ipam.isComplete]).to.deep.equal([false]);
      await expectFailures([takeOn(host, id), poolOn(host, "10.6.0.0/24")], /./);
      expect(await poolOn(host, "10.7.0.0/24", {})).to.equal("tsnet-local/10.7.0.0/24");
      await host.wire.comeBack();
      expect(await takeOn(host, id)).to.equal("10.5.0.2/24");
      expect(host.ipam.isComplete).to.equal(true);
    });

    it("an address that is given back is the one that this host had then", async () => {
      clock.now = 5;
      await host.ipam.releaseAddress({ poolId: id, address: "10.5.0.1" });
      expect((await owed()).length).to.equal(1);
      await host.wire.comeBack();
      await host.ipam.settleOwed();
      expect([await leases(), await owed()]).to.deep.equal([[], []]);
    });

    it("a pool that is given back is asked for again only after that", async () => {
      await host.ipam.releasePool(id);
      await host.wire.comeBack();
      expect(await poolOn(host, "10.5.0.0/24")).to.equal(id);
      await host.ipam.settleOwed();
      expect([await leases(), await owed(), [...(await store.list("pool")).keys()]]).to.deep.equal([[], [], [id]]);
    });
  });
});
