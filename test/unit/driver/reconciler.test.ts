import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, openDriver, startDriver, stopDriver } from "../../support/driver.ts";
import { until } from "../../support/poll.ts";
import { bindingOf, bridgeKey, idOf, networkRequest, requestedSubnet } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const network = idOf("a1");
const id = idOf("e1");
const sandbox = "/var/run/docker/netns/e1";
const bridge = "tsb-a1000000000";

/** A host with a running container that publishes a port. */
async function startContainer(world: World): Promise<Driver> {
  const driver = await startDriver(world, new MemoryStore());
  await driver.networks.create(networkRequest());
  await driver.endpoints.create({ network, id, addresses: ["172.18.0.2/16"], mac: null });
  await driver.endpoints.join(network, id, sandbox);
  world.moveIntoSandbox("tsc-e1000000000", sandbox);
  await driver.endpoints.publish(network, id, [bindingOf(8080)]);
  return driver;
}

describe("the reconciler", () => {
  let world: World;
  let driver: Driver;
  let wanted: object;
  let skeleton: string | undefined;
  beforeEach(async () => {
    world = new World();
    driver = await startContainer(world);
    wanted = structuredClone(world.dump());
    skeleton = world.nft.observe()?.skeleton;
  });
  afterEach(() => stopDriver(driver));

  const isMended = async (): Promise<boolean> =>
    JSON.stringify(world.dump()) === JSON.stringify(wanted) && world.nft.observe()?.skeleton === skeleton && isWhole();
  const isWhole = (): boolean => {
    const port = world.links.require("tsv-e1000000000");
    const link = world.links.find(bridge);
    return (
      link?.up === true &&
      link.mac === "02:42:ac:12:00:01" &&
      port.up &&
      port.master === link.index &&
      world.links.routes.some(({ link: index }) => index === link.index)
    );
  };

  const damages: [what: string, kind: string, damage: () => void][] = [
    ["a bridge that is deleted", "links", () => world.removeLink(bridge)],
    ["a bridge that is set down", "links", () => world.changeLink(bridge, { up: false })],
    ["a bridge with another MAC address", "links", () => world.changeLink(bridge, { mac: "02:00:00:00:00:99" })],
    ["a host end without its bridge", "links", () => world.changeLink("tsv-e1000000000", { master: 0 })],
    ["a host end that is set down", "links", () => world.changeLink("tsv-e1000000000", { up: false })],
    [
      "an address that is removed",
      "addresses",
      () => {
        world.links.removeAddress(world.links.require(bridge), "172.18.0.1/16");
        world.report({ what: "addresses" });
      },
    ],
    [
      "a ruleset that is flushed",
      "firewall",
      () => {
        world.nft.flush();
        world.report({ what: "firewall" });
      },
    ],
    [
      "an element that somebody adds",
      "firewall",
      () => {
        world.nft.run("add element inet tsnet port4 { tcp . 9999 : 172.18.0.2 . 80 }\n");
        world.report({ what: "firewall" });
      },
    ],
    [
      "a rule that somebody adds",
      "firewall",
      () => {
        world.nft.changeSkeleton(" rule of somebody's");
        world.report({ what: "firewall" });
      },
    ],
    [
      "an element that is removed",
      "firewall",
      () => {
        world.nft.run("delete element inet tsnet port4 { tcp . 8080 }\n");
        world.report({ what: "everything" });
      },
    ],
  ];
  for (const [what, kind, damage] of damages) {
    it(`repairs ${what}, soon, and counts it`, async () => {
      const damagedAt = Date.now();
      damage();
      await until("repaired", 1000, isMended);
      await expectAgreement(driver, new World());
      await driver.reconciler.stop();
      const repairs = driver.reconciler.repairs();
      expect(repairs[kind]?.count).to.be.greaterThan(0);
      expect(repairs[kind]?.lastAt).to.be.within(damagedAt, Date.now());
      const counted = Object.values(repairs).reduce((sum, { count }) => sum + count, 0);
      expect(driver.log.lines.filter((line) => line.startsWith("warn: repaired: "))).to.have.length(counted);
    });
  }

  it("does nothing where everything is as it should be", async () => {
    driver.faults.steps.length = 0;
    await driver.reconciler.run();
    // A sysctl is looked at, and written only if it differs.
    const changes = driver.faults.steps.filter((step) => !step.startsWith("observe") && step !== "set-sysctl");
    expect(changes).to.deep.equal([]);
    expect(driver.reconciler.repairs()).to.deep.equal({});
  });

  it("goes on with the rest when one repair fails, and says which failed", async () => {
    world.nft.flush();
    world.links.remove(world.links.require(bridge));
    void driver.faults.arm({ kind: "before", at: 2, errno: "EPERM" });
    await driver.reconciler.run();
    expect(driver.log.lines).to.include('error: could not be repaired: the nft table {"error":"run-nft: EPERM"}');
    expect(isWhole()).to.equal(true);
  });

  it("tries again within a second what it could not do about a bridge of Docker's that came", async () => {
    void driver.faults.arm({ kind: "before", at: 1, errno: "EAGAIN" });
    const docker0 = world.links.observe(world.links.add("docker0", "bridge", { up: true }));
    world.report({ what: "link", removed: false, link: docker0 });
    await until("it has failed", 1000, () => driver.log.lines.some((line) => line.includes("EAGAIN")));
    const isKnown = () => world.nft.observe()?.elements["docker_links"]?.["docker0"] !== undefined;
    expect(isKnown()).to.equal(false);
    await until("known", 1000, isKnown);
  });

  it("tries again within a second what could not be repaired, by itself", async () => {
    world.nft.flush();
    void driver.faults.arm({ kind: "before", at: 2, errno: "EAGAIN" });
    world.report({ what: "firewall" });
    await until("it has failed", 1000, () => driver.log.lines.some((line) => line.includes("EAGAIN")));
    await until("repaired", 1000, isMended);
    await driver.reconciler.stop();
    expect(driver.log.lines.filter((line) => line.startsWith("error: "))).to.have.length(1);
  });

  it("brings everything back after a reboot, and takes back the containers that are gone", async () => {
    const { store } = driver;
    await stopDriver(driver);
    world = new World();
    driver = await startDriver(world, store);
    await expectAgreement(driver, new World());
    expect(world.links.require(bridge)).to.include({ up: true, mac: "02:42:ac:12:00:01" });
    expect([...driver.state.endpoints()]).to.deep.equal([]);
  });

  it("keeps a running container as it is when the plugin is killed, and holds its ports again", async () => {
    const before = structuredClone(world.links.all);
    driver = await startDriver(world, driver.store);
    expect(world.links.all).to.deep.equal(before);
    expect(world.dump()).to.deep.equal(wanted);
    await expectAgreement(driver, new World());
  });

  it("removes what is left of a network whose creation was cut off", async () => {
    const ready = driver.state.network(network);
    if (ready === undefined) throw new Error("no network");
    await driver.state.saveNetwork({ ...ready, ready: false });
    world.destroySandbox(sandbox);
    driver = await startDriver(world, driver.store);
    await driver.removals.flush();
    expect(world.dump()).to.deep.equal({ ...new World().dump(), elements: {} });
    expect((await driver.store.list("network")).size).to.equal(0);
  });

  it("removes links that say they are ours and belong to nothing, and no others", async () => {
    world.links.add("tsb-cccccccccc", "bridge", { alias: `tsnet:bridge:${idOf("cc")}` });
    world.links.add("tsv-cccccccccc", "veth", { alias: "somebody's" });
    await driver.reconciler.run();
    await driver.removals.flush();
    expect(world.links.find("tsb-cccccccccc")).to.equal(undefined);
    world.links.require("tsv-cccccccccc");
  });

  it("takes nothing for a leftover that goes while the kernel is looked at", async () => {
    const { kernel, reconciler, endpoints } = driver;
    const observe = kernel.observe;
    kernel.observe = async () => {
      const observed = structuredClone(await observe());
      kernel.observe = observe;
      await endpoints.leave(network, id);
      await endpoints.delete(network, id);
      return observed;
    };
    await reconciler.run();
    expect(driver.state.endpoint(id)).to.equal(undefined);
    expect(reconciler.repairs()).to.deep.equal({});
  });

  it("deletes links whose deletion has failed", async () => {
    await driver.endpoints.leave(network, id);
    world.moveOutOfSandbox("tsc-e1000000000");
    await driver.endpoints.delete(network, id);
    void driver.faults.arm({ kind: "before", at: 1, errno: "EBUSY" });
    expect(await driver.removals.flush().catch(explain)).to.equal("flush-removed-links: EBUSY");
    await driver.reconciler.run();
    await until("deleted", 2000, async () => (world.dump() as { doomed: number }).doomed === 0);
  });

  it("takes nothing for a leftover while the records are still being read", async () => {
    const before = structuredClone(world.links.all);
    const next = openDriver(world, driver.store);
    const list = next.store.list.bind(next.store);
    next.store.list = async (kind) => {
      world.report({ what: "everything" });
      await new Promise((resolve) => setTimeout(resolve, 30));
      return list(kind);
    };
    await next.reconciler.restore();
    next.store.list = list;
    driver = next;
    expect(world.links.all).to.deep.equal(before);
    expect(next.reconciler.repairs()).to.deep.equal({});
  });

  it("says which published ports somebody else has taken meanwhile", async () => {
    world.kill();
    world.foreignPorts.add("tcp 0.0.0.0 8080");
    driver = await startDriver(world, driver.store);
    expect(driver.log.lines[0]).to.contain("error: a published port could not be held again").and.contain("8080");
    expect(world.heldPorts).to.deep.equal(["tcp :: 8080"]);
    world.foreignPorts.clear();
    await driver.reconciler.run();
    expect(world.dump()).to.deep.equal(wanted);
    expect(driver.reconciler.repairs()["ports"]?.count).to.equal(1);
  });

  it("says why changes in the kernel could not be read", () => {
    world.report({ what: "everything" });
    expect(driver.log.lines.join("\n")).not.to.include("could not be read");
    world.report({ what: "everything", error: "EMFILE" });
    expect(driver.log.lines).to.include('error: changes in the kernel could not be read {"error":"EMFILE"}');
  });

  it("does nothing any more once it is stopped", async () => {
    await driver.reconciler.stop();
    driver.faults.steps.length = 0;
    world.removeLink(bridge);
    await driver.reconciler.run();
    expect(driver.faults.steps).to.deep.equal([]);
  });

  it("leaves a bridge of the user's alone when its network goes, also after a restart", async () => {
    world.links.add("lan", "bridge", { up: true });
    const options = { [bridgeKey("name")]: "lan" };
    await driver.networks.create(
      networkRequest({
        id: idOf("b2"),
        options,
        ipv4: [requestedSubnet("10.0.0.0/24", "10.0.0.1/24")],
      }),
    );
    driver = await startDriver(world, driver.store);
    await driver.networks.delete(idOf("b2"));
    await driver.reconciler.run();
    await driver.removals.flush();
    expect(world.links.require("lan")).to.include({ up: true, alias: "" });
  });
});
