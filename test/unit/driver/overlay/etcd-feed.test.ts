import { expect } from "chai";
import { overlayEndpoint, overlayNetwork, PlaneHost } from "../../../support/plane-host.ts";
import { soon, usePlaneHosts } from "../../../support/plane-hosts.ts";
import { Wire } from "../../../support/shared-host.ts";
import { mostMs, turnsOf } from "../../../support/stall.ts";

const many = 10_000;
const macOf = (n: number): string =>
  `02:42:${[24, 16, 8, 0].map((bits) => ((n >> bits) & 255).toString(16).padStart(2, "0")).join(":")}`;

describe("what a host hears from etcd", () => {
  const { open, store } = usePlaneHosts();

  /** Places of 200 hosts in 20 networks. */
  async function fill(): Promise<void> {
    for (let n = 0; n < 200; n++) {
      const value = { host: `far${n}`, name: `far-${n}`, seenMs: 0 };
      await store().commit([{ put: "vtep", id: `198.51.100.${n}`, value }]);
    }
    for (let n = 0; n < many; n++) {
      const ip = n % 4 === 0 ? `10.1.${n >> 8}.${n & 255}` : `fd00::${n.toString(16)}`;
      const vni = 1 + (n % 20);
      const value = { host: `far${n % 200}`, endpoint: `e${n}`, mac: macOf(n) };
      await store().commit([{ put: "place", id: `${vni}/${ip}`, value }]);
    }
  }

  it("of many places comes in turns, and is complete when all is told", async () => {
    await fill();
    const host = new PlaneHost("h1", new Wire(store()));
    expect(host.plane.isComplete()).to.equal(false);
    host.records.away = "etcd is away";
    host.start();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(host.plane.isComplete()).to.equal(false);
    const { meanMs } = await turnsOf(async () => {
      await host.records.comeBack();
      await soon("it knows", () => host.plane.isComplete());
    });
    expect(meanMs).to.be.below(mostMs);
    expect([...host.told.values()].reduce((sum, { size }) => sum + size, 0)).to.equal(many);
    expect(host.plane.hostsOf(1)).to.have.length(10);
    expect([...host.plane.remotes(1)]).to.have.length(many / 20);
    await host.plane.close();
  });

  it("is told in its order, also what comes while a reset is worked on", async () => {
    await fill();
    const host = await open("h1");
    host.records.away = "etcd is away";
    await host.records.comeBack(); // a reset of all, which takes many turns
    const last = many - 20;
    const gone = { vni: 1, ip: `10.1.${last >> 8}.${last & 255}`, mac: macOf(last) };
    await store().commit([{ remove: "place", id: `${gone.vni}/${gone.ip}` }]);
    await store().commit([
      { put: "place", id: "1/10.9.0.1", value: { host: "far1", endpoint: "new", mac: macOf(99_999) } },
    ]);
    await soon("all of it is told", () => host.resets === 2);
    await soon("the last is told", () => host.told.get(1)?.has(macOf(99_999)) ?? false);
    expect(host.told.get(1)?.has(gone.mac)).to.equal(false);
    expect(host.plane.remote(1, gone.mac)).to.equal(undefined);
  });

  it("with a MAC address in capitals is an endpoint like others", async () => {
    const host = await open("h1");
    await store().commit([
      { put: "vtep", id: "192.0.2.9", value: { host: "h9", name: "h9", seenMs: 0 } },
      { put: "place", id: "5/10.1.0.9", value: { host: "h9", endpoint: "e", mac: "02:42:0A:01:00:09" } },
    ]);
    await soon("it is told", () => host.plane.remote(5, "02:42:0a:01:00:09") !== undefined);
  });

  it("of another way to a host is told for the networks that the host has", async () => {
    const host = await open("h1");
    const record = { host: "h9", name: "h9", seenMs: 0, ipv6: "fe80::1" };
    await store().commit([
      { put: "vtep", id: "192.0.2.9", value: record },
      { put: "place", id: "5/10.1.0.9", value: { host: "h9", endpoint: "e", mac: macOf(9) } },
    ]);
    await soon("it is told", () => host.plane.remote(5, macOf(9)) !== undefined);
    const told: (number | null)[] = [];
    host.onHosts = (vni) => told.push(vni);
    await store().commit([{ put: "vtep", id: "192.0.2.9", value: { ...record, seenMs: 1 } }]);
    await store().commit([{ put: "vtep", id: "192.0.2.9", value: { ...record, seenMs: 2, ipv6: "fe80::2" } }]);
    await soon("the other is known", () => host.plane.ipv6Of("192.0.2.9") === "fe80::2");
    expect(told).to.deep.equal([5]);
  });

  it("and cannot be understood is left out, with what to do about it", async () => {
    const [one, two] = [await open("h1"), await open("h2")];
    const { vni } = await one.create(overlayNetwork("n1"));
    const bad = [
      { put: "place", id: `${vni}/10.1.0.9`, value: { host: "h1", endpoint: "e", mac: "ff:ff:ff:ff:ff:ff" } },
      { put: "place", id: `${vni}/10.1.0.09`, value: { host: "h1", endpoint: "e", mac: macOf(1) } },
      { put: "place", id: `${vni}/1.2.3`, value: { host: "h1", endpoint: "e", mac: macOf(1) } },
      { put: "place", id: `${vni}/fd00:0::9`, value: { host: "h1", endpoint: "e", mac: macOf(1) } },
      { put: "place", id: "nonsense", value: { host: "h1", endpoint: "e", mac: macOf(1) } },
      { put: "vtep", id: "nowhere", value: { host: "h9", name: "h9", seenMs: 0 } },
      { put: "vtep", id: "192.0.2.9", value: { name: 9 } },
      { put: "vtep", id: "192.0.2.10", value: { host: "h9", name: "h9", seenMs: 0, ipv6: "192.0.2.10" } },
      { put: "vtep", id: "fd00::0009", value: { host: "h9", name: "h9", seenMs: 0 } },
      { put: "overlay", id: "5", value: { subnets: ["10.1.0.0"], hosts: {} } },
    ] as const;
    await store().commit(bad);
    await one.connect("n1", overlayEndpoint("e1", "n1", "10.1.0.2/24"));
    await soon("h2 knows of the good one", () => two.view(vni).length === 1);
    const said = two.log.lines.filter((line) => line.startsWith("error: a record in etcd is left out"));
    expect(said).to.have.length(bad.length);
    expect(said.join("\n")).to.contain(
      `record place/${vni}/10.1.0.9 in etcd cannot be understood: mac: expected a unicast MAC`,
    );
    expect(said.join("\n")).to.contain("remove it: etcdctl del TSNET_ETCD_PREFIXvtep/nowhere");
    // once, and networks go on being made
    await two.records.comeBack();
    await two.create(overlayNetwork("n2", ["10.7.0.0/24"]));
    await soon("all of it is told again", () => two.resets === 2);
    expect(two.log.lines.filter((line) => line.includes("is left out"))).to.have.length(bad.length);
    const other = overlayNetwork("n3", ["10.8.0.0/24"], 5);
    const refused = await two.create(other).catch((error: Error) => error.message);
    expect(refused).to.match(
      /^record overlay\/5 in etcd cannot be understood: .* etcdctl del TSNET_ETCD_PREFIXoverlay\/5$/,
    );
  });
});
