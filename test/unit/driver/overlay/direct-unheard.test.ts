/** The short way after etcd has lost something: it has told all that it has, and of some hosts nobody knows what they had. */
import { expect } from "chai";
import { DirectFixture, neighbor } from "../../../support/direct-fixture.ts";
import { until } from "../../../support/poll.ts";
import { endpointOf, idOf, overlayOf } from "../../../support/values.ts";

const soonMs = 2_000;
/** Is not heard of. */
const lost = "192.168.77.9";
const byRouter = "192.168.78.3";

describe("the short way while some hosts are not heard of", () => {
  let fixture: DirectFixture;
  const begin = (): DirectFixture => {
    fixture = new DirectFixture();
    fixture.isComplete = false;
    fixture.paths.set(byRouter, { ...neighbor, gateway: "192.168.77.254" });
    return fixture;
  };
  afterEach(() => fixture.direct.stop());

  const isTurnedOver = (...keys: string[]): Promise<unknown> =>
    until(`turned over: ${keys}`, soonMs, () => `${fixture.turnedOver}` === `${keys}`);
  /** Of an endpoint of a host to which no way is short. */
  const addFar = (n: number): void =>
    void fixture.remotes.set(`m${n}`, { mac: `m${n}`, ips: [`10.5.0.${n}`], vtep: byRouter });
  const isLeft = (...ips: string[]): Promise<unknown> =>
    until(`left: ${ips}`, soonMs, () => {
      const left = [...fixture.routes].flatMap(([ip, via]) => (via === lost ? [ip] : []));
      return `${left}` === `${ips}`;
    });

  it("is taken to those that are; what an earlier process has left leads astray no more where an endpoint has moved", async () => {
    const { direct, network, routes } = begin();
    for (const ip of ["10.5.0.7", "10.5.0.8", "10.5.0.1", "fd00:5::1", "10.5.0.99"]) routes.set(ip, lost);
    fixture.add(7);
    addFar(8);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    await isLeft("10.5.0.99");
    expect(routes.get("10.5.0.7")).to.equal("192.168.77.2");
  });

  it("leads astray no more where an endpoint is told of later, or made here", async () => {
    const { direct, network, routes, own } = begin();
    for (const ip of ["10.5.0.8", "10.5.0.2", "10.5.0.99"]) routes.set(ip, lost);
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    await isLeft("10.5.0.8", "10.5.0.2", "10.5.0.99");
    addFar(8);
    direct.schedule(network.id, ["m8"]);
    await isLeft("10.5.0.2", "10.5.0.99");
    fixture.own = [...own, endpointOf({ addresses: ["10.5.0.2/24"], mac: "m2" })];
    direct.schedule(network.id, ["m2"]);
    await isLeft("10.5.0.99");
  });

  it("is let in from those that are not as before, until all are", async () => {
    const { direct, network } = begin();
    const links = (): string[] => fixture.accepted.map(([, key]) => key.split(" . ")[0] ?? "");
    fixture.accepted = [["direct4", "eth9 . 10.5.0.0/24 . 10.5.0.0/24", ""]];
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    expect(links()).to.include.members(["eth9", "eth0", network.bridge]);
    await direct.repair();
    expect(fixture.repairs).to.deep.equal([[true, false]]);
    fixture.isComplete = true;
    await direct.repair();
    expect(links()).to.have.members([network.bridge, "eth0"]);
    expect(fixture.repairs.at(-1)).to.deep.equal([true, true]);
  });

  it("has no routes removed of a network that is not in the kernel", async () => {
    const { direct } = begin();
    fixture.isComplete = true;
    fixture.recorded = [overlayOf({ "tsnet.vni": "8" }, { id: idOf("d8") })];
    await direct.repair();
    fixture.recorded = [fixture.network];
    await direct.repair();
    expect(fixture.repairs).to.deep.equal([
      [true, false],
      [true, true],
    ]);
  });

  it("has no routes removed of a network that is not looked at yet, though all was told, when another is repaired", async () => {
    const { direct } = begin();
    fixture.isComplete = true;
    fixture.add(7);
    await direct.repair(new Set(["another"]));
    expect(fixture.repairs).to.deep.equal([[false, false]]);
  });

  it("is looked at with its own network alone while not all was told, of which no routes are removed anyway", async () => {
    const { direct } = begin();
    fixture.add(7);
    await direct.repair(new Set(["another"]));
    expect({ repairs: fixture.repairs, routes: [...fixture.routes] }).to.deep.equal({
      repairs: [[true, false]],
      routes: [],
    });
  });

  it("is looked for what an earlier process has left of a network that goes, until nothing can be", async () => {
    const { direct, network, kept } = begin();
    await direct.forget(network.id);
    expect(kept).to.have.length(1);
    fixture.isComplete = true;
    await direct.repair();
    await direct.forget(network.id);
    expect(kept).to.have.length(1);
  });
});
