import { expect } from "chai";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { backText, goneText, hostOnLans, network, ParentsLab } from "../../support/lan-parents.ts";
import { until } from "../../support/poll.ts";
import { lanRequest } from "../../support/values.ts";

describe("parents that come and go", () => {
  const lab = ParentsLab.use();
  const { start, inSandbox, areBack, lines, mended, settled } = lab;

  it("say once that they are gone, and once that they are back, when their containers have their links again", async () => {
    await start("eth9");
    lab.world.removeLink("eth9");
    expect([inSandbox(1), inSandbox(2)]).to.deep.equal([undefined, undefined]);
    await until("said", 1000, () => lines(goneText("eth9")).length > 0);
    await settled();
    await settled();
    expect(lines(goneText("eth9"))).to.have.length(1);
    expect([...lab.driver.state.endpoints()]).to.have.length(2);

    lab.world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    expect(lines(backText("eth9"))).to.have.length(1);
    expect(lab.driver.reconciler.repairs()["links"]?.count).to.equal(2);
    expect(inSandbox(2)).to.deep.include({
      ...{ mac: "02:42:c0:a8:01:0b", lower: lab.world.links.require("eth9").index, kind: "macvlan" },
      restored: { addresses: ["192.168.1.11/24"], gateways: ["192.168.1.1"], onLink: [] },
    });
    await lab.driver.announcements.idle();
    expect(lab.world.announcements.map(({ addresses }) => addresses)).to.have.deep.members([
      ["192.168.1.10"],
      ["192.168.1.11"],
    ]);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("may be another link of the same name before anybody has looked", async () => {
    await start("eth9");
    lab.world.links.remove(lab.world.links.require("eth9"));
    lab.world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("with another name cut nobody off, and are said to have it", async () => {
    await start("eth9");
    await settled();
    Object.assign(lab.world.links.require("eth9"), { name: "lan9" });
    await settled();
    await settled();
    expect(areBack()).to.equal(true);
    expect(lines(goneText("eth9"))).to.deep.equal([]);
    const text = `parent eth9 of network ${network} is called lan9 now: no container can start on it until it is eth9 again`;
    expect(lines(`warn: ${text}`)).to.have.length(1);
    Object.assign(lab.world.links.require("lan9"), { name: "eth9" });
    await settled();
    expect(lines(backText("eth9", 0))).to.have.length(1);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("are found to be back also without a report", async () => {
    await start("eth9");
    lab.world.links.remove(lab.world.links.require("eth9"));
    await settled();
    expect(lines(goneText("eth9"))).to.have.length(1);
    lab.world.links.add("eth9", "", { up: true });
    lab.world.report({ what: "addresses" });
    await mended();
    await settled();
    expect(lines(backText("eth9"))).to.have.length(1);
  });

  it("of ours come back by themselves, with the links on them", async () => {
    await start("eth9.10");
    lab.world.removeLink("eth9.10");
    await mended();
    await settled();
    expect(lines(`repaired: parent eth9.10 of network ${network} is gone`)).to.have.length(1);
    expect(lines(goneText("eth9.10"))).to.deep.equal([]);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("of ours wait for what they are on", async () => {
    await start("eth9.10");
    lab.world.removeLink("eth9");
    await until("said", 1000, () => lines(goneText("eth9.10")).length > 0);
    expect(lab.world.links.find("eth9.10")).to.equal(undefined);
    lab.world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    expect(lines(backText("eth9.10"))).to.have.length(1);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("that lead nowhere come back with the links on them", async () => {
    await start("");
    lab.world.removeLink("tsp-a1000000000");
    await mended();
    await settled();
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("that lead nowhere come back as well", async () => {
    lab.world = hostOnLans();
    lab.driver = await startDriver(lab.world, new MemoryStore());
    await lab.driver.networks.create(lanRequest("macvlan", { parent: "" }));
    lab.world.removeLink("tsp-a1000000000");
    await until("made", 1000, () => lab.world.links.find("tsp-a1000000000")?.up === true);
    lab.world.changeLink("tsp-a1000000000", { up: false });
    await until("up", 1000, () => lab.world.links.require("tsp-a1000000000").up);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("of ours are up when what they are on is up", async () => {
    await start("eth9.10");
    lab.world.changeLink("eth9.10", { up: false });
    await until("up", 1000, () => lab.world.links.require("eth9.10").up);
    lab.world.changeLink("eth9", { up: false });
    lab.world.changeLink("eth9.10", { up: false });
    await settled();
    const { count } = lab.driver.reconciler.repairs()["links"] ?? { count: 0 };
    await settled();
    expect(lab.driver.reconciler.repairs()["links"]?.count ?? 0).to.equal(count);
  });

  it("may be away when the plugin starts, and come later", async () => {
    await start("eth9");
    lab.world.kill();
    lab.world.links.remove(lab.world.links.require("eth9"));
    lab.driver = await startDriver(lab.world, lab.driver.store);
    expect(lines("error")).to.deep.equal([]);
    expect(lines(goneText("eth9"))).to.have.length(1);
    lab.world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    expect(lines(backText("eth9"))).to.have.length(1);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("may have gone and returned while the plugin was away", async () => {
    await start("eth9");
    lab.world.kill();
    lab.world.links.remove(lab.world.links.require("eth9"));
    lab.world.links.add("eth9", "", { up: true });
    lab.driver = await startDriver(lab.world, lab.driver.store);
    expect(areBack()).to.equal(true);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("are not there any more after a reboot: networks are, and containers that are gone are taken back", async () => {
    await start("eth9.10");
    const { store } = lab.driver;
    await stopDriver(lab.driver);
    lab.world = hostOnLans();
    lab.driver = await startDriver(lab.world, store);
    lab.world.links.require("eth9.10");
    expect([...lab.driver.state.endpoints()]).to.deep.equal([]);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("do not matter where nothing of theirs has changed", async () => {
    await start("eth9");
    await settled();
    lab.driver.faults.steps.length = 0;
    lab.world.changeLink("eth9", { carrier: false });
    lab.world.addLink("eth5", "");
    await new Promise(setImmediate);
    await lab.driver.reconciler.run();
    expect(lab.driver.faults.steps.filter((step) => step.startsWith("observe links"))).to.have.length(1);
    expect(lab.driver.reconciler.repairs()).to.deep.equal({});
  });
});
