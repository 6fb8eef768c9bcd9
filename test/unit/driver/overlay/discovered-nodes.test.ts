import { expect } from "chai";
import { Locks } from "../../../../src/driver/locks.ts";
import { DiscoveredNodes } from "../../../../src/driver/overlay/discovered-nodes.ts";
import { explain, TsnetError } from "../../../../src/errors.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import type { Change, Kind } from "../../../../src/store/store.ts";
import { TestLog } from "../../../support/driver.ts";
import { until } from "../../../support/poll.ts";

const ttlMs = 3_600_000;
const [one, two] = ["10.0.0.1", "10.0.0.2"];
const other = (address: string) => ({ address, isSelf: false });

describe("the nodes of the swarm that Docker has told of", () => {
  let store: MemoryStore;
  let log: TestLog;
  let clock: { now: number };
  let refuse: (() => void) | undefined;
  let nodes: DiscoveredNodes;
  let changes: (readonly string[])[];
  const open = async (ttl = ttlMs, now = () => clock.now): Promise<void> => {
    await nodes?.stop();
    const commit = async (list: readonly Change[]): Promise<void> => {
      refuse?.();
      await store.commit(list);
    };
    const records = { list: (kind: Kind) => store.list(kind), commit };
    nodes = new DiscoveredNodes({ records, locks: new Locks(), log, ttlMs: ttl, now });
    nodes.onChange(() => changes.push(nodes.addresses()));
    await nodes.restore();
  };

  beforeEach(async () => {
    [store, log, clock, changes, refuse] = [new MemoryStore(), new TestLog(), { now: 0 }, [], undefined];
    await open();
  });
  afterEach(() => nodes.stop());

  it("are there once, without this one, and each change is told once", async () => {
    expect([nodes.addresses(), nodes.self()]).to.deep.equal([[], null]);
    for (const node of [other(two), other(one), other(two), { address: "10.0.0.9", isSelf: true }]) {
      await nodes.found(node);
    }
    expect([nodes.addresses(), nodes.self()]).to.deep.equal([[one, two], "10.0.0.9"]);
    expect(changes).to.deep.equal([[two], [one, two], [one, two]]);
    await nodes.found({ address: one, isSelf: true }); // it is this one after all
    expect(nodes.addresses()).to.deep.equal([]); // and with another address in another swarm
  });

  it("are those of the swarm in which this node has its address, also where it has changed meanwhile", async () => {
    const self = (address: string) => nodes.found({ address, isSelf: true });
    const recorded = async () => [...(await store.list("node")).keys()].toSorted();
    await nodes.found(other(one)); // as an earlier version has left it
    await self("10.0.0.9");
    await nodes.found(other(two));
    await self("10.0.0.9"); // for the plugin's other name
    await open();
    await self("10.0.0.9");
    expect([nodes.addresses(), await recorded()]).to.deep.equal([
      [one, two],
      [one, two, "self"],
    ]);
    await open();
    refuse = () => {
      throw new TsnetError("store", "the disk is full");
    };
    expect(await self("10.7.0.9").then(() => "no error", explain)).to.equal("the disk is full");
    expect([nodes.addresses(), nodes.self()]).to.deep.equal([[one, two], null]);
    refuse = undefined;
    changes = [];
    await self("10.7.0.9");
    await nodes.found(other("10.7.0.1"));
    await open();
    await self("10.7.0.9");
    expect([nodes.addresses(), await recorded()]).to.deep.equal([["10.7.0.1"], ["10.7.0.1", "self"]]);
    expect(changes.slice(0, 2)).to.deep.equal([[], ["10.7.0.1"]]);
    expect(log.lines.join()).to.contain("of a swarm in which this one is no more").and.contain(one);
  });

  it("are none when this host has left the swarm, and are recorded anew with the next", async () => {
    await nodes.left(); // it was in none
    await nodes.found({ address: "10.0.0.9", isSelf: true });
    await nodes.found(other(one));
    await nodes.gone(other(one));
    await nodes.left();
    expect([nodes.addresses(), nodes.self(), changes.at(-1)]).to.deep.equal([[], null, []]);
    expect([...(await store.list("node")).keys()]).to.deep.equal([]);
    await nodes.found({ address: "10.7.0.9", isSelf: true });
    await nodes.found(other(two));
    expect([nodes.addresses(), nodes.self()]).to.deep.equal([[two], "10.7.0.9"]);
  });

  it("are there after a restart, in which Docker tells of this one alone", async () => {
    await nodes.found(other(one));
    await nodes.found({ address: "10.0.0.9", isSelf: true });
    changes = [];
    await open();
    expect([nodes.addresses(), nodes.self(), changes]).to.deep.equal([[one], null, [[one]]]);
  });

  it("stay when Docker says that they are gone, for so long as a host may be silent", async () => {
    await nodes.found(other(one));
    await nodes.gone(other(one));
    clock.now = ttlMs - 1;
    await nodes.found(other(two));
    expect(nodes.addresses()).to.deep.equal([one, two]);
    await open();
    expect(nodes.addresses()).to.deep.equal([one, two]);
    clock.now = ttlMs;
    await open();
    expect(nodes.addresses()).to.deep.equal([two]);
    expect([...(await store.list("node")).keys()]).to.deep.equal([two]);
    expect(log.lines.at(-1)).to.contain("forgotten").and.contain(one);
  });

  it("that have come back are gone no more, and being gone twice prolongs nothing", async () => {
    await nodes.found(other(one));
    await nodes.found(other(two));
    await nodes.gone(other(one));
    await nodes.gone(other(two));
    clock.now = ttlMs / 2;
    await nodes.found(other(one));
    await nodes.gone(other(two));
    clock.now = ttlMs;
    await open();
    expect(nodes.addresses()).to.deep.equal([one]);
  });

  it("are forgotten when it is time, without anything else happening", async () => {
    await open(20, () => performance.now());
    await nodes.found(other(one));
    await nodes.gone(other(one));
    expect(nodes.addresses()).to.deep.equal([one]);
    expect([nodes.isGone(one), nodes.isGone(two)]).to.deep.equal([true, false]);
    await until("forgotten", 2000, async () => nodes.addresses().length === 0);
    expect(changes, "found, gone, forgotten").to.deep.equal([[one], [one], []]);
    expect([...(await store.list("node")).keys()]).to.deep.equal([]);
  });

  it("are unknown if they cannot be recorded, and those that are unknown can be gone", async () => {
    await nodes.gone(other(one));
    await nodes.gone({ address: "10.0.0.9", isSelf: true });
    refuse = () => {
      throw new TsnetError("store", "the disk is full");
    };
    expect(await nodes.found(other(one)).then(() => "no error", explain)).to.equal("the disk is full");
    expect([nodes.addresses(), changes]).to.deep.equal([[], []]);
    expect([one, two, "10.0.0.9"].map((address) => nodes.isGone(address))).to.deep.equal([true, false, false]);
    refuse = undefined;
    await nodes.found(other(one));
    expect([nodes.addresses(), nodes.isGone(one)]).to.deep.equal([[one], false]);
  });

  it("come and go in the order in which Docker says it", async () => {
    await Promise.all([
      nodes.found(other(one)),
      nodes.gone(other(one)),
      nodes.found(other(one)),
      nodes.found(other(two)),
    ]);
    expect(Object.fromEntries(await store.list("node"))).to.deep.equal({
      [one]: { goneMs: null },
      [two]: { goneMs: null },
    });
  });

  it("are left out where a record cannot be understood", async () => {
    await store.commit([
      { put: "node", id: one, value: { goneMs: "never" } },
      { put: "node", id: "node-2", value: { goneMs: null } },
      { put: "node", id: "self", value: { address: "here" } },
      { put: "node", id: two, value: { goneMs: null } },
    ]);
    await open();
    expect(nodes.addresses()).to.deep.equal([two]);
    expect([...(await store.list("node")).keys()]).to.deep.equal([two]);
  });
});
