import { expect } from "chai";
import { DirectFixture, local, neighbor } from "../../../support/direct-fixture.ts";
import { until } from "../../../support/poll.ts";
import { endpointOf } from "../../../support/values.ts";

const soonMs = 2_000;
/** What is complete: tables and routes. */
const [no, all] = [
  [false, false],
  [true, true],
];

describe("the short way to other hosts", () => {
  let fixture: DirectFixture;
  const begin = (options: Readonly<Record<string, string>> = {}): DirectFixture => {
    fixture = new DirectFixture(options);
    return fixture;
  };
  afterEach(() => fixture.direct.stop());

  const isTurnedOver = (...keys: string[]): Promise<unknown> => fixture.isTurnedOver(...keys);

  it("is taken when an endpoint of the host has answered by it", async () => {
    const { answering, direct, network, routes } = begin();
    fixture.add(7);
    answering.clear();
    direct.schedule(network.id);
    await until("tried in vain", soonMs, () => fixture.said.some((line) => line.includes("answers what comes")));
    expect(fixture.turnedOver).to.deep.equal([]);
    expect([...routes]).to.deep.equal([["10.5.0.7", "192.168.77.2"]]);
    answering.add("10.5.0.7");
    await isTurnedOver("m7 . 10.5.0.7");
    expect(fixture.said.at(-1)).to.include("go without a tunnel");
    expect(fixture.accepted.map(([, key]) => key.split(" . ")[0])).to.deep.equal([network.bridge, "eth0"]);
  });

  it("is not tried before with tsnet.datapath=direct, which warns of hosts that are no neighbors", async () => {
    const { answering, paths, direct, network } = begin({ "tsnet.datapath": "direct" });
    fixture.add(7);
    fixture.add(8, "192.168.78.3");
    answering.clear();
    paths.set("192.168.78.3", { ...neighbor, gateway: "192.168.77.254" });
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    expect(fixture.said.filter((line) => line.startsWith("warn"))).to.have.length(1);
    expect(fixture.said.find((line) => line.startsWith("warn")))
      .to.include("192.168.78.3")
      .and.to.include("router");
  });

  it("is left when the way leads by a router, and taken again", async () => {
    const { paths, direct, network, routes } = begin();
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    paths.set("192.168.77.2", { ...neighbor, gateway: "192.168.77.254" });
    await direct.repair();
    expect(fixture.turnedOver).to.deep.equal([]);
    expect(routes.size).to.equal(0);
    paths.set("192.168.77.2", neighbor);
    await direct.repair();
    await isTurnedOver("m7 . 10.5.0.7");
  });

  it("is left when nobody answers any more, twice", async () => {
    const { answering, direct, network } = begin();
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    answering.clear();
    await direct.repair();
    await isTurnedOver();
  });

  it("lets in nobody's packets where no way is short, nor after the last one that was", async () => {
    const { paths, direct, network } = begin();
    const isLetIn = (by: string): boolean => fixture.accepted.some(([, key]) => key.startsWith(`${by} `));
    fixture.add(7, "192.168.78.2");
    paths.set("192.168.78.2", { ...neighbor, gateway: "192.168.77.254" });
    direct.schedule(network.id);
    await until("told why", soonMs, () => fixture.said.some((line) => line.includes("behind the router")));
    expect(fixture.accepted).to.deep.equal([]);
    fixture.add(8, "192.168.77.3");
    direct.schedule(network.id, ["m8"]);
    await isTurnedOver("m8 . 10.5.0.8");
    expect([network.bridge, "eth0"].map(isLetIn)).to.deep.equal([true, true]);
    fixture.remotes.delete("m8");
    direct.schedule(network.id, ["m8"]);
    await until("let in no more", soonMs, () => fixture.accepted.length === 0);
  });

  it("lets in what comes by the links of short ways, and by no other", async () => {
    const { direct, network } = begin();
    fixture.add(7);
    fixture.add(8, "192.168.78.3");
    fixture.paths.set("192.168.78.3", { ...neighbor, link: "wg0" });
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    expect(fixture.accepted.map(([, key]) => key.split(" . ")[0])).to.deep.equal([network.bridge, "eth0"]);
  });

  it("lets in what hosts send that take this one for a neighbor, also if this one sends to them by a router", async () => {
    const { direct, network, paths } = begin();
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    const before = fixture.accepted;
    paths.set("192.168.77.2", { ...neighbor, gateway: "192.168.77.254" });
    await direct.repair();
    expect(fixture.turnedOver).to.deep.equal([]);
    expect(fixture.accepted).to.deep.equal(before);
    fixture.addresses = ["192.168.77.1/32"];
    await direct.repair();
    expect(fixture.accepted).to.deep.equal([]);
  });

  it("is of IPv6 only by a link that has an address of it", async () => {
    const { direct, network, routes } = begin();
    fixture.remotes.set("m7", { mac: "m7", ips: ["10.5.0.7", "fd00:5::7"], vtep: "192.168.77.2" });
    fixture.paths.set("192.168.77.2", neighbor);
    for (const ip of ["10.5.0.7", "fd00:5::7"]) fixture.answering.add(ip);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7", "m7 . fd00:5::7");
    fixture.addresses = [`${local}/24`];
    await direct.repair();
    await isTurnedOver("m7 . 10.5.0.7");
    expect([...routes.keys()]).to.deep.equal(["10.5.0.7"]);
  });

  it("is another for all of a host's endpoints when that is noticed with another host's", async () => {
    const { paths, direct, network } = begin({ "tsnet.datapath": "direct" });
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    paths.set("192.168.77.2", { ...neighbor, gateway: "192.168.77.254" });
    fixture.add(8, "192.168.77.3");
    direct.schedule(network.id, ["m8"]);
    await isTurnedOver("m8 . 10.5.0.8");
  });

  it("is another when the host has another address of IPv6, as after a restart of it", async () => {
    const { direct, network, routes } = begin({ "tsnet.datapath": "direct" });
    fixture.add(7);
    fixture.remotes.set("m7", { mac: "m7", ips: ["fd00:5::7"], vtep: "192.168.77.2" });
    direct.schedule(network.id);
    await until("there", soonMs, () => routes.get("fd00:5::7") === "fe80::2");
    fixture.ipv6 = "fe80::3";
    direct.schedule(network.id, []);
    await until("another", soonMs, () => routes.get("fd00:5::7") === "fe80::3");
  });

  it("is tried again before it is taken to a host that had no endpoint meanwhile", async () => {
    const { direct, network, remotes, answering } = begin();
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    remotes.clear();
    direct.schedule(network.id, ["m7"]);
    await isTurnedOver();
    fixture.add(7);
    answering.clear();
    const said = fixture.said.length;
    direct.schedule(network.id, ["m7"]);
    await until("tried", soonMs, () => fixture.said.slice(said).some((line) => line.includes("answers what comes")));
    expect(fixture.turnedOver).to.deep.equal([]);
  });

  it("is said again of a host that comes back", async () => {
    const { remotes, direct, network } = begin();
    const times = (): number => fixture.said.filter((line) => line.includes("go without a tunnel")).length;
    for (const n of [1, 2]) {
      fixture.add(7);
      direct.schedule(network.id, ["m7"]);
      await until("said", soonMs, () => times() === n);
      remotes.clear();
      direct.schedule(network.id, ["m7"]);
      await direct.repair();
    }
  });

  it("removes nothing of an earlier process before the control plane has told all and the ways were tried", async () => {
    const { direct } = begin();
    fixture.isTold = false;
    fixture.isComplete = false;
    fixture.add(7);
    await direct.repair();
    expect(fixture.routes.size).to.equal(0);
    fixture.isTold = true;
    fixture.isComplete = true;
    const probed = Promise.withResolvers<void>();
    fixture.probed = probed.promise;
    await direct.repair();
    probed.resolve();
    await isTurnedOver("m7 . 10.5.0.7");
    await direct.repair();
    expect(fixture.repairs).to.deep.equal([no, no, all]);
  });

  it("is not waited for where no endpoint of this host could send anything", async () => {
    const { direct } = begin();
    fixture.own = [endpointOf({ addresses: ["10.5.0.1/24"], mac: "m1" })];
    fixture.remotes.set("m7", { mac: "m7", ips: ["10.5.0.7", "fd00:5::7"], vtep: "192.168.77.2" });
    fixture.paths.set("192.168.77.2", neighbor);
    fixture.answering.add("10.5.0.7");
    await direct.repair();
    await isTurnedOver("m7 . 10.5.0.7");
    await direct.repair();
    expect(fixture.repairs.at(-1)).to.deep.equal(all);
  });
});
