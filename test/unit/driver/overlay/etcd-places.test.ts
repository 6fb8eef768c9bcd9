import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import type { TsnetError } from "../../../../src/errors.ts";
import { overlayEndpoint, overlayNetwork } from "../../../support/plane-host.ts";
import { soon, usePlaneHosts } from "../../../support/plane-hosts.ts";

const errorOf = async (work: Promise<unknown>): Promise<TsnetError> =>
  work.then(
    () => expect.fail("it should have failed"),
    (error: TsnetError) => error,
  );

describe("addresses in etcd", () => {
  const { open, records } = usePlaneHosts();

  async function pair() {
    const [one, two] = [await open("h1"), await open("h2")];
    const { vni } = await one.create(overlayNetwork("n1"));
    await two.create(overlayNetwork("n2"));
    return { one, two, vni };
  }

  it("are told to the other hosts, with the tunnel address of the one that has them, until they are given back", async () => {
    const { one, two, vni } = await pair();
    const both = overlayEndpoint("e1", "n1", "10.1.0.2/24", "fd00::2/64");
    await one.connect("n1", both);
    await soon("h2 knows", () => two.view(vni).length === 2);
    expect(two.view(vni)).to.deep.equal(["10.1.0.2 at 192.0.2.1", "fd00::2 at 192.0.2.1"]);
    expect(two.plane.hostsOf(vni)).to.deep.equal(["192.0.2.1"]);
    expect(one.view(vni)).to.deep.equal([]);
    expect(one.plane.hostsOf(vni)).to.deep.equal([]);
    await one.disconnect("n1", both);
    await soon("h2 knows", () => two.view(vni).length === 0);
    expect(two.plane.hostsOf(vni)).to.deep.equal([]);
    expect(await records("place")).to.deep.equal({});
  });

  it("are refused to a second host, with the first, its endpoint and what to do", async () => {
    const { one, two } = await pair();
    await one.connect("n1", overlayEndpoint("e1".padEnd(20, "0"), "n1", "10.1.0.2/24"));
    await soon("h2 knows", () => two.plane.list.hosts().hosts.some(({ endpoints }) => endpoints > 0));
    const { code, message } = await errorOf(
      two.connect("n2", overlayEndpoint("e2", "n2", "10.1.0.9/24", "10.1.0.2/24")),
    );
    expect(code).to.equal("conflict");
    expect(message).to.match(
      /^address 10\.1\.0\.2 of VNI \d+ is that of endpoint e10000000000 on host name-of-h1 \(h1\): .*--ip-range.*--ipam-driver tsnet/,
    );
    expect(Object.values(await records("place"))).to.have.length(1);
  });

  it("are one host's though all want them at the same time", async () => {
    const all = await Promise.all(["h1", "h2", "h3", "h4"].map((id) => open(id)));
    for (const host of all) await host.create(overlayNetwork(`n-${host.id}`));
    for (const [n, host] of all.entries()) host.records.turns = () => n % 3;
    const tries = await Promise.allSettled(
      all.map((host) => host.connect(`n-${host.id}`, overlayEndpoint(`e-${host.id}`, host.id, "10.1.0.2/24"))),
    );
    expect(tries.filter(({ status }) => status === "fulfilled")).to.have.length(1);
    const owner = all.find((host) => [...host.own.values()][0]?.endpoints.length === 1);
    expect(Object.values(await records("place"))).to.deep.include.members([
      { host: owner?.id, endpoint: `e-${owner?.id}`, mac: overlayEndpoint("", `${owner?.id}`, "10.1.0.2/24").mac },
    ]);
  });

  it("are taken once, whatever becomes of the answers", async () => {
    const { one } = await pair();
    for (const [n, fault] of (["before", "after"] as const).entries()) {
      let left = 1;
      one.records.fault = () => (left-- > 0 ? fault : undefined);
      await one.connect("n1", overlayEndpoint(`e${n}`, "n1", `10.1.0.${n + 2}/24`));
    }
    expect(Object.keys(await records("place")).map((id) => id.split("/")[1])).to.deep.equal(["10.1.0.2", "10.1.0.3"]);
    await one.plane.claim(
      one.own.get("n1")?.network ?? overlayNetwork("n1"),
      overlayEndpoint("e0", "n1", "10.1.0.2/24"),
    );
  });

  it("are left by an endpoint of the same host that is gone", async () => {
    const { one, vni } = await pair();
    await one.connect("n1", overlayEndpoint("e1", "n1", "10.1.0.2/24"));
    await one.connect("n1", overlayEndpoint("e2", "n1", "10.1.0.2/24"));
    await one.disconnect("n1", overlayEndpoint("e1", "n1", "10.1.0.2/24"));
    expect(await records("place")).to.deep.equal({
      [`${vni}/10.1.0.2`]: { host: "h1", endpoint: "e2", mac: overlayEndpoint("e2", "n1", "10.1.0.2/24").mac },
    });
  });

  it("cannot be taken without etcd: within the time of a request, with what to do", async () => {
    const { one } = await pair();
    one.records.away = "etcd cannot be reached: see whether it runs";
    const { code, message } = await errorOf(one.connect("n1", overlayEndpoint("e1", "n1", "10.1.0.2/24")));
    expect(code).to.equal("store");
    expect(message).to.match(
      /^etcd at .* did not do it within 0.3 s: etcd cannot be reached: see whether it runs; overlay/,
    );
    await one.records.comeBack();
    expect(await records("place")).to.deep.equal({});
  });

  it("are given back later if etcd does not answer, and nobody waits for it", async () => {
    const { one, two, vni } = await pair();
    const endpoint = overlayEndpoint("e1", "n1", "10.1.0.2/24");
    await one.connect("n1", endpoint);
    await soon("h2 knows", () => two.view(vni).length === 1);
    const hanging = Promise.withResolvers<void>();
    one.records.hanging = hanging.promise;
    await one.disconnect("n1", endpoint); // would never end
    expect(Object.keys(await records("place"))).to.have.length(1);
    one.records.hanging = undefined;
    one.records.away = "etcd is away";
    hanging.resolve();
    await one.remove(overlayNetwork("n1"));
    await one.records.comeBack();
    await soon("it is given back", async () => Object.keys(await records("place")).length === 0);
    await soon("h2 knows", () => two.view(vni).length === 0);
    await soon("the network is h2's alone", async () =>
      JSON.stringify(await records("overlay")).includes('"hosts":{"h2":"n2"}'),
    );
  });

  it("are given back later though it was the request alone that failed", async () => {
    const { one } = await pair();
    const endpoint = overlayEndpoint("e1", "n1", "10.1.0.2/24");
    await one.connect("n1", endpoint);
    await soon("it has heard of it", () => one.plane.list.hosts().hosts.some(({ endpoints }) => endpoints === 1));
    await pause(100); // nothing is left to be compared
    one.records.fault = () => "before";
    await one.disconnect("n1", endpoint);
    const failed = (): boolean => one.log.lines.some((line) => line.includes("other hosts are told later"));
    await soon("it has failed", failed);
    one.records.fault = () => undefined;
    await soon("it is given back", async () => Object.keys(await records("place")).length === 0);
  });

  it("that etcd has taken after the request was given up are given back", async () => {
    const { one, two, vni } = await pair();
    one.records.fault = () => "after";
    const failed = await errorOf(
      one.connect("n1", overlayEndpoint("e1", "n1", "10.1.0.2/24")).finally(() => {
        one.records.fault = () => undefined;
      }),
    );
    expect(failed.code).to.equal("store");
    await soon("it is given back", async () => Object.keys(await records("place")).length === 0);
    await two.connect("n2", overlayEndpoint("e2", "n2", "10.1.0.2/24"));
    await soon("h1 knows", () => one.view(vni).length === 1);
  });

  it("with a MAC address that another host's endpoint has are refused", async () => {
    const { one, two, vni } = await pair();
    const mac = "02:42:00:00:00:01";
    await one.connect("n1", { ...overlayEndpoint("e1", "n1", "10.1.0.2/24"), mac });
    await soon("h2 knows", () => two.view(vni).length === 1);
    const twin = { ...overlayEndpoint("e2", "n2", "10.1.0.3/24"), mac };
    const { message } = await errorOf(two.connect("n2", twin));
    expect(message).to.match(
      /^the MAC address 02:42:00:00:00:01 is that of endpoint e1 on host name-of-h1 \(h1\), too: give/,
    );
    two.records.deaf = new Promise(() => {}); // it does not hear that the other is gone, and asks
    await one.disconnect("n1", { ...overlayEndpoint("e1", "n1", "10.1.0.2/24"), mac });
    await two.connect("n2", twin);
  });

  it("move with a container: nobody is told that it is nowhere for good", async () => {
    const { one, two, vni } = await pair();
    const third = await open("h3");
    const before = overlayEndpoint("e1", "n", "10.1.0.2/24");
    await one.connect("n1", before);
    await soon("h3 knows", () => third.view(vni).join() === "10.1.0.2 at 192.0.2.1");
    await one.disconnect("n1", before);
    await two.connect("n2", { ...before, id: "e2" });
    await soon("h3 knows", () => third.view(vni).join() === "10.1.0.2 at 192.0.2.2");
    await soon("h1 knows", () => one.view(vni).join() === "10.1.0.2 at 192.0.2.2");
    await soon("h2 knows", () => two.view(vni).length === 0);
  });
});
