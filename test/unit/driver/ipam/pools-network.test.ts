import { expect } from "chai";
import { explain } from "../../../../src/errors.ts";
import { gateway, named, PoolsLab, serial, startMs } from "../../../support/pools-lab.ts";
import { errorOf } from "../../../support/store-contract.ts";

describe("Pools of a network", () => {
  let lab: PoolsLab;
  let { idOf, take, release, attach, request } = new PoolsLab();

  const rolesOf = (id: string) =>
    Object.fromEntries([...lab.pools.leasesOf(id)].map(({ address, role }) => [address, role]));
  const networks = () => Object.fromEntries([...lab.pools.pools()].map(({ id, network }) => [id, network]));
  const takeAll = async (id: string, count: number) => {
    const given: string[] = [];
    for (let n = 0; n < count; n++) given.push(await take(id));
    return given;
  };

  beforeEach(async () => {
    lab = await PoolsLab.open();
    ({ idOf, take, release, attach, request } = lab);
  });

  describe("attach", () => {
    it("says what the addresses are for that were asked for before", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id, "", gateway);
      for (const n of [5, 6, 7]) await take(id, `10.0.0.${n}`);
      await take(id, "10.0.0.8", named("early"));
      await take(id);
      expect(rolesOf(id)).to.deep.equal({
        ...{ "10.0.0.1": "gateway", "10.0.0.2": "endpoint", "10.0.0.5": "auxiliary", "10.0.0.6": "auxiliary" },
        ...{ "10.0.0.7": "auxiliary", "10.0.0.8": "endpoint" },
      });
      await attach("n1", {
        pool: "10.0.0.0/24",
        gateway: "10.0.0.1",
        auxiliary: ["10.0.0.6", "10.0.0.99", "10.9.9.9"],
      });
      await take(id, "10.0.0.9");
      const roles = {
        ...{ "10.0.0.1": "gateway", "10.0.0.2": "endpoint", "10.0.0.5": "endpoint", "10.0.0.6": "auxiliary" },
        ...{ "10.0.0.7": "endpoint", "10.0.0.8": "endpoint", "10.0.0.9": "endpoint" },
      };
      expect([rolesOf(id), networks()]).to.deep.equal([roles, { [id]: "n1" }]);
      await lab.restart();
      expect([rolesOf(id), networks()]).to.deep.equal([roles, { [id]: "n1" }]);
    });

    it("passes over subnets of other IPAM drivers, and those of other networks", async () => {
      const id = await idOf("10.0.0.0/24");
      await attach("n1", { pool: "10.0.0.0/24", addressSpace: "LocalDefault" }, "10.0.0.0/25", "10.7.0.0/24");
      expect(networks()).to.deep.equal({ [id]: null });
      await attach("n1", "10.0.0.0/24");
      await attach("n2", "10.0.0.0/24");
      expect(networks()).to.deep.equal({ [id]: "n1" });
    });

    it("tells pools of one subnet apart by the gateway, or takes the last one", async () => {
      const ids = [];
      for (const n of [1, 2, 3, 4]) ids.push(await idOf("10.0.0.0/24", { subPool: `10.0.0.${n * 16}/28` }));
      await take(ids[1] ?? "", "", gateway);
      await attach("n1", { pool: "10.0.0.0/24", gateway: "10.0.0.32" });
      await attach("n2", "10.0.0.0/24");
      await attach("n1", "10.0.0.0/24");
      expect(Object.values(networks())).to.deep.equal([null, "n1", null, "n2"]);
    });

    it("changes nothing when the disk is full", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id, "10.0.0.5");
      lab.store.isFull = true;
      expect((await errorOf(attach("n1", "10.0.0.0/24"))).code).to.equal("store");
      lab.store.isFull = false;
      expect([rolesOf(id), networks()]).to.deep.equal([{ "10.0.0.5": "auxiliary" }, { [id]: null }]);
      await attach("n1", "10.0.0.0/24");
      expect([rolesOf(id), networks()]).to.deep.equal([{ "10.0.0.5": "endpoint" }, { [id]: "n1" }]);
    });

    it("does not record a lease again that is being released", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id, "10.0.0.5");
      lab.store.isHolding = true;
      const released = release(id, "10.0.0.5");
      await new Promise(setImmediate);
      const attached = attach("n1", "10.0.0.0/24");
      await new Promise(setImmediate);
      lab.store.isHolding = false;
      for (const resolve of lab.store.held.splice(0)) resolve();
      await Promise.all([released, attached]);
      await lab.restart();
      expect([rolesOf(id), networks()]).to.deep.equal([{}, { [id]: "n1" }]);
    });

    it("leaves swarm's addresses to its tasks: it has no auxiliary ones", async () => {
      const id = await idOf("10.0.0.0/24", { addressSpace: "tsnet-global" });
      await take(id, "10.0.0.5");
      expect(rolesOf(id)).to.deep.equal({ "10.0.0.5": "endpoint" });
    });
  });

  describe("when one is full", () => {
    it("goes on in the next of the same family, in the order of their requests, a restart later too", async () => {
      const first = await idOf("10.9.0.0/30");
      await idOf("fd00::/120");
      await idOf("10.5.0.0/30");
      await idOf("10.7.0.0/30");
      await idOf("10.0.0.0/30", { addressSpace: "tsnet-global" });
      await idOf("10.1.0.0/30");
      await attach("n1", "10.9.0.0/30", "10.7.0.0/30", "10.5.0.0/30", "fd00::/120");
      await attach("n1", { pool: "10.0.0.0/30", addressSpace: "tsnet-global" });
      expect(await takeAll(first, 3)).to.deep.equal(["10.9.0.1/30", "10.9.0.2/30", "10.5.0.1/30"]);
      await lab.restart();
      expect(await takeAll(first, 3)).to.deep.equal(["10.5.0.2/30", "10.7.0.1/30", "10.7.0.2/30"]);
      const error = await errorOf(take(first));
      expect([error.code, explain(error)]).to.deep.equal([
        "exhausted",
        "no available IPv4 addresses on this network's address pools: tsnet-local/10.9.0.0/30 (size 4), " +
          "tsnet-local/10.5.0.0/30 (size 4), tsnet-local/10.7.0.0/30 (size 4): held by containers without a name 6; " +
          "remove containers, or make the network with a larger subnet or IP range",
      ]);
    });

    it("says so where nobody can have an address, and nobody has one", async () => {
      const error = await errorOf(take(await idOf("fd00::/128")));
      expect(error.message).to.equal(
        "no available IPv6 addresses on this network's address pools: tsnet-local/fd00::/128 (size 1): " +
          "all of it is reserved, or held by another pool of the subnet; make the network with a larger subnet or IP range",
      );
    });

    it("takes addresses of the next back by the ID of the first", async () => {
      const [first, second] = [await idOf("10.0.0.0/30"), await idOf("10.1.0.0/30")];
      await attach("n1", "10.0.0.0/30", "10.1.0.0/30");
      await takeAll(first, 3);
      await release(first, "10.1.0.1");
      await release(first, "10.1.0.2");
      await release(first, "10.2.0.1");
      expect([...lab.pools.leasesOf(second)]).to.deep.equal([]);
      expect(await takeAll(first, 2)).to.deep.equal(["10.1.0.1/30", "10.1.0.2/30"]);
      await release(second, "10.0.0.1");
      expect(await takeAll(first, 1)).to.deep.equal(["10.0.0.1/30"]);
    });

    it("takes no address for its own of a pool of another driver's network, which no network of tsnet has", async () => {
      const id = await idOf("10.0.0.0/24");
      await take(id);
      expect(lab.pools.leasesAt("a", ["10.0.0.1/24"])).to.deep.equal([]);
    });

    it("gives back no address of another network's pool", async () => {
      const [first, other] = [await idOf("10.0.0.0/30"), await idOf("10.1.0.0/30")];
      await take(other);
      await release(first, "10.1.0.1");
      await attach("n1", "10.0.0.0/30");
      await attach("n2", "10.1.0.0/30");
      await release(first, "10.1.0.1");
      expect([...lab.pools.leasesOf(other)]).to.have.length(1);
    });

    it("has gateways and named addresses of itself alone", async () => {
      const first = await idOf("10.0.0.0/30");
      await idOf("10.1.0.0/30");
      await attach("n1", "10.0.0.0/30", "10.1.0.0/30");
      await takeAll(first, 2);
      expect((await errorOf(take(first, "", gateway))).code).to.equal("exhausted");
      expect((await errorOf(take(first, "10.1.0.1"))).code).to.equal("invalid");
    });

    it("gives nothing of a pool that is on its way out", async () => {
      const [first, second] = [await idOf("10.0.0.0/30"), await idOf("10.1.0.0/30")];
      await attach("n1", "10.0.0.0/30", "10.1.0.0/30");
      await takeAll(first, 2);
      const gone = lab.pools.releasePool(second);
      expect((await errorOf(take(first))).code).to.equal("exhausted");
      await gone;
      expect(await lab.recorded()).to.have.length(3);
    });

    it("prefers the own address that rests anywhere, then a free one anywhere, to that of somebody else", async () => {
      const options = { "tsnet.sticky": "true" };
      const first = await idOf("10.0.0.0/30", { options });
      await idOf("10.1.0.0/29", { options });
      await attach("n1", "10.0.0.0/30", "10.1.0.0/29");
      for (const name of ["a", "b", "c"]) await take(first, "", named(name));
      for (const address of ["10.0.0.1", "10.1.0.1"]) await release(first, address);
      expect(await take(first, "", named("d"))).to.equal("10.1.0.2/29");
      expect(await take(first, "", named("c"))).to.equal("10.1.0.1/29");
      expect(await takeAll(first, 4)).to.deep.equal(["10.1.0.3/29", "10.1.0.4/29", "10.1.0.5/29", "10.1.0.6/29"]);
      expect(await takeAll(first, 1)).to.deep.equal(["10.0.0.1/30"]);
    });

    it("goes on in order in each of them where the manager of a swarm asks", async () => {
      const global = { addressSpace: "tsnet-global" };
      const first = await idOf("10.0.0.0/30", global);
      await idOf("10.1.0.0/29", global);
      await attach("n1", { pool: "10.0.0.0/30", ...global }, { pool: "10.1.0.0/29", ...global });
      const given = [];
      for (let n = 0; n < 3; n++) given.push(await take(first, "", serial));
      await release(first, "10.1.0.1");
      await lab.restart();
      given.push(await take(first, "", serial));
      expect(given).to.deep.equal(["10.0.0.1/30", "10.0.0.2/30", "10.1.0.1/29", "10.1.0.2/29"]);
    });
  });

  describe("asked again for what there is,", () => {
    it("answer the same, if that is allowed", async () => {
      const id = await idOf("10.0.0.0/24", { subPool: "10.0.0.0/25" });
      const again = { poolId: id, pool: "10.0.0.0/24" };
      expect(await request("10.0.0.0/24", { subPool: "10.0.0.0/25" }, true)).to.deep.equal(again);
      expect((await errorOf(request("10.0.0.0/24", { subPool: "10.0.0.0/25" }))).code).to.equal("conflict");
      expect((await errorOf(request("10.0.0.0/25", {}, true))).code).to.equal("conflict");
      await take(id, "10.0.0.5", named("a"));
      lab.nowMs += 1000;
      expect(await take(id, "10.0.0.5", named("b"), true)).to.equal("10.0.0.5/24");
      expect((await errorOf(take(id, "10.0.0.5", named("b")))).code).to.equal("conflict");
      expect((await errorOf(take(id, "10.0.0.0", {}, true))).code).to.equal("conflict");
      expect((await errorOf(take(id, "10.0.1.0", {}, true))).code).to.equal("invalid");
      expect((await errorOf(take("tsnet-local/10.3.0.0/24", "10.3.0.1", {}, true))).code).to.equal("not-found");
      const [lease, ...others] = [...lab.pools.leasesOf(id)];
      expect(others).to.deep.equal([]);
      expect(lease).to.deep.include({ address: "10.0.0.5", identity: "name:a", sinceMs: startMs });
      expect(await take(id, "10.0.0.6", {}, true)).to.equal("10.0.0.6/24");
    });

    it("answer once it is durable, and fail if it cannot be", async () => {
      lab.store.isHolding = true;
      const flush = async (calls: Promise<unknown>) => {
        lab.store.isHolding = false;
        for (const resolve of lab.store.held.splice(0)) resolve();
        await calls;
      };
      lab.store.isFull = true;
      const pools = [request("10.0.0.0/24"), request("10.0.0.0/24", {}, true)].map(errorOf);
      await flush(Promise.all(pools));
      expect((await Promise.all(pools)).map(({ code }) => code)).to.deep.equal(["store", "store"]);
      lab.store.isFull = false;
      const id = await idOf("10.0.0.0/24");
      await take(id, "10.0.0.5");
      lab.store.isHolding = true;
      const released = release(id, "10.0.0.5");
      await new Promise(setImmediate);
      const again = take(id, "10.0.0.5", {}, true);
      await flush(Promise.all([released, again]));
      expect(await again).to.equal("10.0.0.5/24");
      expect(await lab.recorded()).to.deep.equal([id, "tsnet-local/10.0.0.5"]);
    });
  });
});
