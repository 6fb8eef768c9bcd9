import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import { overlayEndpoint, overlayNetwork, type PlaneHost } from "../../../support/plane-host.ts";
import { soon, usePlaneHosts } from "../../../support/plane-hosts.ts";

/** Long enough for many comparisons, which come some milliseconds after what they are for. */
const manyMs = 60;
const beatMs = 10;

describe("what etcd has of a host", () => {
  const { open, records, loseAll, store } = usePlaneHosts();
  const lines = (host: PlaneHost, level: string): string[] => host.log.lines.filter((line) => line.startsWith(level));

  async function pair() {
    const [one, two] = [await open("h1"), await open("h2")];
    const { vni } = await one.create(overlayNetwork("n1"));
    await two.create(overlayNetwork("n2"));
    await one.connect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24", "fd00::2/64"));
    await two.connect("n2", overlayEndpoint("e2", "n", "10.1.0.3/24"));
    await soon("they know", () => one.view(vni).length === 1 && two.view(vni).length === 2);
    return { one, two, vni };
  }

  it("is put back when etcd was made anew, and nobody is told meanwhile that something is gone", async () => {
    const { one, two, vni } = await pair();
    const before = { overlay: await records("overlay"), place: await records("place") };
    await loseAll();
    await soon("all is back", async () => Object.keys(await records("place")).length === 3);
    await soon(
      "networks, too",
      async () => JSON.stringify(await records("overlay")).length === JSON.stringify(before.overlay).length,
    );
    expect(await records("place")).to.deep.equal(before.place);
    expect(Object.keys(await records("vtep"))).to.have.members(["192.0.2.1", "192.0.2.2"]);
    expect([...one.goneMacs, ...two.goneMacs]).to.deep.equal([]);
    const said = "etcd did not know that this host has a network, and does again";
    await soon("it is said", () => lines(one, "warn").join().includes(said));
    await pause(2 * manyMs); // the grace is over
    expect([...one.goneMacs, ...two.goneMacs]).to.deep.equal([]);
    expect([one.view(vni), two.view(vni)].map(({ length }) => length)).to.deep.equal([1, 2]);
  });

  it("is not taken over as long as a host may put it back", async () => {
    const { one, two } = await pair();
    one.records.deaf = new Promise(() => {}); // it does not hear yet of what etcd has lost
    await loseAll();
    const taken = await two
      .connect("n2", overlayEndpoint("e3", "n", "10.1.0.2/24"))
      .catch((error: Error) => error.message);
    expect(taken).to.match(/^address 10\.1\.0\.2 .* on host .*h1.*, which etcd has lost, and its host puts back: /);
  });

  it("stays without what somebody has by now, with an error that names both", async () => {
    const { one, two, vni } = await pair();
    one.records.away = two.records.away = "etcd is away";
    await store().commit([
      { put: "place", id: `${vni}/10.1.0.2`, value: { host: "h2", endpoint: "e9", mac: "02:42:00:00:00:09" } },
    ]);
    two.own.get("n2")?.endpoints.push({ ...overlayEndpoint("e9", "n", "10.1.0.2/24"), mac: "02:42:00:00:00:09" });
    await two.records.comeBack();
    await one.records.comeBack();
    await soon("it is said", () => lines(one, "error").length > 0);
    const [error = ""] = lines(one, "error");
    expect(error).to.contain("an endpoint of this host cannot be reached from others");
    expect(error).to.match(
      /"endpoint":"e1".*address 10\.1\.0\.2 of VNI \d+ is that of endpoint e9 on host name-of-h2 \(h2\)/,
    );
    await one.connect("n1", overlayEndpoint("e4", "n", "10.1.0.4/24"));
    await pause(manyMs);
    expect(lines(one, "error")).to.have.length(1); // once, however often it is compared
    await two.disconnect("n2", overlayEndpoint("e9", "n", "10.1.0.2/24"));
    await one.connect("n1", overlayEndpoint("e5", "n", "10.1.0.5/24"));
    await soon("it is back", async () => JSON.stringify(await records("place")).includes('"endpoint":"e1"'));
  });

  it("loses what an earlier process has left", async () => {
    const { one, vni } = await pair();
    await one.plane.claim(
      one.own.get("n1")?.network ?? overlayNetwork("n1"),
      overlayEndpoint("e7", "n", "10.1.0.7/24"),
    );
    await one.restart();
    await soon("it is gone", async () => !(`${vni}/10.1.0.7` in (await records("place"))));
    expect(Object.keys(await records("place"))).to.have.length(3);
  });

  it("is not written by a host without overlay networks", async () => {
    const host = await open("h1", { timing: { beatMs } });
    await pause(manyMs);
    expect(host.records.commits).to.equal(0);
    const network = await host.create(overlayNetwork("n1"));
    await soon("it beats", () => host.records.commits > 4);
    await host.remove(network);
    await soon("it has left", async () => Object.keys(await records("vtep")).length === 0);
    const { commits } = host.records;
    await pause(manyMs);
    expect(host.records.commits).to.equal(commits);
    expect(lines(host, "error")).to.deep.equal([]);
  });

  it("goes when it was silent for longer than its TTL, and not before others had time to hear it", async () => {
    const clock = { now: Date.parse("2026-01-01T00:00:00Z") };
    const one = await open("h1", { clock, hostTtlMs: 1000, timing: { beatMs: 3_600_000 } });
    const two = await open("h2", { clock, hostTtlMs: 500, timing: { beatMs } });
    const { vni } = await one.create(overlayNetwork("n1"));
    await two.create(overlayNetwork("n2"));
    await one.connect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24"));
    await soon("h2 knows", () => two.view(vni).length === 1);
    clock.now += 999; // longer than h2 would wait by itself
    await pause(manyMs);
    expect(two.view(vni)).to.have.length(1);
    clock.now += 2;
    await soon("h1 is gone", () => two.goneMacs.length > 0);
    expect(lines(two, "warn").join()).to.contain(
      '"name":"name-of-h1","address":"192.0.2.1","seen":"2026-01-01T00:00:00.000Z"',
    );
    // it was not dead: it hears of it, and puts everything back
    await soon("h1 is back", () => two.view(vni).length === 1);
    await soon("the network is", async () => JSON.stringify(await records("overlay")).includes('"h1":"n1"'));
  });

  it("stays though the host's clock is wrong, as long as it gives signs of life", async () => {
    const clock = { now: Date.parse("2026-01-01T00:00:00Z") };
    const one = await open("h1", { clock: { now: 0 }, timing: { beatMs } });
    const { vni } = await one.create(overlayNetwork("n1"));
    await one.connect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24"));
    const two = await open("h2", { clock, hostTtlMs: 60_000, timing: { beatMs } });
    await two.create(overlayNetwork("n2"));
    await soon("h2 knows", () => two.view(vni).length === 1);
    for (let n = 0; n < 10; n++) {
      clock.now += beatMs / 2;
      await pause(beatMs);
    }
    expect(two.goneMacs).to.deep.equal([]);
  });

  it("follows a host that gets another address", async () => {
    const { one, two, vni } = await pair();
    one.address = "192.0.2.77";
    await one.connect("n1", overlayEndpoint("e4", "n", "10.1.0.4/24"));
    await soon(
      "h2 knows",
      () => two.view(vni).length === 3 && two.view(vni).every((line) => line.endsWith("at 192.0.2.77")),
    );
    expect(Object.keys(await records("vtep"))).to.have.members(["192.0.2.77", "192.0.2.2"]);
    expect(two.goneMacs).to.deep.equal([]);
  });

  it("is not another host's that says it has the same address: the second is refused, and nothing flaps", async () => {
    const { one } = await pair();
    const three = await open("h3", { address: one.address, timing: { beatMs } });
    const refused = await three.create(overlayNetwork("n3")).catch((error: Error) => error.message);
    expect(refused).to.match(
      /^the tunnel address 192\.0\.2\.1 of this host is that of host name-of-h1 \(h1\), too: set TSNET_ADVERTISE_ADDRESS/,
    );
    three.own.set("n3", { network: { ...overlayNetwork("n3"), vni: 7 }, endpoints: [] }); // as it was before
    const told: unknown[] = [];
    const { end } = store().follow("vtep", { reset: () => {}, change: (id, value) => told.push([id, value]) });
    await pause(manyMs);
    await end();
    expect(told).to.deep.equal([]);
    expect(lines(three, "error")).to.have.length(1);
  });

  it("is taken by a host that gets the address of one that was not heard of there for longer than hosts are silent", async () => {
    const clock = { now: Date.parse("2026-01-01T00:00:00Z") };
    const [one, two] = [await open("h1", { clock }), await open("h2", { clock })];
    const { vni } = await one.create(overlayNetwork("n1"));
    await two.create(overlayNetwork("n2"));
    await one.connect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24"));
    await two.connect("n2", overlayEndpoint("e2", "n", "10.1.0.3/24"));
    await soon("they know", () => one.view(vni).length === 1 && two.view(vni).length === 1);
    [one.address, two.address] = [two.address, one.address]; // by DHCP
    const refused = await one.connect("n1", overlayEndpoint("e4", "n", "10.1.0.4/24")).catch((error: Error) => error);
    expect(`${refused}`).to.contain("the tunnel address 192.0.2.2 of this host is that of host name-of-h2 (h2), too");
    clock.now += 600_001;
    await one.connect("n1", overlayEndpoint("e5", "n", "10.1.0.5/24"));
    await two.connect("n2", overlayEndpoint("e6", "n", "10.1.0.6/24"));
    await soon("h1 knows", () => `${one.view(vni)}` === "10.1.0.3 at 192.0.2.1,10.1.0.6 at 192.0.2.1");
    await soon("h2 knows", () => `${two.view(vni)}` === "10.1.0.2 at 192.0.2.2,10.1.0.5 at 192.0.2.2");
  });

  it("is of the family of the others' addresses: what is new is refused, and where it is is said", async () => {
    const { one, vni } = await pair();
    const three = await open("h3", { address: "fd00::3", timing: { beatMs } });
    const refused = await three.create(overlayNetwork("n3")).catch((error: Error) => error.message);
    expect(refused).to.match(
      /^the tunnel address fd00::3 .* such as 192\.0\.2\.1 of host name-of-h1 \(h1\): set TSNET_ADVERTISE_ADDRESS to/,
    );
    expect(Object.keys(await records("vtep"))).to.have.members(["192.0.2.1", "192.0.2.2"]);
    three.own.set("n3", { network: { ...overlayNetwork("n3"), vni }, endpoints: [] }); // as it was before
    await soon("it is known", async () => Object.keys(await records("vtep")).includes("fd00::3"));
    // with one of them there, the others may follow
    one.address = "fd00::1";
    await one.connect("n1", overlayEndpoint("e4", "n", "10.1.0.4/24"));
  });

  it("is not a network that others have another by: that is said once for each", async () => {
    const { one, vni } = await pair();
    const other = { ...overlayNetwork("n9", ["10.9.0.0/24"]), vni };
    const errors = () => lines(one, "error: a network of this host cannot be put back into etcd");
    for (const count of [1, 2]) {
      one.own.set("n9", { network: other, endpoints: [overlayEndpoint("e9", "n9", "10.9.0.2/24")] });
      await one.records.comeBack();
      await soon("it is said", () => errors().length === count);
      await one.connect("n1", overlayEndpoint(`e${count}1`, "n", `10.1.0.${count}1/24`));
      await pause(manyMs);
      expect(errors()).to.have.length(count);
      expect(Object.keys(await records("place"))).to.not.include(`${vni}/10.9.0.2`);
      one.own.delete("n9");
      await one.connect("n1", overlayEndpoint(`e${count}2`, "n", `10.1.0.${count}2/24`));
      await pause(manyMs);
    }
  });

  it("is not waited for by a process that ends", async () => {
    const host = await open("h1", { timing: { beatMs } });
    await host.create(overlayNetwork("n1"));
    const { commits } = host.records;
    await soon("it beats", () => host.records.commits > commits + 1);
    let asked = 0;
    host.records.turns = () => ++asked && 0;
    host.records.hanging = new Promise(() => {});
    await soon("it waits", () => asked > 0);
    await host.plane.close();
  });

  it("is left alone by a host that has a twin, which would do the same", async () => {
    const { one, two, vni } = await pair();
    one.hasTwin = true;
    const twin = await open("h1", { address: "192.0.2.99", hasTwin: true, timing: { beatMs } });
    const refused = await twin.create(overlayNetwork("n3")).catch((error: Error) => error.message);
    expect(refused).to.match(/^another host has this host's ID, h1: set TSNET_HOST_ID to another name on one of them/);
    await pause(manyMs);
    expect(two.view(vni)).to.have.length(2);
    expect(Object.keys(await records("vtep"))).to.have.members(["192.0.2.1", "192.0.2.2"]);
  });
});
