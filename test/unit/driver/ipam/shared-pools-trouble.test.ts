/** What hosts that share pools do about what etcd should not have, or does not take. */
import { expect } from "chai";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { poolOn, type SharedHost, startHost, takeOn, Wire } from "../../../support/shared-host.ts";
import { errorOf } from "../../../support/store-contract.ts";

const denied = "etcd refuses: http://10.0.0.1:2379: etcdserver: permission denied";

describe("pools that hosts share", () => {
  let store: MemoryStore;
  let clock: { now: number };
  let host: SharedHost;
  let id: string;

  const start = async () => startHost("a", store, { clock, deadlineMs: 300, disk: host?.disk });
  const owed = async () => [...(await host.disk.list("owed")).keys()];
  const lines = (text: string) => host.log.lines.filter((line) => line.includes(text));

  beforeEach(async () => {
    store = new MemoryStore(128);
    clock = { now: 1 };
    host = await startHost("a", store, { clock, deadlineMs: 300 });
    id = await poolOn(host, "10.5.0.0/24");
  });
  afterEach(() => host.ipam.close());

  it("say at once what etcd refuses", async () => {
    host.wire.away = denied;
    const began = performance.now();
    for (const call of [() => takeOn(host, id), () => poolOn(host, "10.6.0.0/24"), () => poolOn(host, "")]) {
      const { code, message } = await errorOf(call());
      expect([code, message]).to.deep.equal(["store", denied]);
    }
    expect(performance.now() - began).to.be.lessThan(200);
  });

  it("say why etcd cannot be followed since before the start, at once if it refuses", async () => {
    await host.ipam.close();
    for (const [why, expected] of [
      [denied, denied],
      ["connect ECONNREFUSED", "etcd at http://10.0.0.1:2379 did not do it within 0.3 s: connect ECONNREFUSED; shared"],
    ] as const) {
      const wire = new Wire(store);
      wire.away = why;
      host = await startHost("a", store, { clock, deadlineMs: 300, wire });
      for (const call of [() => takeOn(host, id), () => poolOn(host, "10.6.0.0/24"), () => poolOn(host, "")]) {
        const began = performance.now();
        expect((await errorOf(call())).message.startsWith(expected)).to.equal(true);
        if (why === denied) expect(performance.now() - began).to.be.lessThan(200);
      }
    }
  });

  it("go on trying where etcd has only too much to do", async () => {
    host.wire.away = "etcd refuses: http://10.0.0.1:2379: etcdserver: too many requests";
    const taking = takeOn(host, id);
    await new Promise((resolve) => setTimeout(resolve, 20));
    host.wire.away = undefined;
    expect(await taking).to.equal("10.5.0.1/24");
  });

  it("do not stumble over keys that are no addresses, nor over values that are no objects", async () => {
    await store.commit([{ put: "lease", id: "tsnet-shared/nonsense", value: {} }]);
    await store.commit([{ put: "lease", id: "nonsense", value: {} }]);
    await store.commit([{ put: "lease", id: "tsnet-shared/10.5.0.9", value: null as unknown as object }]);
    await host.ipam.close();
    host = await start();
    const gateway = { RequestAddressType: "com.docker.network.gateway" };
    expect(await takeOn(host, id, "", gateway)).to.equal("10.5.0.1/24");
    expect(await takeOn(host, id)).to.equal("10.5.0.2/24");
    await host.ipam.releasePool(id);
    expect([...(await store.list("pool")).keys()]).to.deep.equal([]);
    expect(lines("cannot be understood")).to.have.length(2);
  });

  it("give back what can be though something else cannot, and say so once", async () => {
    const other = await poolOn(host, "10.6.0.0/24");
    await takeOn(host, id);
    await store.commit([{ put: "pool", id: other, value: { what: "is this" } }]);
    await host.ipam.releasePool(other);
    host.wire.away = "away";
    await host.ipam.releaseAddress({ poolId: id, address: "10.5.0.1" });
    await host.wire.comeBack();
    for (const _ of [1, 2, 3]) await host.ipam.settleOwed();
    expect(await owed()).to.have.length(1);
    expect([...(await store.list("lease")).keys()]).to.deep.equal([]);
    expect(lines(`"id":"${other}"`).filter((line) => line.includes("still has to reach"))).to.have.length(1);
  });

  it("end in good time while etcd hangs, and give back what they owe when they are there again", async () => {
    await takeOn(host, id);
    const { promise, resolve } = Promise.withResolvers<void>();
    host.wire.hanging = promise;
    const releasing = host.ipam.releaseAddress({ poolId: id, address: "10.5.0.1" });
    const asking = errorOf(takeOn(host, id));
    await new Promise((later) => setTimeout(later, 20));
    const began = performance.now();
    const closing = host.ipam.close();
    expect((await asking).message).to.equal("tsnet ends: etcd was not waited for");
    expect(performance.now() - began).to.be.lessThan(100);
    resolve();
    await Promise.all([closing, releasing]);
    host = await start();
    await host.ipam.settleOwed();
    expect([...(await store.list("lease")).keys()]).to.deep.equal([]);
  });

  it("notice, on both sides, that two hosts have the same ID, and not that a host was started again", async () => {
    const told = (text: string, one = host) => one.log.lines.filter((line) => line.includes(text));
    const settle = async () => {
      for (let n = 0; n < 50; n++) await new Promise(setImmediate);
    };
    await host.ipam.close();
    const old = await start();
    await settle();
    await old.ipam.close();
    host = await start();
    await settle();
    await host.wire.comeBack();
    await settle();
    expect([...told("same host ID"), ...told("same host ID", old)]).to.deep.equal([]);
    const twin = await startHost("a", store, { clock });
    await settle();
    for (const one of [host, twin]) {
      expect(told("error: another host shares pools by the same host ID", one)).to.have.length.within(1, 2);
      expect(told("TSNET_HOST_ID", one).join()).to.contain('{"hostId":"a","name":"name-of-a"}');
    }
    await twin.ipam.close();
  });

  it("say that their host was removed while it was away, and are named again, but not when etcd was made anew", async () => {
    const told = () => lines("error: this host was removed by `tsnet hosts remove`");
    const named = async () => [...(await store.list("host")).keys()];
    const settle = async () => {
      for (let n = 0; n < 50; n++) await new Promise(setImmediate);
    };
    const other = await startHost("b", store, { clock });
    await settle();
    for (const hasLost of [true, false]) {
      host.wire.away = "cut off";
      await other.ipam.giveUp("a");
      expect(await named()).to.deep.equal(["b"]);
      await host.wire.comeBack(hasLost);
      await settle();
      expect([told().length, await named()]).to.deep.equal([hasLost ? 0 : 1, ["b", "a"]]);
    }
    await other.ipam.giveUp("a"); // which it hears of at once
    await settle();
    expect([told().length, await named()]).to.deep.equal([2, ["b", "a"]]);
    await other.ipam.close();
  });
});
