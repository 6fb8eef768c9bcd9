import { expect } from "chai";
import { HostMemory, type RememberedHosts } from "../../../../src/driver/overlay/host-memory.ts";
import type { RecordChange } from "../../../../src/driver/records.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { TestLog } from "../../../support/driver.ts";
import { soon } from "../../../support/plane-hosts.ts";

describe("what a host remembers of others", () => {
  const address = "192.0.2.1";
  const known = { host: "h1", name: "web-1", seenMs: 1, aliveMs: 2 };
  let store: MemoryStore;
  let log: TestLog;
  /** Each commit fails that comes while it is set. */
  let trouble: string | undefined;
  let failures: number;
  let hosts: RememberedHosts;
  let memories: HostMemory[];
  beforeEach(() => {
    store = new MemoryStore();
    log = new TestLog();
    trouble = undefined;
    failures = 0;
    hosts = new Map();
    memories = [];
  });
  afterEach(() => Promise.all(memories.map((memory) => memory.close())));

  function open(rememberMs: number): HostMemory {
    const commit = async (changes: readonly RecordChange[]) => {
      if (trouble !== undefined) {
        failures++;
        throw new Error(trouble);
      }
      await store.commit(changes);
    };
    const disk = { list: store.list.bind(store), commit };
    const memory = new HostMemory({ disk, log, hosts: () => hosts, rememberMs });
    memories.push(memory);
    return memory;
  }

  const recall = (some: RememberedHosts): void => {
    hosts = some;
  };
  const onDisk = async () => (await store.list("vtep")).get(address);

  it("is written again where the disk did not take it, and that is said once", async () => {
    await open(3).restore(recall);
    trouble = "the disk is full";
    hosts = new Map([[address, known]]);
    await soon("it fails again", () => failures > 2);
    trouble = undefined;
    await soon("it is there", async () => (await onDisk()) !== undefined);
    expect(await onDisk()).to.deep.equal(known);
    expect(log.lines.filter((line) => line.includes("cannot be remembered"))).to.have.length(1);
  });

  it("has signs of life, which are written now and then, and at the end", async () => {
    const often = open(3);
    await often.restore(recall);
    hosts = new Map([[address, known]]);
    await soon("it is there", async () => (await onDisk()) !== undefined);
    await often.close();
    const seldom = open(3_600_000);
    await seldom.restore(recall);
    expect([...hosts]).to.deep.equal([[address, known]]);
    hosts = new Map([[address, { ...known, seenMs: 5, aliveMs: 6 }]]);
    await seldom.close();
    expect(await onDisk()).to.deep.equal({ ...known, seenMs: 5, aliveMs: 6 });
  });
});
