import { expect } from "chai";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { poolOn, type SharedHost, startHost, takeOn } from "../../../support/shared-host.ts";
import { errorOf } from "../../../support/store-contract.ts";
import { idOf } from "../../../support/values.ts";

const gatewayOption = { RequestAddressType: "com.docker.network.gateway" };
const named = (name: string) => ({ "com.docker.network.endpoint.name": name });

describe("pools that hosts share", () => {
  let store: MemoryStore;
  let clock: { now: number };
  let a: SharedHost;
  let b: SharedHost;

  const records = async (kind: "pool" | "lease") => [...(await store.list(kind)).keys()];
  const release = ({ ipam }: SharedHost, poolId: string, address: string) => ipam.releaseAddress({ poolId, address });
  const attach = ({ ipam }: SharedHost, network: string, pool: string, auxiliary: string[] = []) =>
    ipam.attach(network, [{ addressSpace: "tsnet-local", pool, gateway: null, auxiliary }]);

  beforeEach(async () => {
    store = new MemoryStore(128);
    clock = { now: 1 };
    [a, b] = await Promise.all([startHost("a", store, { clock }), startHost("b", store, { clock })]);
  });
  afterEach(async () => {
    await Promise.all([a.ipam.close(), b.ipam.close()]);
  });

  it("are one pool, with each address once", async () => {
    const id = await poolOn(a, "10.5.0.0/29");
    expect([id, await poolOn(b, "10.5.0.0/29")]).to.deep.equal(["tsnet-shared/10.5.0.0/29", id]);
    expect([await takeOn(a, id), await takeOn(b, id), await takeOn(a, id)]).to.deep.equal([
      "10.5.0.1/29",
      "10.5.0.2/29",
      "10.5.0.3/29",
    ]);
    await release(b, id, "10.5.0.2");
    expect(await takeOn(a, id)).to.equal("10.5.0.2/29");
    expect([...a.ipam.pools()].map(({ id: pool, hosts, used }) => [pool, hosts, used])).to.deep.equal([
      [id, ["a", "b"], 3n],
    ]);
    expect([...b.ipam.leasesOf(id)].map(({ address, hosts }) => [address, hosts[0]])).to.deep.equal([
      ["10.5.0.1", "a"],
      ["10.5.0.2", "a"],
      ["10.5.0.3", "a"],
    ]);
  });

  it("name the host that has an address which another one wants", async () => {
    const id = await poolOn(a, "10.5.0.0/24");
    await poolOn(b, "10.5.0.0/24");
    await attach(a, idOf("a1"), "10.5.0.0/24");
    await attach(b, idOf("b1"), "10.5.0.0/24");
    await takeOn(a, id, "10.5.0.9", named("web"));
    const error = await errorOf(takeOn(b, id, "10.5.0.9"));
    expect(error.code).to.equal("conflict");
    expect(error.message).to.match(
      /^Address already in use: 10\.5\.0\.9 is held by container web of host name-of-a \(a\) in /,
    );
  });

  it("have their gateway and their auxiliary addresses together, each host once", async () => {
    const id = await poolOn(a, "10.5.0.0/24");
    await poolOn(b, "10.5.0.0/24");
    expect(await takeOn(a, id, "", gatewayOption)).to.equal("10.5.0.1/24");
    expect(await takeOn(b, id, "", gatewayOption)).to.equal("10.5.0.1/24");
    expect((await errorOf(takeOn(b, id, "10.5.0.1", gatewayOption))).code).to.equal("conflict");
    expect(await takeOn(a, id, "10.5.0.5")).to.equal("10.5.0.5/24");
    expect(await takeOn(b, id, "10.5.0.5")).to.equal("10.5.0.5/24");
    await attach(a, idOf("a1"), "10.5.0.0/24", ["10.5.0.5"]);
    await attach(b, idOf("b1"), "10.5.0.0/24", ["10.5.0.5"]);
    expect((await errorOf(takeOn(b, id, "10.5.0.5"))).code).to.equal("conflict");
    const leases = () => [...b.ipam.leasesOf(id)].map(({ address, role, hosts }) => `${address} ${role} ${hosts}`);
    expect(leases()).to.deep.equal(["10.5.0.1 gateway a,b", "10.5.0.5 auxiliary a,b"]);
    await release(a, id, "10.5.0.1");
    await release(a, id, "10.5.0.5");
    expect(leases()).to.deep.equal(["10.5.0.1 gateway b", "10.5.0.5 auxiliary b"]);
    await release(b, id, "10.5.0.1");
    expect(leases()).to.deep.equal(["10.5.0.5 auxiliary b"]);
  });

  it("are left by one host after the other, each with what it holds", async () => {
    const id = await poolOn(a, "10.5.0.0/23");
    await poolOn(b, "10.5.0.0/23");
    await takeOn(a, id, "", gatewayOption);
    await takeOn(b, id, "", gatewayOption);
    for (let count = 0; count < 300; count++) await takeOn(count % 2 === 0 ? a : b, id);
    await a.ipam.releasePool(id);
    expect((await records("lease")).length).to.equal(151);
    expect((await errorOf(takeOn(a, id))).message).to.equal(`invalid pool id: ${id}`);
    expect([...a.ipam.pools()].map(({ hosts }) => hosts)).to.deep.equal([["b"]]);
    await b.ipam.releasePool(id);
    expect([await records("pool"), await records("lease"), [...a.ipam.pools()]]).to.deep.equal([[], [], []]);
    for (const host of [a, b]) expect([...(await host.disk.list("owed")).keys()]).to.deep.equal([]);
    await a.ipam.releasePool(id);
    expect(await poolOn(a, "10.5.0.0/23")).to.equal(id);
  });

  it("are taken from a host that is gone for good, and nothing from others", async () => {
    const [both, alone] = [await poolOn(a, "10.5.0.0/24"), await poolOn(a, "10.6.0.0/24")];
    await poolOn(b, "10.5.0.0/24");
    for (const host of [a, b]) await takeOn(host, both, "", gatewayOption);
    await takeOn(a, both);
    await takeOn(a, both);
    await takeOn(a, alone);
    await takeOn(b, both);
    const resting = await takeOn(a, both);
    await release(a, both, resting.split("/")[0] ?? "");
    await a.ipam.close();
    const holder = (name: string, addresses: number) => ({ name: `name-of-${name}`, addresses });
    expect(Object.fromEntries(b.ipam.holders())).to.deep.equal({ a: holder("a", 3), b: holder("b", 1) });

    expect(await b.ipam.giveUp("a")).to.equal(3);
    expect(Object.fromEntries(b.ipam.holders())).to.deep.equal({ b: holder("b", 1) });
    expect(await records("pool")).to.deep.equal([both]);
    const leases = [...b.ipam.leasesOf(both)].map(({ address, role, hosts }) => `${address} ${role} ${hosts}`);
    expect(leases).to.deep.equal(["10.5.0.1 gateway b", "10.5.0.4 endpoint b"]);
    expect([...(await store.list("host")).keys()]).to.deep.equal(["b"]);
    expect(await takeOn(b, both)).to.equal("10.5.0.2/24");

    expect([await b.ipam.giveUp("a"), await b.ipam.giveUp("nobody")]).to.deep.equal([0, 0]);
    a = await startHost("a", store, { clock });
    expect(await poolOn(a, "10.5.0.0/24")).to.equal(both);
    expect(await takeOn(a, both)).to.equal("10.5.0.3/24");
  });

  it("are refused if they overlap, are asked for twice, or with other options", async () => {
    const id = await poolOn(a, "10.5.0.0/24");
    const refused: [SharedHost, string, Record<string, string>, string][] = [
      [a, "10.5.0.0/24", {}, `10.5.0.0/24 with ${id}`],
      [b, "10.5.0.0/16", {}, `10.5.0.0/16 with tsnet-shared/10.5.0.0/24`],
      [
        b,
        "10.5.0.0/24",
        { "tsnet.quarantine": "1m", "tsnet.sticky": "true" },
        `pool ${id} exists with other IPAM options: none, and not ` +
          "tsnet.sticky=true tsnet.sticky_ttl=86400s tsnet.quarantine=60s; give the same options on each host",
      ],
    ];
    for (const [host, pool, options, text] of refused) {
      const error = await errorOf(poolOn(host, pool, { "tsnet.shared": "true", ...options }));
      expect([error.code, error.message]).to.deep.equal(["conflict", error.message]);
      expect(error.message).to.contain(text);
    }
  });

  it("do not overlap with a pool of this host alone, nor the other way round, but may with another host's", async () => {
    await poolOn(a, "10.5.0.0/24", {});
    const error = await errorOf(poolOn(a, "10.5.0.0/16"));
    expect([error.code, error.message]).to.deep.equal([
      "conflict",
      "invalid pool request: Pool overlaps with other one on this address space: 10.5.0.0/16 with 10.5.0.0/24, a pool of this host alone",
    ]);
    await poolOn(b, "10.5.0.0/16");
    expect((await errorOf(poolOn(b, "10.5.7.0/24", {}))).message).to.contain(
      "a pool that this host shares with others",
    );
    expect(await poolOn(a, "10.5.7.0/24", {})).to.equal("tsnet-local/10.5.7.0/24");
  });

  it("that nobody names are others than all that there are, on all hosts", async () => {
    await poolOn(a, "172.17.0.0/16", {});
    await poolOn(b, "172.18.0.0/16");
    const [first, second, local] = await Promise.all([poolOn(a, ""), poolOn(a, ""), poolOn(a, "", {})]);
    expect(new Set([first, second]).size).to.equal(2);
    const all = [first, second, local].map((id) => id.split("/")[1]);
    expect(all.toSorted()).to.deep.equal(["172.19.0.0", "172.20.0.0", "172.21.0.0"]);
  });

  it("keep an address for the one who comes back, on whichever host", async () => {
    const sticky = { "tsnet.shared": "true", "tsnet.sticky": "true", "tsnet.sticky_ttl": "10s" };
    const id = await poolOn(a, "10.5.0.0/24", sticky);
    await poolOn(b, "10.5.0.0/24", sticky);
    const first = await takeOn(a, id, "", named("web"));
    await release(a, id, "10.5.0.1");
    expect(await takeOn(b, id)).to.equal("10.5.0.2/24");
    expect(await takeOn(b, id, "", named("web"))).to.equal(first);
    await release(b, id, "10.5.0.1");
    clock.now += 10_001;
    expect(await takeOn(a, id, "", named("other"))).to.equal(first);
    expect((await store.get("lease", "tsnet-shared/10.5.0.1")) as object).to.include({ identity: "name:other" });
  });

  it("let an address rest, and remove its record when that is over", async () => {
    const options = { "tsnet.shared": "true", "tsnet.quarantine": "10s" };
    const id = await poolOn(a, "10.5.0.0/29", options);
    await poolOn(b, "10.5.0.0/29", options);
    for (let count = 0; count < 6; count++) await takeOn(a, id);
    await release(a, id, "10.5.0.3");
    await release(a, id, "10.5.0.4");
    const error = await errorOf(takeOn(b, id));
    expect(error.code).to.equal("exhausted");
    expect(error.message).to.contain("held by host name-of-a (a) 4; 2 released ones rest");
    clock.now += 10_001;
    expect(await takeOn(b, id)).to.equal("10.5.0.3/29");
    await new Promise(setImmediate);
    expect(await records("lease")).not.to.contain("tsnet-shared/10.5.0.4");
  });

  it("go on in the network's next pool when one is full, and take back what came from there", async () => {
    const id = await poolOn(a, "10.5.0.0/30");
    await poolOn(a, "10.6.0.0/30");
    const network = idOf("a1");
    for (const pool of ["10.5.0.0/30", "10.6.0.0/30"]) await attach(a, network, pool);
    const taken = [await takeOn(a, id), await takeOn(a, id), await takeOn(a, id), await takeOn(a, id)];
    expect(taken).to.deep.equal(["10.5.0.1/30", "10.5.0.2/30", "10.6.0.1/30", "10.6.0.2/30"]);
    expect((await errorOf(takeOn(a, id))).message).to.contain(
      "tsnet-shared/10.5.0.0/30 (size 4), tsnet-shared/10.6.0.0/30",
    );
    await release(a, id, "10.6.0.1");
    expect(await takeOn(a, id)).to.equal("10.6.0.1/30");
  });

  it("know by which grants a network's endpoints have their addresses, and give back just those", async () => {
    const id = await poolOn(a, "10.5.0.0/24");
    await poolOn(b, "10.5.0.0/24");
    const [mine, theirs] = [idOf("a1"), idOf("b1")];
    await attach(a, mine, "10.5.0.0/24");
    await attach(b, theirs, "10.5.0.0/24");
    const address = await takeOn(a, id);
    const grants = a.ipam.leasesAt(mine, [address]);
    expect([grants.length, a.ipam.leasesAt(theirs, [address]), b.ipam.leasesAt(theirs, [address])]).to.deep.equal([
      1,
      [],
      [],
    ]);
    await a.ipam.releaseLeases(mine, [address], ["other"]);
    expect(a.ipam.leasesAt(mine, [address])).to.deep.equal(grants);
    await a.ipam.releaseLeases(mine, [address], grants);
    await a.ipam.settleOwed();
    expect([await records("lease"), await a.disk.list("owed")]).to.deep.equal([[], new Map()]);
    expect(await a.ipam.releaseGrant(id, "10.5.0.1", grants[0] ?? "")).to.equal(false);
    await takeOn(b, id);
    expect(await a.ipam.releaseGrant(id, "10.5.0.1", b.ipam.leasesAt(theirs, [address])[0] ?? "")).to.equal(true);
    expect(await records("lease")).to.deep.equal([]);
  });

  it("are the same after a restart of the process, which waits for nobody", async () => {
    const id = await poolOn(a, "10.5.0.0/24");
    await attach(a, idOf("a1"), "10.5.0.0/24");
    const address = await takeOn(a, id);
    const grants = a.ipam.leasesAt(idOf("a1"), [address]);
    await a.ipam.close();
    a = await startHost("a", store, { clock, disk: a.disk });
    expect(await takeOn(a, id)).to.equal("10.5.0.2/24");
    expect(a.ipam.leasesAt(idOf("a1"), [address])).to.deep.equal(grants);
    expect([a.ipam.callHost("b"), a.ipam.callHost("x")]).to.deep.equal(["name-of-b (b)", "x"]);
    expect((await store.get("host", "a")) as object).to.include({ name: "name-of-a" });
  });

  it("pass over an address whose record cannot be understood", async () => {
    const id = await poolOn(a, "10.5.0.0/24");
    await store.commit([{ put: "lease", id: "tsnet-shared/10.5.0.1", value: { what: "is this" } }]);
    expect(await takeOn(a, id)).to.equal("10.5.0.2/24");
    expect(a.log.lines.join()).to.contain("a record in etcd cannot be understood");
  });
});
