/** A change of virtual IPs that the kernel refuses is tried again. */
import { mock } from "node:test";
import { expect } from "chai";
import { network, ServiceHost, service, vip } from "../../../support/service-host.ts";

describe("virtual IPs of services that could not be brought up to date", () => {
  let host: ServiceHost;
  beforeEach(async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    host = await ServiceHost.start();
    await host.tell(service("web", vip, 10));
  });
  afterEach(async () => {
    await host.services.stop();
    mock.timers.reset();
  });

  /** From now on, the kernel refuses each change. */
  const refuse = (errno = "EIO"): unknown => void host.faults.arm({ kind: "from", at: 1, errno });
  /** How often a change was tried, in this time. */
  const triesIn = async (ms: number): Promise<number> => {
    const before = host.faults.steps.length;
    mock.timers.tick(ms);
    await host.services.idle();
    return host.faults.steps.length - before;
  };
  const said = (): string[] => host.log.lines.map((line) => line.split(":")[0] ?? "");

  it("are tried again by themselves, after 0.5 s, and then less and less often, down to each 10 s", async () => {
    refuse();
    await host.tell(service("web", vip, 11));
    for (const ms of [500, 1000, 2000, 4000, 8000, 10_000, 10_000]) {
      expect(await triesIn(ms - 1), `${ms - 1} ms`).to.equal(0);
      expect(await triesIn(1), `${ms} ms`).to.equal(1);
    }
    expect(host.slots).to.deep.equal(["10.5.0.10"]);
    host.faults.disarm();
    await triesIn(10_000);
    expect(host.slots).to.deep.equal(["10.5.0.11"]);
    expect(await triesIn(60_000)).to.equal(0);
  });

  it("begin with 0.5 s again after a success", async () => {
    refuse();
    await host.tell(service("web", vip, 11));
    await triesIn(500);
    await triesIn(1000);
    host.faults.disarm();
    await host.tell(service("web", vip, 12));
    expect(host.slots).to.deep.equal(["10.5.0.12"]);
    refuse();
    await host.tell(service("web", vip, 11));
    expect(await triesIn(500)).to.equal(1);
  });

  it("are said once, once more with another reason, and once when it is over", async () => {
    refuse();
    host.services.renew(network.id);
    await host.tell(service("web", vip, 11));
    for (const ms of [500, 1000]) await triesIn(ms);
    await host.services.repair();
    await host.update();
    expect(said()).to.deep.equal(["error"]);
    refuse("EBUSY");
    await host.update();
    expect(said()).to.deep.equal(["error", "error"]);
    expect(host.log.lines[1]).to.contain("EBUSY").and.contain("it is tried again");
    host.faults.disarm();
    await host.update();
    await host.update();
    expect(said()).to.deep.equal(["error", "error", "info"]);
  });

  it("are not said when the namespace is just gone, and are when something in it stays away", async () => {
    refuse("ENOENT");
    await host.tell(service("web", vip, 11));
    expect(said()).to.deep.equal([]);
    await triesIn(500);
    expect(said()).to.deep.equal(["error"]);
  });

  it("are not tried again when their network is forgotten, or the process ends", async () => {
    for (const end of [() => host.services.forget(network.id), () => host.services.stop()]) {
      refuse();
      await host.tell(service("web", vip, 11));
      await end();
      await host.services.idle();
      expect(await triesIn(60_000)).to.equal(0);
    }
  });
});
