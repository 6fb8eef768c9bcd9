import { expect } from "chai";
import type { TsnetError } from "../../../../src/errors.ts";
import { vniOf } from "../../../../src/net/vni.ts";
import { overlayEndpoint, overlayNetwork } from "../../../support/plane-host.ts";
import { soon, usePlaneHosts } from "../../../support/plane-hosts.ts";

const errorOf = async (work: Promise<unknown>): Promise<TsnetError> =>
  work.then(
    () => expect.fail("it should have failed"),
    (error: TsnetError) => error,
  );

/** A VNI that is taken is asked about for a second. */
const patient = { timing: { deadlineMs: 3_000 } };

describe("networks in etcd", () => {
  const { open, records, store } = usePlaneHosts();

  it("are the same where their subnets are, in whichever order", async () => {
    const [one, two] = [await open("h1"), await open("h2")];
    const first = await one.create(overlayNetwork("n1", ["10.1.0.0/24", "fd00:1::/64"]));
    const second = await two.create(overlayNetwork("n2", ["fd00:1::/64", "10.1.0.0/24"]));
    expect(first.vni).to.be.within(2 ** 23, 2 ** 24 - 1);
    expect(second.vni).to.equal(first.vni);
    expect(await records("overlay")).to.deep.equal({
      [`${first.vni}`]: { subnets: ["10.1.0.0/24", "fd00:1::/64"], hosts: { h1: "n1", h2: "n2" } },
    });
    expect(await one.plane.joinNetwork(overlayNetwork("n1", ["10.1.0.0/24", "fd00:1::/64"]))).to.equal(first.vni);
  });

  it("become one though hosts make them at the same time, also where one of them cannot have the first VNI", async () => {
    for (const [n, taken] of [false, true, false, true, true].entries()) {
      const subnet = `10.${n}.0.0/24`;
      const all = await Promise.all(["h1", "h2", "h3"].map((id) => open(`${id}${n}`, patient)));
      for (const [i, host] of all.entries()) host.records.turns = () => (n === 4 ? 1 : (i + n) % 3);
      if (taken) all[1]?.takenVnis.add(vniOf([subnet]));
      const tries = await Promise.allSettled(all.map((host) => host.create(overlayNetwork(`n-${host.id}`, [subnet]))));
      const vnis = new Set(tries.flatMap((one) => (one.status === "fulfilled" ? [one.value.vni] : [])));
      expect(vnis.size, `round ${n}`).to.equal(1);
      // who has a link with the VNI that the others have chosen is told so
      const refused = tries.flatMap((one) => (one.status === "rejected" ? [`${one.reason}`] : []));
      for (const text of refused) expect(text).to.contain("is in use on this host by a VXLAN link");
      expect(refused.length).to.be.at.most(taken ? 1 : 0);
    }
  });

  it("get the next VNI where a link of the host has the first, and one that is given is refused", async () => {
    const host = await open("h1", patient);
    host.takenVnis.add(vniOf(["10.1.0.0/24"])).add(42);
    expect((await host.create(overlayNetwork("n1"))).vni).to.equal(vniOf(["10.1.0.0/24"], 1));
    const { code, message } = await errorOf(host.create(overlayNetwork("n2", ["10.2.0.0/24"], 42)));
    expect(code).to.equal("conflict");
    expect(message).to.match(/^VNI 42 is in use on this host by a VXLAN link .*: remove that link, or choose another/);
    host.takenVnis.delete(42);
    expect((await host.create(overlayNetwork("n2", ["10.2.0.0/24"], 42))).vni).to.equal(42);
  });

  it("that do not match are refused with the difference and the host", async () => {
    const [one, two] = [await open("h1"), await open("h2")];
    await one.create(overlayNetwork("n1", ["10.1.0.0/24"], 700));
    await soon("h2 has heard of h1", async () =>
      two.plane.list.hosts().hosts.some(({ name }) => name === "name-of-h1"),
    );
    const other = await errorOf(two.create(overlayNetwork("n2", ["10.2.0.0/24"], 700)));
    const on = "on host name-of-h1 \\(h1\\)";
    expect(other.message).to.match(
      new RegExp(`^the network with VNI 700 has the subnet 10.1.0.0/24 ${on}, not 10.2.0.0/24: give the same --subnet`),
    );
    const within = await errorOf(two.create(overlayNetwork("n3", ["10.1.0.128/25"])));
    expect(within.message).to.match(
      new RegExp(`^the subnet 10.1.0.128/25 overlaps with 10.1.0.0/24 of the network with VNI 700 ${on}: `),
    );
    const cases: [subnets: string[], vni: number, message: string][] = [
      [
        ["10.1.0.0/24"],
        701,
        `tsnet.vni=701: the network with the subnets 10.1.0.0/24 has VNI 700 ${on}: give tsnet.vni=700, or leave it out, or `,
      ],
      [
        ["10.1.0.0/16"],
        701,
        `tsnet.vni=701: the subnet 10.1.0.0/16 overlaps with 10.1.0.0/24 of the network with VNI 700 ${on}: give the same `,
      ],
      [
        ["10.2.0.0/24", "10.1.0.0/24"],
        701,
        `tsnet.vni=701: the subnet 10.1.0.0/24 overlaps with 10.1.0.0/24 of the network with VNI 700 ${on}: give the same `,
      ],
      [
        ["10.1.0.0/24", "10.2.0.0/24"],
        0,
        `the network with VNI 700 has the subnet 10.1.0.0/24 ${on}; 10.2.0.0/24 is too many here: give the same --subnet`,
      ],
      [
        ["10.1.0.0/24", "10.2.0.0/24"],
        700,
        `the network with VNI 700 has the subnet 10.1.0.0/24 ${on}; 10.2.0.0/24 is too many here: give the same --subnet`,
      ],
    ];
    for (const [subnets, vni, message] of cases) {
      const found = await errorOf(two.create(overlayNetwork("n3", subnets, vni)));
      expect(found.code).to.equal("conflict");
      expect(found.message).to.match(new RegExp(`^${message}`));
    }
    const twice = await errorOf(one.create(overlayNetwork("n6", ["10.1.0.0/24"], 700)));
    expect(twice.message).to.equal(
      "network n1 of this host is the network with VNI 700 already: use that one, or give another --subnet and tsnet.vni",
    );
    await one.create(overlayNetwork("n8", ["10.8.0.0/24", "fd00:8::/64"]));
    const fewer = await errorOf(two.create(overlayNetwork("n9", ["10.8.0.0/24"])));
    expect(fewer.message).to.match(
      new RegExp(
        ` has the subnets 10.8.0.0/24, fd00:8::/64 ${on}; fd00:8::/64 is missing here: give the same --subnet`,
      ),
    );
    expect(await two.create(overlayNetwork("n7", ["10.1.0.0/24"], 700))).to.include({ vni: 700 });
  });

  it("that are there twice, since hosts could not hear of each other, are told apart by their VNIs", async () => {
    const two = await open("h2");
    const value = { subnets: ["10.1.0.0/24"], hosts: { h1: "n1" } };
    await store().commit([700, 701].map((vni) => ({ put: "overlay", id: `${vni}`, value })));
    const which = await errorOf(two.create(overlayNetwork("n5", ["10.1.0.0/24"])));
    expect(which.message).to.equal(
      "there are networks with these subnets and the VNIs 700, 701: say which with tsnet.vni",
    );
    expect(await two.create(overlayNetwork("n7", ["10.1.0.0/24"], 701))).to.include({ vni: 701 });
  });

  it("can be made anew with what they were not, as soon as nobody has them, before etcd has heard of it", async () => {
    const one = await open("h1");
    const left = { subnets: ["10.1.0.0/24"], hosts: { h1: "gone", h2: "n2" } };
    await store().commit([{ put: "overlay", id: "700", value: left }]);
    const other = overlayNetwork("n3", ["10.1.0.0/16"], 700);
    expect((await errorOf(one.create(other))).code).to.equal("conflict");
    await store().commit([{ put: "overlay", id: "700", value: { ...left, hosts: { h1: "gone" } } }]);
    expect(await one.create(other)).to.include({ vni: 700 });
    expect((await records("overlay"))["700"]).to.deep.equal({ subnets: ["10.1.0.0/16"], hosts: { h1: "n3" } });
  });

  it("have the same gateways on all hosts that have any", async () => {
    const [one, two, three] = [await open("h1"), await open("h2"), await open("h3")];
    const subnets = ["10.1.0.0/24", "fd00:1::/64"];
    await three.create(overlayNetwork("n3", subnets, 700)); // leads nobody out
    expect(await records("overlay")).to.deep.equal({ 700: { subnets, hosts: { h3: "n3" } } });
    await one.create(overlayNetwork("n1", subnets, 0, ["10.1.0.1/24", "fd00:1::1/64"]));
    const both = { subnets, gateways: ["10.1.0.1", "fd00:1::1"], hosts: { h3: "n3", h1: "n1" } };
    expect(await records("overlay")).to.deep.equal({ 700: both });
    await soon("h2 has heard of both", () => two.plane.list.hosts().hosts.length === 2);
    const other = await errorOf(two.create(overlayNetwork("n2", subnets, 0, ["10.1.0.254/24", "fd00:1::1/64"])));
    expect(other.code).to.equal("conflict");
    expect(other.message).to.match(
      /^the network with VNI 700 has the gateways 10.1.0.1, fd00:1::1 on host .*h3.*, name-of-h1 \(h1\), not 10.1.0.254, fd00:1::1, and .*: give --gateway 10.1.0.1 --gateway fd00:1::1$/,
    );
    expect(await records("overlay")).to.deep.equal({ 700: both });
    await two.create(overlayNetwork("n2", subnets, 0, ["10.1.0.1/24", "fd00:1::1/64"]));
  });

  it("have no gateway that is an endpoint's on a host without, and no endpoint there gets it later", async () => {
    const [one, two] = [await open("h1"), await open("h2")];
    await one.create(overlayNetwork("n1"));
    await one.connect("n1", overlayEndpoint("e1", "n1", "10.1.0.1/24"));
    await soon("h2 has heard of h1", () => two.plane.list.hosts().hosts.length === 1);
    const taken = await errorOf(two.create(overlayNetwork("n2", ["10.1.0.0/24"], 0, ["10.1.0.1/24"])));
    expect(taken.message).to.match(
      /^the gateway 10\.1\.0\.1 of VNI \d+ is the address of endpoint e1 on host name-of-h1 \(h1\): give another --gateway/,
    );
    await two.create(overlayNetwork("n2", ["10.1.0.0/24"], 0, ["10.1.0.254/24"]));
    await one.connect("n1", overlayEndpoint("e2", "n1", "10.1.0.253/24"));
    const late = await errorOf(one.connect("n1", overlayEndpoint("e3", "n1", "10.1.0.254/24")));
    expect(late.code).to.equal("conflict");
    expect(late.message).to.match(
      /^address 10\.1\.0\.254 of VNI \d+ is the network's gateway on other hosts: make .* --gateway 10\.1\.0\.254, too, or/,
    );
  });

  it("go with the last host that has them, and a host that comes back for an answer that was lost finds its own", async () => {
    const [one, two] = [await open("h1"), await open("h2")];
    one.records.fault = () => (one.records.commits <= 2 ? "after" : undefined);
    const network = await one.create(overlayNetwork("n1"));
    one.records.fault = () => undefined;
    const same = await two.create(overlayNetwork("n2"));
    await one.remove(network);
    expect(await records("overlay")).to.deep.equal({
      [`${same.vni}`]: { subnets: ["10.1.0.0/24"], hosts: { h2: "n2" } },
    });
    await two.remove(same);
    expect(await records("overlay")).to.deep.equal({});
    await two.plane.leaveNetwork(same);
  });

  it("are not forgotten by the comparison while they are being made", async () => {
    const host = await open("h1");
    const vni = await host.plane.joinNetwork(overlayNetwork("n1"));
    // many comparisons later
    for (let n = 0; n < 5; n++) await host.create(overlayNetwork(`other${n}`, [`10.2.${n}.0/24`]));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(Object.keys(await records("overlay"))).to.include(`${vni}`);
    await host.plane.leaveNetwork({ ...overlayNetwork("n1"), vni });
    expect(Object.keys(await records("overlay"))).to.not.include(`${vni}`);
  });

  it("that an earlier process has left in etcd are taken out", async () => {
    const host = await open("h1");
    const kept = await host.create(overlayNetwork("n1"));
    const vni = await host.plane.joinNetwork(overlayNetwork("n2", ["10.2.0.0/24"])); // and it dies
    expect(Object.keys(await records("overlay"))).to.have.members([`${kept.vni}`, `${vni}`]);
    await host.restart();
    await soon("it is gone", async () => !(`${vni}` in (await records("overlay"))));
    expect(Object.keys(await records("overlay"))).to.deep.equal([`${kept.vni}`]);
  });

  it("are not made without etcd, and the error says what to do", async () => {
    const host = await open("h1");
    host.records.away = "etcd cannot be reached: see whether it runs";
    const { code, message } = await errorOf(host.create(overlayNetwork("n1")));
    expect(code).to.equal("store");
    expect(message).to.equal(
      "etcd at http://10.0.0.1:2379 did not do it within 0.3 s: etcd cannot be reached: see whether it runs; overlay networks " +
        "need it for what is new, and what runs goes on without; try again when it can be reached",
    );
  });
});
