import { expect } from "chai";
import { defaultPools } from "../../../../src/driver/ipam/default-pools.ts";
import { Ipam } from "../../../../src/driver/ipam/ipam.ts";
import type { PoolView } from "../../../../src/driver/ipam/views.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { TestLog } from "../../../support/driver.ts";
import { type SharedHost, startHost } from "../../../support/shared-host.ts";
import { errorOf } from "../../../support/store-contract.ts";
import { idOf } from "../../../support/values.ts";

const serial = { "com.docker.network.ipam.serial": "true" };
const gateway = { RequestAddressType: "com.docker.network.gateway" };
const global = "tsnet-global";
const swarmNetwork = "k2d3xyzcarhsmwbp7fa5qtn91";

/** A swarm's manager, with the global address space on its own disk, or in etcd. */
interface Manager {
  readonly ipam: Ipam;
}

const requestPool = async ({ ipam }: Manager, pool: string, addressSpace = global) =>
  (await ipam.requestPool({ addressSpace, pool, subPool: "", options: {}, v6: false })).poolId;
const take = async ({ ipam }: Manager, poolId: string, address = "", options: Record<string, string> = serial) =>
  (await ipam.requestAddress({ poolId, address, options })).address;
const code = async (work: Promise<unknown>) => (await errorOf(work)).code;
const release = ({ ipam }: Manager, poolId: string, address: string) => ipam.releaseAddress({ poolId, address });

async function onDisk(store: MemoryStore): Promise<Manager> {
  const ipam = new Ipam({
    ...{ records: store, hostId: "a", hostName: "a", defaultPools: defaultPools("a"), log: new TestLog() },
    excluded: async () => [],
    now: () => 1,
  });
  await ipam.restore();
  return { ipam };
}

/** What a swarm's leader has asked for. */
async function lead(manager: Manager): Promise<string> {
  manager.ipam.newEpoch();
  const id = await requestPool(manager, "10.1.0.0/24");
  expect(await take(manager, id, "", gateway)).to.equal("10.1.0.1/24");
  expect(await take(manager, id)).to.equal("10.1.0.2/24");
  expect(await take(manager, id)).to.equal("10.1.0.3/24");
  return id;
}

/** All of it again, as a new leader asks for it, less one address. */
async function replay(manager: Manager): Promise<void> {
  manager.ipam.newEpoch();
  const id = await requestPool(manager, "10.1.0.0/24");
  expect(await take(manager, id, "10.1.0.1", gateway)).to.equal("10.1.0.1/24");
  expect(await take(manager, id, "10.1.0.2")).to.equal("10.1.0.2/24");
}

const kinds: [string, () => Promise<{ leader: Manager; next: Manager; end: () => Promise<unknown> }>][] = [
  [
    "on the leader's disk",
    async () => {
      const leader = await onDisk(new MemoryStore());
      return { leader, next: leader, end: async () => {} };
    },
  ],
  [
    "in etcd, where another manager becomes leader",
    async () => {
      const store = new MemoryStore(128);
      const [leader, next] = (await Promise.all([startHost("a", store), startHost("b", store)])) as [
        SharedHost,
        SharedHost,
      ];
      return { leader, next, end: () => Promise.all([leader.ipam.close(), next.ipam.close()]) };
    },
  ],
];

for (const [where, open] of kinds) {
  describe(`the global address space ${where}`, () => {
    let leader: Manager;
    let next: Manager;
    let end: () => Promise<unknown>;
    let id: string;

    beforeEach(async () => {
      ({ leader, next, end } = await open());
      id = await lead(leader);
    });
    afterEach(() => end());

    it("refuses whatever is asked for twice while nothing was replayed", async () => {
      expect(await code(requestPool(leader, "10.1.0.0/24"))).to.equal("conflict");
      expect(await code(take(leader, id, "10.1.0.2"))).to.equal("conflict");
    });

    it("takes a replay, once", async () => {
      await replay(next);
      expect(await code(requestPool(next, "10.1.0.0/24"))).to.equal("conflict");
      for (const address of ["10.1.0.1", "10.1.0.2"]) expect(await code(take(next, id, address))).to.equal("conflict");
      expect(await take(next, id)).to.equal("10.1.0.4/24");
      expect(await code(take(next, id, "10.1.0.4"))).to.equal("conflict");
    });

    it("takes one of two that want the same held address at the same time", async () => {
      next.ipam.newEpoch();
      await requestPool(next, "10.1.0.0/24");
      const both = await Promise.allSettled([take(next, id, "10.1.0.3"), take(next, id, "10.1.0.3")]);
      expect(both.map(({ status }) => status).toSorted()).to.deep.equal(["fulfilled", "rejected"]);
    });

    it("takes the replay of an old leader who leads again", async () => {
      await replay(next);
      await replay(leader);
      await replay(leader);
      expect(await code(take(leader, id, "10.1.0.2"))).to.equal("conflict");
    });

    it("takes an address of a replay that is free by now, and one that was given back as new", async () => {
      await release(leader, id, "10.1.0.3");
      await replay(next);
      expect(await take(next, id, "10.1.0.3")).to.equal("10.1.0.3/24");
      expect(await code(take(next, id, "10.1.0.3"))).to.equal("conflict");
      await release(next, id, "10.1.0.3");
      expect(await take(next, id, "10.1.0.3")).to.equal("10.1.0.3/24");
      await next.ipam.releasePool(id);
      expect(await requestPool(next, "10.1.0.0/24")).to.equal(id);
      expect(await take(next, id, "10.1.0.2")).to.equal("10.1.0.2/24");
    });

    it("takes no wish for a replay where no swarm asks", async () => {
      next.ipam.newEpoch();
      const wish = { addressSpace: global, pool: "10.1.0.0/24", subPool: "", options: {}, v6: false };
      expect(await code(next.ipam.requestPool(wish, false))).to.equal("conflict");
      expect((await next.ipam.requestPool(wish, true)).poolId).to.equal(id);
    });

    it("tells which addresses were not asked for again", async () => {
      const unclaimed = ({ ipam }: Manager) =>
        [...ipam.leasesOf(id)].filter((lease) => ipam.isUnclaimed(lease)).map(({ address }) => address);
      expect(unclaimed(leader)).to.deep.equal([]);
      await replay(next);
      await take(next, id);
      expect(unclaimed(next)).to.deep.equal(["10.1.0.3"]);
      await take(next, id, "10.1.0.3");
      expect(unclaimed(next)).to.deep.equal([]);
    });

    it("tells which pools were not asked for again, once a replay has begun", async () => {
      const other = await requestPool(leader, "10.2.0.0/24");
      const unclaimed = () => [id, other].filter((pool) => next.ipam.isUnclaimedPool(pool));
      next.ipam.newEpoch();
      expect(unclaimed()).to.deep.equal([]);
      await requestPool(next, "10.3.0.0/24");
      expect(unclaimed()).to.deep.equal([]);
      await requestPool(next, "10.1.0.0/24");
      expect(unclaimed()).to.deep.equal([other]);
      await requestPool(next, "10.2.0.0/24");
      expect(unclaimed()).to.deep.equal([]);
    });

    it("says that a pool is in use again when it, or an address of it, is asked for", async () => {
      const last = () => next.ipam.pools().find((pool) => pool.id === id)?.lastRequest;
      const seen = [last()];
      next.ipam.newEpoch();
      await requestPool(next, "10.1.0.0/24");
      seen.push(last());
      await take(next, id, "10.1.0.2");
      seen.push(last());
      expect(new Set(seen).size).to.equal(where.includes("etcd") ? 1 : 3);
    });

    it("does not take a refused wish for one that was made", async () => {
      next.ipam.newEpoch();
      expect(await code(requestPool(next, "10.1.0.0/16"))).to.equal("conflict");
      await requestPool(next, "10.1.0.0/24");
      expect(await code(take(next, id, "10.1.0.255"))).to.equal("conflict");
      expect(await take(next, id, "10.1.0.2")).to.equal("10.1.0.2/24");
    });
  });
}

describe("a pool of a former leader that is given back", () => {
  let store: MemoryStore;
  let manager: Manager;
  let id: string;
  const view = () => manager.ipam.pools().find((pool) => pool.id === id) as PoolView;
  const records = async () => [...(await store.list("pool")).keys(), ...(await store.list("lease")).keys()];
  const held = () => [...manager.ipam.leasesOf(id)].map(({ address }) => address);

  beforeEach(async () => {
    store = new MemoryStore();
    id = await lead(await onDisk(store));
    manager = await onDisk(store); // started anew
  });

  it("goes with its addresses, from the disk as well", async () => {
    expect(await manager.ipam.releaseUnused(view())).to.equal(true);
    expect(manager.ipam.pools()).to.deep.equal([]);
    expect(await records()).to.deep.equal([]);
    await lead(manager);
  });

  it("stays if it, or an address of it, was asked for since it was looked at", async () => {
    const before = view();
    manager.ipam.newEpoch();
    await requestPool(manager, "10.1.0.0/24");
    expect(await manager.ipam.releaseUnused(before)).to.equal(false);
    const replayed = view();
    const taken = take(manager, id, "10.1.0.2");
    expect(await manager.ipam.releaseUnused(replayed)).to.equal(false);
    expect(await taken).to.equal("10.1.0.2/24");
    expect(held()).to.deep.equal(["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
  });

  it("is made anew for a leader that asks for it while it goes, with what it asks for and nothing else", async () => {
    manager.ipam.newEpoch();
    const released = manager.ipam.releaseUnused(view());
    const asked = replay(manager);
    expect(await released).to.equal(true);
    await asked;
    expect(held()).to.deep.equal(["10.1.0.1", "10.1.0.2"]);
    expect((await onDisk(store)).ipam.pools().map((pool) => pool.id)).to.deep.equal([id]);
    expect(await code(requestPool(manager, "10.1.0.0/24"))).to.equal("conflict");
    expect(await take(manager, id)).to.equal("10.1.0.3/24");
  });

  it("is made anew for a network that is made with its subnet while it goes", async () => {
    await manager.ipam.releasePool(id);
    await lead(manager);
    const released = manager.ipam.releaseUnused(view());
    expect(await requestPool(manager, "10.1.0.0/24")).to.equal(id);
    expect([await released, held()]).to.deep.equal([true, []]);
  });

  it("is asked for by one of two leaders that ask for it while it goes", async () => {
    manager.ipam.newEpoch();
    const released = manager.ipam.releaseUnused(view());
    const asked = await Promise.allSettled([requestPool(manager, "10.1.0.0/24"), requestPool(manager, "10.1.0.0/24")]);
    expect(await released).to.equal(true);
    expect(asked.map(({ status }) => status).toSorted()).to.deep.equal(["fulfilled", "rejected"]);
  });
});

describe("the local address space", () => {
  let node: Manager;
  const space = "tsnet-local";
  const attach = (network: string) =>
    node.ipam.attach(network, [{ addressSpace: space, pool: "10.1.0.0/24", gateway: "10.1.0.1", auxiliary: [] }]);

  beforeEach(async () => {
    node = await onDisk(new MemoryStore());
    const id = await requestPool(node, "10.1.0.0/24", space);
    await take(node, id, "10.1.0.1", gateway);
  });

  it("takes the replay of a swarm's network, after dockerd has restarted", async () => {
    await attach(swarmNetwork);
    await take(node, `${space}/10.1.0.0/24`, "10.1.0.9", {});
    expect(await code(requestPool(node, "10.1.0.0/24", space))).to.equal("conflict");
    node.ipam.newEpoch();
    const id = await requestPool(node, "10.1.0.0/24", space);
    expect(await take(node, id, "10.1.0.1", gateway)).to.equal("10.1.0.1/24");
    expect(await take(node, id, "10.1.0.9", {})).to.equal("10.1.0.9/24");
    expect(await code(take(node, id, "10.1.0.9", {}))).to.equal("conflict");
    expect([...node.ipam.leasesOf(id)].filter((lease) => node.ipam.isUnclaimed(lease))).to.deep.equal([]);
  });

  it("has no replays for networks of this host, nor for pools of none", async () => {
    node.ipam.newEpoch();
    expect(await code(requestPool(node, "10.1.0.0/24", space))).to.equal("conflict");
    await attach(idOf("a1"));
    node.ipam.newEpoch();
    expect(await code(requestPool(node, "10.1.0.0/24", space))).to.equal("conflict");
    expect(await code(take(node, `${space}/10.1.0.0/24`, "10.1.0.1", gateway))).to.equal("conflict");
  });

  it("does not know of etcd unless it is told of it", async () => {
    const request = { addressSpace: space, subPool: "", options: { "tsnet.shared": "true" }, v6: false };
    const error = await errorOf(node.ipam.requestPool({ ...request, pool: "10.9.0.0/24" }));
    expect([error.code, error.message]).to.deep.equal([
      "invalid",
      "IPAM option tsnet.shared=true needs etcd: set TSNET_ETCD_ENDPOINTS on each host",
    ]);
    const other = await errorOf(take(node, "tsnet-shared/10.9.0.0/24"));
    expect(other.message).to.equal("invalid pool id: tsnet-shared/10.9.0.0/24 is in etcd: set TSNET_ETCD_ENDPOINTS");
    expect([...node.ipam.leasesOf("tsnet-shared/10.9.0.0/24")]).to.deep.equal([]);
  });
});
