/** What happens to the short way while something else is under way. */
import { expect } from "chai";
import { DirectFixture, neighbor } from "../../../support/direct-fixture.ts";
import { until } from "../../../support/poll.ts";

const soonMs = 2_000;
const unanswered = "answers what comes";

describe("the short way, meanwhile", () => {
  let fixture: DirectFixture;
  const begin = (options: Readonly<Record<string, string>> = {}): DirectFixture => {
    fixture = new DirectFixture(options);
    return fixture;
  };
  afterEach(() => fixture.direct.stop());

  const isSaid = (what: string, since = 0): Promise<unknown> =>
    until(`said: ${what}`, soonMs, () => fixture.said.slice(since).some((line) => line.includes(what)));

  /** A probe that has been answered, and has not said so yet. */
  async function probing() {
    const probed = Promise.withResolvers<void>();
    fixture.probed = probed.promise;
    fixture.add(7);
    fixture.direct.schedule(fixture.network.id);
    await until("asked", soonMs, () => fixture.triedBy.length === 1);
    fixture.answering.clear();
    return probed;
  }

  it("is not proven by an answer that came by another way", async () => {
    const { direct } = begin();
    const probed = await probing();
    fixture.ipv6 = "fe80::3";
    await direct.repair();
    probed.resolve();
    await isSaid(unanswered);
    expect(fixture.turnedOver).to.deep.equal([]);
    expect(fixture.said.join()).not.to.include("go without a tunnel");
  });

  it("is not proven by an answer of a host that went, and came back", async () => {
    const { direct, network, remotes, routes } = begin();
    const probed = await probing();
    remotes.clear();
    direct.schedule(network.id, ["m7"]);
    await until("gone", soonMs, () => routes.size === 0);
    fixture.add(7);
    fixture.answering.clear();
    direct.schedule(network.id, ["m7"]);
    await until("back", soonMs, () => routes.size === 1);
    probed.resolve();
    await isSaid(unanswered);
    expect(fixture.said.join()).not.to.include("go without a tunnel");
  });

  it("is tried by the routes of the way that is known", async () => {
    const { direct, network, remotes, paths, triedBy } = begin();
    remotes.set("m7", { mac: "m7", ips: ["fd00:5::7"], vtep: "192.168.77.2" });
    paths.set("192.168.77.2", neighbor);
    // while the first routes are put; what has to be changed then, is changed in a later turn
    fixture.onApply = () => {
      fixture.onApply = () => {};
      fixture.ipv6 = "fe80::3";
      void direct.repair(new Set());
    };
    direct.schedule(network.id);
    await isSaid(unanswered);
    expect(new Set(triedBy)).to.deep.equal(new Set(["fe80::3"]));
  });

  it("of a network that goes meanwhile is not complained of", async () => {
    const { direct, network } = begin();
    fixture.add(7);
    fixture.failures = 1;
    direct.schedule(network.id);
    await isSaid("could not be brought up to date");
    const said = fixture.said.length;
    const failed = Promise.withResolvers<void>();
    fixture.add(8);
    fixture.onApply = ({ op }) => {
      if (op !== "put-direct-routes" && op !== "in-namespace") return;
      fixture.isActive = false;
      failed.resolve();
      throw new Error("ENOENT");
    };
    direct.schedule(network.id, ["m8"]);
    await failed.promise;
    await direct.forget(network.id);
    expect(fixture.said.slice(said).filter((line) => line.startsWith("error"))).to.deep.equal([]);
  });

  it("of many endpoints is removed in parts: requests are not to wait for all", async () => {
    const { direct, network, remotes, routes } = begin({ "tsnet.datapath": "direct" });
    for (let n = 0; n < 500; n++) {
      remotes.set(`r${n}`, { mac: `r${n}`, ips: [`10.6.${n >> 8}.${n & 255}`], vtep: "192.168.77.2" });
    }
    fixture.paths.set("192.168.77.2", neighbor);
    direct.schedule(network.id);
    await until("all are there", soonMs, () => fixture.turnedOver.length === 500);
    await direct.repair();
    const parts: number[] = [];
    fixture.onApply = (op) => {
      if (op.op === "remove-direct-routes") parts.push(op.destinations.length);
    };
    await direct.forget(network.id);
    expect(parts).to.deep.equal([200, 200, 100]);
    expect(routes.size).to.equal(0);
  });
});
