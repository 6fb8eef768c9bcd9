import { expect } from "chai";
import { PoolsLab } from "../../../support/pools-lab.ts";
import { errorOf } from "../../../support/store-contract.ts";

describe("leases of an endpoint", () => {
  let lab: PoolsLab;
  let { idOf, take, release, recorded, attach } = new PoolsLab();

  const leasesAt = (addresses: readonly string[], network = "n1") => lab.pools.leasesAt(network, addresses);
  const releaseLeases = (addresses: readonly string[], grants: readonly string[]) =>
    lab.pools.releaseLeases("n1", addresses, grants);

  beforeEach(async () => {
    lab = await PoolsLab.open();
    ({ idOf, take, release, recorded, attach } = lab);
  });

  it("are unique to each time that an address is given out, and the same after a restart", async () => {
    const id = await idOf("10.0.0.0/24");
    const six = await idOf("fd00::/64");
    await attach("n1", "10.0.0.0/24", "fd00::/64");
    const addresses = [await take(id, "10.0.0.5"), await take(six)];
    const first = leasesAt(addresses);
    expect(new Set(first).size).to.equal(2);
    await release(id, "10.0.0.5");
    expect(leasesAt(addresses)).to.deep.equal([first[1]]);
    await take(id, "10.0.0.5");
    const second = leasesAt(addresses);
    expect([second.length, second.includes(first[0] ?? "")]).to.deep.equal([2, false]);
    await lab.restart();
    expect(leasesAt(addresses)).to.deep.equal(second);
  });

  it("are none where another IPAM driver gave the address, or another address space or network has it", async () => {
    await take(await idOf("10.0.0.0/24"), "10.0.0.5");
    await take(await idOf("10.8.0.0/24", { addressSpace: "tsnet-global" }), "10.8.0.5");
    expect(leasesAt(["10.0.0.6/24", "10.0.0.5/16", "10.9.0.5/24", "10.8.0.5/24"])).to.deep.equal([]);
    expect(leasesAt(["10.0.0.5/24"])).to.deep.equal([]);
    await attach("n2", "10.0.0.0/24");
    expect([leasesAt(["10.0.0.5/24"]), leasesAt(["10.0.0.5/24"], "n2").length]).to.deep.equal([[], 1]);
  });

  it("are given back by their grant, and only by it", async () => {
    const id = await idOf("10.0.0.0/24", { subPool: "10.0.0.0/25" });
    await attach("n1", "10.0.0.0/24");
    const address = await take(id, "10.0.0.5");
    const old = leasesAt([address]);
    await release(id, "10.0.0.5");
    await take(id, "10.0.0.5");
    for (const grants of [old, [], [""]]) await releaseLeases([address], grants);
    expect((await errorOf(take(id, "10.0.0.5"))).code).to.equal("conflict");
    await releaseLeases([address, "fd00::5/64"], ["other", ...leasesAt([address])]);
    expect(await recorded()).to.deep.equal([id]);
    expect(await take(id, "10.0.0.5")).to.equal(address);
  });

  it("are a network's that was recorded before pools had networks", async () => {
    const [pool, subnet] = ["tsnet-local/10.0.0.0/24", "10.0.0.0/24"];
    const older = { addressSpace: "tsnet-local", subnet, subPool: null, lastAllocated: null };
    await lab.store.commit([
      { put: "pool", id: pool, value: older },
      { put: "lease", id: "tsnet-local/10.0.0.5", value: { pool, address: "10.0.0.5", grant: "g" } },
    ]);
    await lab.restart();
    expect(leasesAt(["10.0.0.5/24"])).to.deep.equal(["g"]);
    await releaseLeases(["10.0.0.5/24"], ["g"]);
    expect(await recorded()).to.deep.equal([pool]);
  });

  it("that were recorded without a grant are held, and never given back by one", async () => {
    const id = await idOf("10.0.0.0/24");
    await lab.store.commit([
      { put: "lease", id: "tsnet-local/10.0.0.5", value: { pool: "tsnet-local/10.0.0.0/24", address: "10.0.0.5" } },
    ]);
    await lab.restart();
    expect(leasesAt(["10.0.0.5/24"])).to.deep.equal([]);
    for (const grants of [[], [""]]) await releaseLeases(["10.0.0.5/24"], grants);
    expect((await errorOf(take(id, "10.0.0.5"))).code).to.equal("conflict");
    await release(id, "10.0.0.5");
    expect(await take(id, "10.0.0.5")).to.equal("10.0.0.5/24");
  });

  it("gives back nobody's lease but the one that was meant, though both are under way", async () => {
    const id = await idOf("10.0.0.0/24");
    await attach("n1", "10.0.0.0/24");
    const old = leasesAt([await take(id, "10.0.0.5")]);
    lab.store.isHolding = true;
    const released = release(id, "10.0.0.5");
    const collected = releaseLeases(["10.0.0.5/24"], old);
    lab.store.isHolding = false;
    lab.store.held.shift()?.();
    await released;
    const next = take(id, "10.0.0.5");
    for (const resolve of lab.store.held.splice(0)) resolve();
    await Promise.all([collected, next]);
    expect(await recorded()).to.deep.equal([id, "tsnet-local/10.0.0.5"]);
    expect((await errorOf(take(id, "10.0.0.5"))).code).to.equal("conflict");
  });
});
