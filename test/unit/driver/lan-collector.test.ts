import { expect } from "chai";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { idOf, lanRequest } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const graceMs = 120_000;
const network = idOf("a1");
const id = idOf("e1");
const sandbox = "/var/run/docker/netns/e1";
const link = "tsm-e1000000000";

function hostOnLan(): World {
  const world = new World();
  world.links.add("eth0", "", { up: true });
  return world;
}

describe("endpoints on a parent that Docker has left behind", () => {
  let world: World;
  let driver: Driver;
  const sweep = (): Promise<void> => driver.collector.sweep(world.links.snapshot().links);
  const isThere = (): boolean => driver.state.endpoint(id) !== undefined;
  const join = () => driver.endpoints.join(network, id, sandbox);
  const later = async (): Promise<void> => {
    await sweep();
    driver.clock.now += graceMs;
    await sweep();
  };

  beforeEach(async () => {
    world = hostOnLan();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(lanRequest("macvlan", { "tsnet.duplicate_check": "false" }));
    await driver.endpoints.create({ network, id, addresses: ["192.168.1.10/24"], mac: null });
  });
  afterEach(() => stopDriver(driver));

  it("are removed when their sandbox is gone, and their link with it", async () => {
    await join();
    world.moveIntoSandbox(link, sandbox);
    await driver.announcements.idle();
    await later();
    expect(isThere()).to.equal(true);
    world.destroySandbox(sandbox);
    await sweep();
    expect(isThere()).to.equal(false);
    await expectAgreement(driver, hostOnLan());
  });

  it("are given time until their container starts, as Docker up to 27 joins before there is a sandbox", async () => {
    await join();
    await sweep();
    expect(isThere()).to.equal(true);
    await later();
    expect(isThere()).to.equal(false);
    await expectAgreement(driver, hostOnLan());
  });

  it("are not those whose link dockerd has in its hands, between Leave and DeleteEndpoint", async () => {
    await join();
    world.moveIntoSandbox(link, sandbox);
    await driver.endpoints.leave(network, id);
    await sweep();
    driver.clock.now += graceMs - 1;
    await sweep();
    expect(isThere()).to.equal(true);
    driver.clock.now += 1;
    await sweep();
    expect(isThere()).to.equal(false);
  });

  it("are removed at the start of the plugin if they have neither link nor sandbox", async () => {
    world.links.remove(world.links.require(link));
    driver = await startDriver(world, driver.store);
    expect(isThere()).to.equal(false);
    await expectAgreement(driver, hostOnLan());
  });

  it("are kept at the start of the plugin while their link waits", async () => {
    driver = await startDriver(world, driver.store);
    expect(isThere()).to.equal(true);
    await expectAgreement(driver, hostOnLan());
  });

  it("are kept while their sandbox lives, also without a link, as their parent may return", async () => {
    await join();
    world.moveIntoSandbox(link, sandbox);
    world.links.remove(world.links.require("eth0"));
    await later();
    driver = await startDriver(world, driver.store, driver.clock);
    await later();
    expect(isThere()).to.equal(true);
  });

  it("leave no link behind: one that says it is ours, and is nobody's, is removed", async () => {
    const lower = world.links.require("eth0").index;
    world.links.add("tsm-cccccccccc", "macvlan", { alias: `tsnet:lan:${idOf("cc")}`, lower });
    world.links.add("tsh-a1000000000", "macvlan", { alias: `tsnet:shim:${network}`, lower });
    world.links.add("tsp-a1000000000", "dummy", { alias: `tsnet:dummy:${network}` });
    world.links.add("eth0.7", "vlan", { alias: "tsnet:vlan:eth0.7", lower, vlanId: 7 });
    world.links.add("tsm-dddddddddd", "macvlan", { alias: "somebody's", lower });
    await driver.reconciler.run();
    await driver.removals.flush();
    for (const name of ["tsm-cccccccccc", "tsh-a1000000000", "tsp-a1000000000", "eth0.7"]) {
      expect(world.links.find(name), name).to.equal(undefined);
    }
    world.links.require("tsm-dddddddddd");
    expect(driver.reconciler.repairs()["leftovers"]?.count).to.equal(4);
  });
});
