import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { bindingOf, idOf, networkRequest, requestedSubnet } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const graceMs = 120_000;
const network = idOf("a1");
const id = idOf("e1");
const sandbox = "/var/run/docker/netns/e1";

describe("endpoints that Docker has left behind", () => {
  let world: World;
  let driver: Driver;
  const sweep = (): Promise<void> => driver.collector.sweep(world.links.snapshot().links);
  const isThere = (): boolean => driver.state.endpoint(id) !== undefined;

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(networkRequest());
    await driver.endpoints.create({ network, id, addresses: ["172.18.0.2/16"], mac: null });
  });
  afterEach(() => stopDriver(driver));

  const run = async (): Promise<void> => {
    await driver.endpoints.join(network, id, sandbox);
    world.moveIntoSandbox("tsc-e1000000000", sandbox);
    await driver.endpoints.publish(network, id, [bindingOf(8080)]);
  };

  it("are removed with all that they hold when their sandbox is gone and their links with it", async () => {
    await run();
    world.destroySandbox(sandbox);
    await sweep();
    expect(isThere()).to.equal(false);
    await expectAgreement(driver, new World());
    expect([...world.heldPorts]).to.deep.equal([]);
    expect(driver.log.lines.at(-1))
      .to.contain("removed an endpoint that Docker has left behind")
      .and.contain('"state":"dead"');
  });

  describe("with an address of tsnet's own IPAM", () => {
    const poolId = "tsnet-local/172.18.0.0/16";
    const address = "172.18.0.5/16";
    const take = async (): Promise<string> =>
      driver.ipam
        .requestAddress({ poolId, address: "172.18.0.5", options: {} })
        .then((given) => given.address, explain);
    const leases = async (): Promise<string[]> => [...(await driver.store.list("lease")).keys()];
    /** A container with that address that died, and Docker was not there to see it. */
    const die = async (): Promise<void> => {
      await driver.endpoints.join(network, idOf("e5"), sandbox);
      world.moveIntoSandbox("tsc-e5000000000", sandbox);
      world.destroySandbox(sandbox);
    };

    beforeEach(async () => {
      await driver.ipam.requestPool({
        addressSpace: "tsnet-local",
        pool: "172.18.0.0/16",
        subPool: "",
        options: {},
        v6: false,
      });
      await driver.ipam.attach(network, [
        { addressSpace: "tsnet-local", pool: "172.18.0.0/16", gateway: null, auxiliary: [] },
      ]);
      expect(await take()).to.equal(address);
      await driver.endpoints.create({ network, id: idOf("e5"), addresses: [address], mac: null });
    });

    it("give it back, also after a restart of the plugin, which collects them at once", async () => {
      await die();
      expect(await take()).to.contain("Address already in use");
      driver = await startDriver(world, driver.store);
      expect([driver.state.endpoint(idOf("e5")), await leases()]).to.deep.equal([undefined, []]);
      expect(await take()).to.equal(address);
    });

    it("leave it to whom Docker has given it meanwhile", async () => {
      await die();
      await driver.ipam.releaseAddress({ poolId, address: "172.18.0.5" });
      expect(await take()).to.equal(address);
      await driver.endpoints.create({ network, id: idOf("e6"), addresses: [address], mac: null });
      expect(driver.state.endpoint(idOf("e5"))).to.equal(undefined);
      expect(await take()).to.contain("Address already in use");
      expect(driver.state.endpoint(idOf("e6"))?.leases).to.deep.equal(driver.ipam.leasesAt(network, [address]));
      await expectAgreement(driver, new World());
    });

    it("keep it while they live, and when Docker removes them it is Docker that gives it back", async () => {
      await sweep();
      await driver.endpoints.delete(network, idOf("e5"));
      expect(await leases()).to.deep.equal(["tsnet-local/172.18.0.5"]);
    });

    it("are tried again if it cannot be given back, and give it back only once if their removal failed", async () => {
      await die();
      // Steps of a sweep: sandboxes, two links, sandboxes, the lease, then the removal.
      for (const [at, left] of [
        [5, ["tsnet-local/172.18.0.5"]],
        [6, []],
      ] as const) {
        void driver.faults.arm({ kind: "before", at, errno: "EIO" });
        await sweep();
        expect(driver.log.lines.at(-1)).to.contain("a dead endpoint could not be removed").and.contain("EIO");
        expect(await leases()).to.deep.equal(left);
      }
      expect(await take()).to.equal(address);
      await sweep();
      expect([driver.state.endpoint(idOf("e5")), await leases()]).to.deep.equal([
        undefined,
        ["tsnet-local/172.18.0.5"],
      ]);
      await expectAgreement(driver, new World());
    });
  });

  it("give an address of the network's next subnet back, which was full when they came", async () => {
    const subnets = ["10.0.0.0/30", "10.0.0.4/30"];
    const [first = ""] = subnets.map((subnet) => `tsnet-local/${subnet}`);
    for (const pool of subnets) {
      await driver.ipam.requestPool({ addressSpace: "tsnet-local", pool, subPool: "", options: {}, v6: false });
    }
    const ipv4 = subnets.map((pool) => requestedSubnet(pool, null, { addressSpace: "tsnet-local" }));
    await driver.networks.create(networkRequest({ id: idOf("b2"), internal: true, ipv4 }));
    const take = async () => (await driver.ipam.requestAddress({ poolId: first, address: "", options: {} })).address;
    expect([await take(), await take()]).to.deep.equal(["10.0.0.1/30", "10.0.0.2/30"]);
    const address = await take();
    expect(address).to.equal("10.0.0.5/30");
    await driver.endpoints.create({ network: idOf("b2"), id: idOf("e5"), addresses: [address], mac: null });
    await driver.endpoints.join(idOf("b2"), idOf("e5"), sandbox);
    world.moveIntoSandbox("tsc-e5000000000", sandbox);
    world.destroySandbox(sandbox);
    await sweep();
    expect(driver.state.endpoint(idOf("e5"))).to.equal(undefined);
    expect(await take()).to.equal(address);
  });

  it("are never removed while their sandbox lives, whatever has become of the links, however long", async () => {
    await run();
    world.links.remove(world.links.require("tsv-e1000000000"));
    for (let n = 0; n < 3; n++) {
      driver.clock.now += graceMs;
      await sweep();
    }
    expect(isThere()).to.equal(true);
    expect(world.heldPorts).to.deep.equal(["tcp 0.0.0.0 8080", "tcp :: 8080"]);
  });

  it("are never removed while the container's end is in some namespace, as with live-restore", async () => {
    await run();
    world.sandboxes.delete(sandbox);
    driver.clock.now += graceMs;
    await sweep();
    driver.clock.now += graceMs;
    await sweep();
    expect(isThere()).to.equal(true);
  });

  it("are given time between their creation and the start of the container, then removed", async () => {
    await sweep();
    driver.clock.now += graceMs - 1;
    await sweep();
    expect(isThere()).to.equal(true);
    driver.clock.now += 1;
    await sweep();
    expect(isThere()).to.equal(false);
    await expectAgreement(driver, new World());
  });

  it("are given that time anew if they were alive in between", async () => {
    await sweep();
    driver.clock.now += graceMs - 1;
    world.moveIntoSandbox("tsc-e1000000000", sandbox);
    await sweep();
    world.moveOutOfSandbox("tsc-e1000000000");
    world.sandboxes.clear();
    driver.clock.now += graceMs;
    await sweep();
    expect(isThere()).to.equal(true);
    driver.clock.now += graceMs;
    await sweep();
    expect(isThere()).to.equal(false);
  });

  it("are left alone while a request is busy with them", async () => {
    await run();
    world.destroySandbox(sandbox);
    const end = Promise.withResolvers<void>();
    const busy = driver.locks.exclusive(id, () => end.promise);
    await sweep();
    expect(isThere()).to.equal(true);
    end.resolve();
    await busy;
    await new Promise(setImmediate); // the lock is let go of in a later turn than the one in which its work ends
    await sweep();
    expect(isThere()).to.equal(false);
  });

  it("are looked at again before they are removed: one that lives by then stays", async () => {
    await run();
    const endpoint = driver.state.endpoint(id);
    if (endpoint === undefined) throw new Error("no endpoint");
    expect(await driver.collector.collect({ ...endpoint, sandbox: null }, "waiting")).to.equal(false);
    expect(isThere()).to.equal(true);
  });

  it("say so in the log if they cannot be removed, and are tried again", async () => {
    await run();
    world.destroySandbox(sandbox);
    // Steps of a sweep: sandboxes, two links, sandboxes, then the removal.
    void driver.faults.arm({ kind: "before", at: 5, errno: "EBUSY" });
    await sweep();
    expect(driver.log.lines.at(-1))
      .to.contain("error: a dead endpoint could not be removed")
      .and.contain(`delete endpoint ${id}: remove-links: EBUSY`);
    await sweep();
    expect(isThere()).to.equal(false);
    await expectAgreement(driver, new World());
  });
});
