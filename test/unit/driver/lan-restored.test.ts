import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { expectAgreement, openDriver, stopDriver } from "../../support/driver.ts";
import { backText, goneText, hostOnLans, network, ParentsLab, sandboxOf } from "../../support/lan-parents.ts";
import { until } from "../../support/poll.ts";
import { idOf } from "../../support/values.ts";

describe("links of containers whose parent comes and goes", () => {
  const lab = ParentsLab.use();
  const { start, inSandbox, areBack, lines, mended, settled } = lab;

  it("do not keep a container from its end", async () => {
    await start("eth9");
    lab.world.removeLink("eth9");
    await until("said", 1000, () => lines(goneText("eth9")).length > 0);
    await lab.driver.endpoints.leave(network, idOf("e1"));
    lab.world.destroySandbox(sandboxOf(1));
    await lab.driver.endpoints.delete(network, idOf("e1"));
    lab.world.addLink("eth9", "", { up: true });
    await until("restored", 1000, () => inSandbox(2) !== undefined);
    await settled();
    expect(lines(backText("eth9", 1))).to.have.length(1);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("leave no link in a container that is disconnected while it gets its link back", async () => {
    await start("eth9");
    lab.world.links.remove(lab.world.links.require("eth9"));
    lab.world.links.add("eth9", "", { up: true });
    lab.driver.faults.steps.length = 0;
    const held = lab.driver.faults.hold("restore-lan-link");
    const restored = settled();
    const looks = (): number => lab.driver.faults.steps.filter((step) => step === "observe sandbox links").length;
    await until("about to be restored", 1000, () => looks() === 2);
    // dockerd takes out what is there when Leave is answered
    const left = lab.driver.endpoints
      .leave(network, idOf("e1"))
      .then(() => lab.world.moveOutOfSandbox("tsm-e1000000000"));
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    held.resolve();
    await left;
    await lab.driver.endpoints.delete(network, idOf("e1"));
    await restored;
    expect(inSandbox(1)).to.equal(undefined);
    await expectAgreement(lab.driver, hostOnLans());
  });

  it("give the links back under the names that they had, whichever comes first", async () => {
    await start("eth9");
    const names = ["eth4", "eth2"];
    for (const [index, name] of names.entries()) Object.assign(inSandbox(index + 1) ?? {}, { name });
    await settled();
    lab.world.removeLink("eth9");
    await until("said", 1000, () => lines(goneText("eth9")).length > 0);
    lab.world.addLink("eth9", "", { up: true });
    await mended();
    await settled();
    expect([1, 2].map((n) => inSandbox(n)?.name)).to.deep.equal(names);
  });

  it("give their MTU to the links in containers, lower or higher, unless it is set", async () => {
    await start("eth9");
    const mtus = (): (number | undefined)[] => [1, 2].map((n) => inSandbox(n)?.mtuBytes);
    lab.world.changeLink("eth9", { mtuBytes: 9000 });
    await until("raised", 1000, () => mtus().every((mtu) => mtu === 9000));
    lab.world.changeLink("eth9", { mtuBytes: 1280 });
    await until("lowered", 1000, () => mtus().every((mtu) => mtu === 1280));
  });

  it("take the MTU that is set only as far as they can", async () => {
    await start("eth9", { "com.docker.network.driver.mtu": "1400" });
    const mtu = (): number | undefined => inSandbox(1)?.mtuBytes;
    lab.world.changeLink("eth9", { mtuBytes: 1280 });
    await until("lowered", 1000, () => mtu() === 1280);
    lab.world.changeLink("eth9", { mtuBytes: 9000 });
    await until("as set", 1000, () => mtu() === 1400);
  });

  it("give nothing to a container whose link dockerd is moving at that moment", async () => {
    await start("eth9");
    lab.world.moveOutOfSandbox("tsm-e1000000000");
    lab.world.sandboxes.add(sandboxOf(1));
    // between the looks into the sandbox and into the host's namespace, the link is moved
    const look = lab.driver.kernel.observe.bind(lab.driver.kernel);
    lab.driver.kernel.observe = (routes) => {
      lab.world.moveIntoSandbox("tsm-e1000000000", sandboxOf(1));
      lab.driver.kernel.observe = look;
      return look(routes);
    };
    lab.driver.faults.steps.length = 0;
    await settled();
    expect(lab.driver.faults.steps).to.not.include("restore-lan-link");
    expect(lab.driver.reconciler.repairs()).to.deep.equal({});
  });

  for (const kind of ["before", "after"] as const) {
    it(`give the links back in the end if a step fails ${kind} its effect`, async () => {
      for (let at = 1; ; at++) {
        await start("eth9.10");
        lab.world.links.remove(lab.world.links.require("eth9.10"));
        void lab.driver.faults.arm({ kind, at, errno: "EIO" });
        await lab.driver.reconciler.run();
        const { hit } = lab.driver.faults;
        lab.driver.faults.disarm();
        await lab.driver.reconciler.run();
        expect(areBack(), `step ${at}: ${lab.driver.faults.steps[at - 1]}`).to.equal(true);
        await expectAgreement(lab.driver, hostOnLans());
        if (!hit) return;
        await stopDriver(lab.driver);
      }
    });
  }

  for (const kind of ["crash-before", "crash-after"] as const) {
    it(`have their links back by the next process if one dies ${kind.slice(6)} a step`, async () => {
      for (let at = 1; ; at++) {
        await start("eth9.10");
        lab.world.links.remove(lab.world.links.require("eth9.10"));
        const crashed = lab.driver.faults.arm({ kind, at, errno: "EIO" });
        const outcome = await Promise.race([lab.driver.reconciler.run().catch(explain), crashed.then(() => "crashed")]);
        void lab.driver.reconciler.stop();
        const next = openDriver(lab.world, lab.driver.store);
        await next.reconciler.restore();
        lab.driver = next;
        expect(areBack(), `step ${at}`).to.equal(true);
        await expectAgreement(lab.driver, hostOnLans());
        if (outcome !== "crashed") return;
        await stopDriver(lab.driver);
      }
    });
  }
});
