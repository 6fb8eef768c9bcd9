import { mock } from "node:test";
import { expect } from "chai";
import { AwaitedHosts } from "../../../../src/driver/overlay/etcd-awaited.ts";

const graceMs = 30_000;

describe("a host that puts back what etcd has lost", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
  afterEach(() => mock.timers.reset());

  function awaited() {
    const over: string[] = [];
    const hosts = new AwaitedHosts({ graceMs, onOver: (host) => over.push(host) });
    hosts.add("h1", 0, false);
    for (const ip of ["10.1.0.2", "10.1.0.3"]) hosts.keeps(`place/5/${ip}`, "h1", true);
    return { hosts, over };
  }

  it("has its time since it has said that it is there, however often it says so", () => {
    const { hosts, over } = awaited();
    mock.timers.tick(2 * graceMs);
    hosts.announced("h1");
    mock.timers.tick(graceMs - 1);
    hosts.announced("h1");
    expect(over).to.deep.equal([]);
    mock.timers.tick(1);
    expect(over).to.deep.equal(["h1"]);
  });

  it("has it anew with each thing that it has put back", () => {
    const { hosts, over } = awaited();
    hosts.announced("h1");
    mock.timers.tick(graceMs - 1);
    hosts.told("place/5/10.1.0.2");
    hosts.told("place/5/10.1.0.9"); // was not kept
    mock.timers.tick(graceMs - 1);
    hosts.told("place/5/10.1.0.9");
    expect(over).to.deep.equal([]);
    mock.timers.tick(1);
    expect(over).to.deep.equal(["h1"]);
    expect([...hosts.take("h1")]).to.deep.equal(["place/5/10.1.0.3"]);
  });
});
