import { expect } from "chai";
import { DirectFixture, neighbor } from "../../../support/direct-fixture.ts";
import { until } from "../../../support/poll.ts";
import { endpointOf } from "../../../support/values.ts";

const soonMs = 2_000;

describe("the short way to endpoints of other hosts", () => {
  let fixture: DirectFixture;
  const begin = (options: Readonly<Record<string, string>> = {}): DirectFixture => {
    fixture = new DirectFixture(options);
    return fixture;
  };
  afterEach(() => fixture.direct.stop());

  const isTurnedOver = (...keys: string[]): Promise<unknown> => fixture.isTurnedOver(...keys);

  it("follows endpoints that come, move and go", async () => {
    const { remotes, direct, network, routes } = begin();
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    fixture.add(8);
    direct.schedule(network.id, ["m8"]);
    await isTurnedOver("m7 . 10.5.0.7", "m8 . 10.5.0.8");
    fixture.add(7, "192.168.77.3");
    direct.schedule(network.id, ["m7"]);
    await until("moved", soonMs, () => routes.get("10.5.0.7") === "192.168.77.3");
    remotes.delete("m8");
    direct.schedule(network.id, ["m8"]);
    await isTurnedOver("m7 . 10.5.0.7");
    await direct.forget(network.id);
    expect(routes.size).to.equal(0);
    expect(fixture.accepted).to.deep.equal([]);
    expect(fixture.kept).to.deep.equal([[]]);
  });

  it("is for all but the one whose route cannot be put, until it can", async () => {
    const { direct, network, refused } = begin({ "tsnet.datapath": "direct" });
    for (const n of [7, 8, 9]) fixture.add(n);
    refused.add("10.5.0.8");
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7", "m9 . 10.5.0.9");
    await until("said", soonMs, () => fixture.said.some((line) => line.includes("no such route")));
    refused.clear();
    await direct.repair();
    expect(fixture.turnedOver).to.have.length(3);
  });

  it("stays for an address that has another endpoint now, whichever of the two is told first", async () => {
    const { remotes, routes, direct, network } = begin({ "tsnet.datapath": "direct" });
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    remotes.set("m8", { mac: "m8", ips: ["10.5.0.7"], vtep: "192.168.77.2" });
    direct.schedule(network.id, ["m8"]);
    await isTurnedOver("m7 . 10.5.0.7", "m8 . 10.5.0.7");
    remotes.delete("m7");
    direct.schedule(network.id, ["m7"]);
    await isTurnedOver("m8 . 10.5.0.7");
    expect([...routes.keys()]).to.deep.equal(["10.5.0.7"]);
    fixture.add(7);
    remotes.delete("m8");
    direct.schedule(network.id, ["m8"]);
    await isTurnedOver();
    expect([...routes.keys()]).to.deep.equal([]);
  });

  it("is not that to an endpoint with the gateway's address", async () => {
    const { direct, network } = begin({ "tsnet.datapath": "direct" });
    fixture.add(1);
    fixture.add(7);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    fixture.remotes.set("m9", { mac: "m9", ips: ["10.5.0.1"], vtep: "192.168.77.2" });
    fixture.add(8);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7", "m8 . 10.5.0.8");
  });

  it("asks for no other endpoints than those that are told, and for many in turns", async () => {
    const { remotes, direct, network } = begin({ "tsnet.datapath": "direct" });
    for (let n = 0; n < 1_000; n++) {
      remotes.set(`m${n + 10}`, { mac: `m${n + 10}`, ips: [`10.6.${n >> 8}.${n & 255}`], vtep: "192.168.77.2" });
    }
    fixture.paths.set("192.168.77.2", neighbor);
    direct.schedule(network.id);
    await until("all are there", soonMs, () => fixture.turnedOver.length === 1_000);
    expect(fixture.mostAsked).to.be.at.most(200);
    fixture.mostAsked = 0;
    fixture.own = [...fixture.own, endpointOf({ addresses: ["10.5.0.2/24"], mac: "m2" })];
    direct.schedule(network.id, ["m2"]);
    await until("the own one is there", soonMs, () => fixture.elements.has("10.5.0.2"));
    fixture.add(7);
    direct.schedule(network.id, ["m7"]);
    await until("the one is there", soonMs, () => fixture.turnedOver.length === 1_001);
    expect(fixture.mostAsked).to.equal(1);
  });

  it("is told again where the namespace is made anew, but for those that are gone", async () => {
    const { elements, remotes, routes, direct, network } = begin({ "tsnet.datapath": "direct" });
    for (const n of [7, 8]) fixture.add(n);
    direct.schedule(network.id);
    await isTurnedOver("m7 . 10.5.0.7", "m8 . 10.5.0.8");
    elements.clear();
    remotes.delete("m8");
    direct.renew(network.id);
    await isTurnedOver("m7 . 10.5.0.7");
    expect(elements).to.include("10.5.0.1");
    await until("the other route is gone", soonMs, () => !routes.has("10.5.0.8"));
    expect([...routes.keys()]).to.deep.equal(["10.5.0.7"]);
  });

  it("takes back what an attempt has left that failed", async () => {
    const { remotes, direct, network, routes } = begin();
    fixture.add(7);
    fixture.failures = 1;
    direct.schedule(network.id);
    await until("failed", soonMs, () => fixture.said.some((line) => line.startsWith("error")));
    expect(routes.size).to.equal(0);
    routes.set("10.5.0.7", "192.168.77.2"); // it may have been done all the same
    remotes.clear();
    await direct.repair();
    expect(routes.size).to.equal(0);
  });
});
