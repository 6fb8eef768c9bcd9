import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import { overlayEndpoint, overlayNetwork, type PlaneHost } from "../../../support/plane-host.ts";
import { soon, usePlaneHosts } from "../../../support/plane-hosts.ts";
import type { Wire } from "../../../support/shared-host.ts";

const graceMs = 60;
/** Long enough for much more than the grace, and many comparisons. */
const longMs = 3 * graceMs;
const beatMs = 10;

describe("what etcd has lost of a host", () => {
  const { open, records, loseAll, store } = usePlaneHosts();
  const clock = { now: Date.parse("2026-01-01T00:00:00Z") };

  /** h1 has an endpoint, and h2 knows it. */
  async function pair(timing = {}) {
    const [one, two] = [
      await open("h1", { clock, timing: { graceMs } }),
      await open("h2", { clock, hostTtlMs: 60_000, timing: { graceMs, ...timing } }),
    ];
    const { vni } = await one.create(overlayNetwork("n1"));
    await two.create(overlayNetwork("n2"));
    await one.connect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24"));
    await soon("h2 knows", () => two.view(vni).length === 1);
    await soon("h2 remembers", async () => (await two.disk.list("vtep")).size === 1);
    return { one, two, vni };
  }

  /** A process of tsnet on the host that hears of etcd for the first time. @param hasLost whether that is not what it was */
  async function restart(host: PlaneHost<Wire>, hasLost: boolean): Promise<void> {
    await host.records.comeBack(hasLost); // which nobody hears
    await host.restart();
    await soon("it is told", () => host.plane.list.hosts().hosts.length > 0);
  }

  /** Etcd has the host's sign of life, and nothing else of it. */
  const announce = (seenMs: number): Promise<void> =>
    store().commit([{ put: "vtep", id: "192.0.2.1", value: { host: "h1", name: "name-of-h1", seenMs } }]);

  const warned = (host: PlaneHost): string => host.log.lines.filter((line) => line.startsWith("warn")).join("\n");

  it("stays as long as the host does not say that it is there, and for a while then", async () => {
    const { one, two, vni } = await pair();
    await one.plane.close();
    await loseAll();
    await soon("it is said", () => warned(two).includes('"hosts":["name-of-h1 (h1)"]'));
    await pause(longMs);
    expect(two.view(vni)).to.deep.equal(["10.1.0.2 at 192.0.2.1"]);
    expect(two.plane.hostsOf(vni)).to.deep.equal(["192.0.2.1"]);
    await announce(1);
    await soon("the grace is over", () => two.view(vni).length === 0);
    expect(two.plane.isComplete()).to.equal(true);
  });

  it("goes when the host is removed by hand, though etcd does not know it", async () => {
    const { one, two, vni } = await pair();
    await one.plane.close();
    await loseAll();
    await soon("it is said", () => warned(two).includes("etcd has lost something"));
    await two.plane.list.remove("h1", true);
    await soon("it is gone", () => two.view(vni).length === 0 && two.plane.list.hosts().hosts.length === 1);
    await soon("it is forgotten", async () => (await two.disk.list("vtep")).size === 0);
  });

  it("goes on all hosts when the host is removed by hand on one, though etcd does not know it", async () => {
    const { one, two, vni } = await pair();
    const three = await open("h3", { clock, timing: { graceMs: 3_600_000 } });
    await soon("h3 knows", () => three.view(vni).length === 1);
    await one.plane.close();
    await loseAll();
    for (const host of [two, three]) await soon("it is said", () => warned(host).includes("etcd has lost something"));
    expect(three.view(vni)).to.have.length(1);
    await two.plane.list.remove("h1", true);
    await soon("it is gone", () => three.view(vni).length === 0);
    expect(Object.keys(await records("vtep"))).to.not.include("192.0.2.1");
  });

  it("goes when the host had said that it is there before this one was told", async () => {
    const { one, two, vni } = await pair();
    Object.assign(one.own.get("n1") ?? {}, { endpoints: [] }); // nobody hears of it
    clock.now += 1000;
    await loseAll(undefined, [one]);
    await soon("it is there", async () => Object.keys(await records("vtep")).join() === "192.0.2.1");
    expect(two.view(vni)).to.have.length(1);
    await two.records.comeBack(true);
    await soon("it is gone", () => two.view(vni).length === 0);
  });

  it("goes when the host was silent for its TTL", async () => {
    const { one, two, vni } = await pair({ beatMs });
    await one.plane.close();
    await loseAll();
    await pause(longMs);
    expect(two.view(vni)).to.have.length(1);
    clock.now += 90_000_000; // h1 wants to be forgotten after a day
    await soon("it is gone", () => two.view(vni).length === 0);
    expect(warned(two)).to.contain("a host was silent for longer than TSNET_HOST_TTL");
  });

  it("goes when the host was silent for its TTL since then, however long this one was stopped", async () => {
    const { one, two } = await pair({ beatMs });
    await two.plane.close();
    await one.plane.close();
    await loseAll();
    clock.now += 900_000_000;
    await restart(two, true);
    clock.now += 3_600_000; // longer than h2 would wait by itself
    await pause(longMs);
    expect(two.plane.isComplete()).to.equal(false);
    clock.now += 90_000_000;
    await soon("it is gone", () => two.plane.isComplete());
  });

  it("is put back at once, though the records of networks cannot be: all hosts write them", async () => {
    const { one, vni } = await pair();
    one.records.turns = () => 1;
    const commitIf = one.records.commitIf.bind(one.records);
    one.records.commitIf = async (changes, conditions) =>
      !changes.some((change) => "put" in change && change.put === "overlay") && commitIf(changes, conditions);
    await loseAll();
    await soon("it is back", async () => `${vni}/10.1.0.2` in (await records("place")));
    expect(JSON.stringify(await records("overlay"))).to.not.contain('"h1"');
  });

  it("does not make the host silent since long ago, though etcd was restored to what was then", async () => {
    const { one, two, vni } = await pair({ beatMs });
    await one.plane.close();
    two.records.away = "etcd is away";
    await announce(clock.now - 365 * 86_400_000);
    await two.records.comeBack(true);
    await soon("it is told", () => two.resets === 2);
    clock.now += 1000;
    await pause(longMs);
    expect(two.view(vni)).to.have.length(1);
  });

  it("is asked for: all say at once that they are there, though etcd seems to know them", async () => {
    const { one, two } = await pair();
    await soon("h1 knows", () => one.plane.list.hosts().hosts.length === 2);
    const told = new Set<string>();
    const { end } = store().follow("vtep", { reset: () => {}, change: (address) => told.add(address) });
    await loseAll(() => true);
    await soon("they have", () => told.size === 2);
    await end();
    expect([...one.goneMacs, ...two.goneMacs]).to.deep.equal([]);
  });

  it("while no process was there to hear it, is not known to be gone, until the host has put it back", async () => {
    const { one, two, vni } = await pair();
    await two.plane.close();
    one.records.deaf = new Promise(() => {}); // it does not know yet that it has to
    await loseAll();
    await restart(two, true);
    expect(two.view(vni)).to.deep.equal([]);
    await pause(longMs);
    expect(two.plane.isComplete()).to.equal(false);
    expect(warned(two)).to.contain('"hosts":["name-of-h1 (h1)"]');
    await restart(two, false); // it is known on the disk
    await pause(longMs);
    expect(two.plane.isComplete()).to.equal(false);
    await one.restart().then(() => (one.records.deaf = undefined));
    const { resets } = two;
    await soon("h1 has put it back", () => two.view(vni).length === 1);
    await soon("all is known", () => two.plane.isComplete());
    expect(two.resets).to.equal(resets + 1);
    expect(two.goneMacs).to.deep.equal([]);
    await restart(two, false);
    expect(two.plane.isComplete()).to.equal(true);
  });

  it("while no process was there, and the host is gone for good, is known to be gone when it is removed by hand", async () => {
    const { one, two } = await pair();
    await two.plane.close();
    await one.plane.close();
    await loseAll();
    await restart(two, true);
    expect(two.plane.isComplete()).to.equal(false);
    await two.plane.list.remove("name-of-h1", true);
    await soon("all is known", () => two.plane.isComplete());
  });

  it("is put back by hosts that move to another etcd one after the other", async () => {
    const { one, two, vni } = await pair();
    await two.connect("n2", overlayEndpoint("e2", "n", "10.1.0.3/24"));
    await soon("h1 remembers", async () => (await one.disk.list("vtep")).size === 1);
    await two.plane.close();
    await one.plane.close();
    clock.now += 1000;
    await loseAll();
    await restart(two, true);
    await soon("h2 is there", async () => Object.keys(await records("place")).length === 1);
    expect(two.plane.isComplete()).to.equal(false);
    await restart(one, true);
    await soon("h1 is there", async () => Object.keys(await records("place")).length === 2);
    await soon("h2 knows all", () => two.plane.isComplete() && two.view(vni).length === 1);
    await soon("h1 knows all", () => one.plane.isComplete() && one.view(vni).length === 1);
    expect([...one.goneMacs, ...two.goneMacs]).to.deep.equal([]);
  });

  it("is nothing after a restart where etcd is as it was: hosts that have left are forgotten", async () => {
    const { one, two } = await pair();
    await two.plane.close();
    await one.disconnect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24"));
    await one.remove(overlayNetwork("n1"));
    await soon("h1 has left", async () => Object.keys(await records("vtep")).join() === "192.0.2.2");
    await restart(two, false);
    expect(two.plane.isComplete()).to.equal(true);
    await soon("it is forgotten", async () => (await two.disk.list("vtep")).size === 0);
  });
});
