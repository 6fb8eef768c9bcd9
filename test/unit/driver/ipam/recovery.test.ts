/** Etcd is restored from a backup, or made anew, while hosts run. */
import { expect } from "chai";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { until } from "../../../support/poll.ts";
import { poolOn, type SharedHost, startHost, takeOn } from "../../../support/shared-host.ts";

const gateway = { RequestAddressType: "com.docker.network.gateway" };
const kinds = ["pool", "lease", "space"] as const;

describe("hosts that share pools, when etcd has lost some of it,", () => {
  let store: MemoryStore;
  let hosts: [SharedHost, SharedHost];
  let id: string;

  const leases = async () => [...(await store.list("lease")).keys()].sort();
  /** Everything as it was then. */
  const backUp = async () => Promise.all(kinds.map(async (kind) => new Map(await store.list(kind))));
  const restore = async (backup: readonly ReadonlyMap<string, unknown>[]) => {
    for (const host of hosts) host.wire.away = "etcd is restored";
    for (const [index, kind] of kinds.entries()) {
      for (const key of (await store.list(kind)).keys()) await store.commit([{ remove: kind, id: key }]);
      for (const [key, value] of backup[index] ?? [])
        await store.commit([{ put: kind, id: key, value: value as object }]);
    }
    for (const host of hosts) await host.wire.comeBack(true);
  };

  beforeEach(async () => {
    store = new MemoryStore(128);
    hosts = [await startHost("a", store, { deadlineMs: 300 }), await startHost("b", store, { deadlineMs: 300 })];
    id = await poolOn(hosts[0], "10.5.0.0/24");
    await takeOn(hosts[0], id, "", gateway);
    await takeOn(hosts[0], id);
  });
  afterEach(() => Promise.all(hosts.map(({ ipam }) => ipam.close())));

  it("put back what they have, and give no address twice", async () => {
    const backup = await backUp();
    await poolOn(hosts[1], "10.5.0.0/24");
    await takeOn(hosts[1], id, "", gateway);
    for (const host of hosts) await takeOn(host, id);
    await hosts[0].ipam.releaseAddress({ poolId: id, address: "10.5.0.2" });
    const [all, held] = [await leases(), new Map(await store.list("lease"))];
    await restore(backup);
    await until("it is put back", 1000, async () => (await leases()).length > all.length);
    const now = new Map(await store.list("lease"));
    for (const [key, value] of held) expect(now.get(key)).to.deep.equal(value);
    const given = [await takeOn(hosts[0], id), await takeOn(hosts[1], id)];
    expect(given).to.deep.equal(["10.5.0.5/24", "10.5.0.6/24"]);
    for (const { log } of hosts) expect(log.lines.join()).to.contain("error: etcd has lost what this host holds");
  });

  it("put back their pools too, if it was made anew", async () => {
    await poolOn(hosts[1], "10.5.0.0/24");
    await takeOn(hosts[1], id);
    const all = await leases();
    await restore([]);
    await until("it is put back", 1000, async () => (await leases()).length === all.length);
    expect(await leases()).to.deep.equal(all);
    expect(Object.keys(((await store.get("pool", id)) as { hosts: object }).hosts).sort()).to.deep.equal(["a", "b"]);
    expect(await takeOn(hosts[0], id)).to.equal("10.5.0.4/24");
  });

  it("say what somebody else has by then, and leave it", async () => {
    const backup = await backUp();
    await takeOn(hosts[0], id);
    const taken = { ...((await store.get("lease", "tsnet-shared/10.5.0.3")) as object), grant: "other", hosts: ["c"] };
    await restore([...backup.slice(0, 1), new Map(backup[1]).set("tsnet-shared/10.5.0.3", taken)]);
    const { log } = hosts[0];
    await until("it is said", 1000, () => log.lines.some((line) => line.includes("c has it by now")));
    expect(await store.get("lease", "tsnet-shared/10.5.0.3")).to.deep.equal(taken);
  });

  it("put nothing back that was given back, and say nothing, when they only were away from it", async () => {
    await hosts[0].ipam.releaseAddress({ poolId: id, address: "10.5.0.2" });
    const all = await leases();
    await restore(await backUp());
    for (let n = 0; n < 50; n++) await new Promise(setImmediate);
    expect(await leases()).to.deep.equal(all);
    expect(hosts[0].log.lines.filter((line) => line.includes("has lost"))).to.deep.equal([]);
  });
});
