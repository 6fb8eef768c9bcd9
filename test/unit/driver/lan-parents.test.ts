import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, openDriver, startDriver, stopDriver } from "../../support/driver.ts";
import { until } from "../../support/poll.ts";
import { idOf, lanRequest } from "../../support/values.ts";
import { World } from "../../support/world.ts";
import type { WorldLink } from "../../support/world-links.ts";

const network = idOf("a1");
const sandboxOf = (n: number): string => `/var/run/docker/netns/e${n}`;
const endpointIds = [1, 2].map((n) => idOf(`e${n}`));

/** A host with a LAN, and another one, on which the containers are. */
function hostOnLan(): World {
  const world = new World();
  world.links.add("eth0", "", { up: true });
  world.links.add("eth9", "", { up: true });
  return world;
}

async function startContainers(
  driver: Driver,
  parent: string,
  options: Readonly<Record<string, string>>,
): Promise<void> {
  await driver.networks.create(lanRequest("macvlan", { parent, "tsnet.duplicate_check": "false", ...options }));
  for (const [index, id] of endpointIds.entries()) {
    await driver.endpoints.create({ network, id, addresses: [`192.168.1.${10 + index}/24`], mac: null });
    await driver.endpoints.join(network, id, sandboxOf(index + 1));
    driver.world.moveIntoSandbox(`tsm-${id.slice(0, 11)}`, sandboxOf(index + 1));
  }
  await driver.announcements.idle();
}

describe("parents that come and go", () => {
  let world: World;
  let driver: Driver;
  const start = async (parent: string, options: Readonly<Record<string, string>> = {}): Promise<void> => {
    world = hostOnLan();
    driver = await startDriver(world, new MemoryStore());
    await startContainers(driver, parent, options);
    world.announcements.length = 0;
  };
  afterEach(() => stopDriver(driver));

  const inSandbox = (n: number): WorldLink | undefined =>
    world.links.all.find(({ namespace }) => namespace === sandboxOf(n));
  const areBack = (): boolean => [1, 2].every((n) => inSandbox(n)?.lower !== undefined && inSandbox(n)?.up === true);
  const lines = (text: string): string[] => driver.log.lines.filter((line) => line.includes(text));
  const goneText = (parent: string): string =>
    `warn: parent ${parent} of network ${network} is gone: its containers are cut off until it is back`;
  const backText = (parent: string, links = 2): string =>
    `info: parent ${parent} of network ${network} is back: ${links} ${links === 1 ? "link" : "links"} restored`;
  const mended = (): Promise<boolean> => until("restored", 1000, areBack);
  /** The next comparison begins when this one is over. */
  const settled = (): Promise<void> => driver.reconciler.run();

  it("say once that they are gone, and once that they are back, when their containers have their links again", async () => {
    await start("eth9");
    world.removeLink("eth9");
    expect([inSandbox(1), inSandbox(2)]).to.deep.equal([undefined, undefined]);
    await until("said", 1000, () => lines(goneText("eth9")).length > 0);
    await settled();
    await settled();
    expect(lines(goneText("eth9"))).to.have.length(1);
    expect([...driver.state.endpoints()]).to.have.length(2);

    world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    expect(lines(backText("eth9"))).to.have.length(1);
    expect(driver.reconciler.repairs()["links"]?.count).to.equal(2);
    expect(inSandbox(2)).to.deep.include({
      ...{ mac: "02:42:c0:a8:01:0b", lower: world.links.require("eth9").index, kind: "macvlan" },
      restored: { addresses: ["192.168.1.11/24"], gateways: ["192.168.1.1"], onLink: [] },
    });
    await driver.announcements.idle();
    expect(world.announcements.map(({ addresses }) => addresses)).to.have.deep.members([
      ["192.168.1.10"],
      ["192.168.1.11"],
    ]);
    await expectAgreement(driver, hostOnLan());
  });

  it("may be another link of the same name before anybody has looked", async () => {
    await start("eth9");
    world.links.remove(world.links.require("eth9"));
    world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    await expectAgreement(driver, hostOnLan());
  });

  it("are found to be back also without a report", async () => {
    await start("eth9");
    world.links.remove(world.links.require("eth9"));
    await settled();
    expect(lines(goneText("eth9"))).to.have.length(1);
    world.links.add("eth9", "", { up: true });
    world.report({ what: "addresses" });
    await mended();
    await settled();
    expect(lines(backText("eth9"))).to.have.length(1);
  });

  it("of ours come back by themselves, with the links on them", async () => {
    await start("eth9.10");
    world.removeLink("eth9.10");
    await mended();
    await settled();
    expect(lines(`repaired: parent eth9.10 of network ${network} is gone`)).to.have.length(1);
    expect(lines(goneText("eth9.10"))).to.deep.equal([]);
    await expectAgreement(driver, hostOnLan());
  });

  it("of ours wait for what they are on", async () => {
    await start("eth9.10");
    world.removeLink("eth9");
    await until("said", 1000, () => lines(goneText("eth9.10")).length > 0);
    expect(world.links.find("eth9.10")).to.equal(undefined);
    world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    expect(lines(backText("eth9.10"))).to.have.length(1);
    await expectAgreement(driver, hostOnLan());
  });

  it("that lead nowhere come back as well", async () => {
    world = hostOnLan();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(lanRequest("macvlan", { parent: "" }));
    world.removeLink("tsp-a1000000000");
    await until("made", 1000, () => world.links.find("tsp-a1000000000")?.up === true);
    world.changeLink("tsp-a1000000000", { up: false });
    await until("up", 1000, () => world.links.require("tsp-a1000000000").up);
    await expectAgreement(driver, hostOnLan());
  });

  it("of ours are up when what they are on is up", async () => {
    await start("eth9.10");
    world.changeLink("eth9.10", { up: false });
    await until("up", 1000, () => world.links.require("eth9.10").up);
    world.changeLink("eth9", { up: false });
    world.changeLink("eth9.10", { up: false });
    await settled();
    const { count } = driver.reconciler.repairs()["links"] ?? { count: 0 };
    await settled();
    expect(driver.reconciler.repairs()["links"]?.count ?? 0).to.equal(count);
  });

  it("may be away when the plugin starts, and come later", async () => {
    await start("eth9");
    world.kill();
    world.links.remove(world.links.require("eth9"));
    driver = await startDriver(world, driver.store);
    expect(lines("error")).to.deep.equal([]);
    expect(lines(goneText("eth9"))).to.have.length(1);
    world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    expect(lines(backText("eth9"))).to.have.length(1);
    await expectAgreement(driver, hostOnLan());
  });

  it("may have gone and returned while the plugin was away", async () => {
    await start("eth9");
    world.kill();
    world.links.remove(world.links.require("eth9"));
    world.links.add("eth9", "", { up: true });
    driver = await startDriver(world, driver.store);
    expect(areBack()).to.equal(true);
    await expectAgreement(driver, hostOnLan());
  });

  it("are not there any more after a reboot: networks are, and containers that are gone are taken back", async () => {
    await start("eth9.10");
    const { store } = driver;
    await stopDriver(driver);
    world = hostOnLan();
    driver = await startDriver(world, store);
    world.links.require("eth9.10");
    expect([...driver.state.endpoints()]).to.deep.equal([]);
    await expectAgreement(driver, hostOnLan());
  });

  it("do not keep a container from its end", async () => {
    await start("eth9");
    world.removeLink("eth9");
    await until("said", 1000, () => lines(goneText("eth9")).length > 0);
    await driver.endpoints.leave(network, idOf("e1"));
    world.destroySandbox(sandboxOf(1));
    await driver.endpoints.delete(network, idOf("e1"));
    world.addLink("eth9", "", { up: true });
    await until("restored", 1000, () => inSandbox(2) !== undefined);
    await settled();
    expect(lines(backText("eth9", 1))).to.have.length(1);
    await expectAgreement(driver, hostOnLan());
  });

  it("leave no link in a container that is disconnected while it gets its link back", async () => {
    await start("eth9");
    world.links.remove(world.links.require("eth9"));
    world.links.add("eth9", "", { up: true });
    driver.faults.steps.length = 0;
    const held = driver.faults.hold("restore-lan-link");
    const restored = settled();
    const looks = (): number => driver.faults.steps.filter((step) => step === "observe sandbox links").length;
    await until("about to be restored", 1000, () => looks() === 2);
    // dockerd takes out what is there when Leave is answered
    const left = driver.endpoints.leave(network, idOf("e1")).then(() => world.moveOutOfSandbox("tsm-e1000000000"));
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    held.resolve();
    await left;
    await driver.endpoints.delete(network, idOf("e1"));
    await restored;
    expect(inSandbox(1)).to.equal(undefined);
    await expectAgreement(driver, hostOnLan());
  });

  it("give the links back under the names that they had, whichever comes first", async () => {
    await start("eth9");
    const names = ["eth4", "eth2"];
    for (const [index, name] of names.entries()) Object.assign(inSandbox(index + 1) ?? {}, { name });
    await settled();
    world.removeLink("eth9");
    await until("said", 1000, () => lines(goneText("eth9")).length > 0);
    world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    expect([1, 2].map((n) => inSandbox(n)?.name)).to.deep.equal(names);
  });

  it("give their MTU to the links in containers, lower or higher, unless it is set", async () => {
    await start("eth9");
    const mtus = (): (number | undefined)[] => [1, 2].map((n) => inSandbox(n)?.mtuBytes);
    world.changeLink("eth9", { mtuBytes: 9000 });
    await until("raised", 1000, () => mtus().every((mtu) => mtu === 9000));
    world.changeLink("eth9", { mtuBytes: 1280 });
    await until("lowered", 1000, () => mtus().every((mtu) => mtu === 1280));
  });

  it("take the MTU that is set only as far as they can", async () => {
    await start("eth9", { "com.docker.network.driver.mtu": "1400" });
    const mtu = (): number | undefined => inSandbox(1)?.mtuBytes;
    world.changeLink("eth9", { mtuBytes: 1280 });
    await until("lowered", 1000, () => mtu() === 1280);
    world.changeLink("eth9", { mtuBytes: 9000 });
    await until("as set", 1000, () => mtu() === 1400);
  });

  it("give nothing to a container whose link dockerd is moving at that moment", async () => {
    await start("eth9");
    world.moveOutOfSandbox("tsm-e1000000000");
    world.sandboxes.add(sandboxOf(1));
    // between the looks into the sandbox and into the host's namespace, the link is moved
    const look = driver.kernel.observe.bind(driver.kernel);
    driver.kernel.observe = (routes) => {
      world.moveIntoSandbox("tsm-e1000000000", sandboxOf(1));
      driver.kernel.observe = look;
      return look(routes);
    };
    driver.faults.steps.length = 0;
    await settled();
    expect(driver.faults.steps).to.not.include("restore-lan-link");
    expect(driver.reconciler.repairs()).to.deep.equal({});
  });

  it("do not matter where nothing of theirs has changed", async () => {
    await start("eth9");
    await settled();
    driver.faults.steps.length = 0;
    world.changeLink("eth9", { carrier: false });
    world.addLink("eth5", "");
    await new Promise(setImmediate);
    await driver.reconciler.run();
    expect(driver.faults.steps.filter((step) => step.startsWith("observe links"))).to.have.length(1);
    expect(driver.reconciler.repairs()).to.deep.equal({});
  });

  for (const kind of ["before", "after"] as const) {
    it(`give the links back in the end if a step fails ${kind} its effect`, async () => {
      for (let at = 1; ; at++) {
        await start("eth9.10");
        world.links.remove(world.links.require("eth9.10"));
        void driver.faults.arm({ kind, at, errno: "EIO" });
        await driver.reconciler.run();
        const { hit } = driver.faults;
        driver.faults.disarm();
        await driver.reconciler.run();
        expect(areBack(), `step ${at}: ${driver.faults.steps[at - 1]}`).to.equal(true);
        await expectAgreement(driver, hostOnLan());
        if (!hit) return;
        await stopDriver(driver);
      }
    });
  }

  for (const kind of ["crash-before", "crash-after"] as const) {
    it(`have their links back by the next process if one dies ${kind.slice(6)} a step`, async () => {
      for (let at = 1; ; at++) {
        await start("eth9.10");
        world.links.remove(world.links.require("eth9.10"));
        const crashed = driver.faults.arm({ kind, at, errno: "EIO" });
        const outcome = await Promise.race([driver.reconciler.run().catch(explain), crashed.then(() => "crashed")]);
        void driver.reconciler.stop();
        const next = openDriver(world, driver.store);
        await next.reconciler.restore();
        driver = next;
        expect(areBack(), `step ${at}`).to.equal(true);
        await expectAgreement(driver, hostOnLan());
        if (outcome !== "crashed") return;
        await stopDriver(driver);
      }
    });
  }
});
