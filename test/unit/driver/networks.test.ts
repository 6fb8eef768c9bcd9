import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import type { NetworkRequest } from "../../../src/plan/network-request.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { until } from "../../support/poll.ts";
import { bridgeKey, idOf, ipv6, networkRequest, requestedSubnet } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const ipv4Of = (start: string) => [requestedSubnet(`${start}.0.0/24`, `${start}.0.1/24`)];
const failure = (promise: Promise<unknown>): Promise<string> => promise.then(() => "no error", explain);

describe("networks", () => {
  let world: World;
  let driver: Driver;
  const create = (values: Partial<NetworkRequest> = {}): Promise<void> =>
    driver.networks.create(networkRequest(values));
  const withMtu = (mtu: string): Partial<NetworkRequest> => ({ options: { "com.docker.network.driver.mtu": mtu } });
  const agree = async (): Promise<void> => {
    const kept = new World();
    for (const { name, kind } of world.links.all.filter(({ alias, name }) => alias === "" && name !== "lo"))
      kept.links.add(name, kind);
    await expectAgreement(driver, kept);
  };

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
  });
  afterEach(() => stopDriver(driver));

  it("that are bridges of a version that knew no other mode stay so when Docker asks again, whatever is usual now", async () => {
    await create();
    await stopDriver(driver);
    world.scope = "global";
    driver = await startDriver(world, driver.store);
    expect(await failure(create())).to.equal("no error");
    expect([...driver.state.networks()].map(({ mode }) => mode)).to.deep.equal(["bridge"]);
  });

  it("are a bridge with its address, its sysctls and its place in the firewall, and forwarding", async () => {
    await create();
    await agree();
    const link = world.links.require("tsb-a1000000000");
    expect(link).to.include({
      kind: "bridge",
      up: true,
      mac: "02:42:ac:12:00:01",
      alias: `tsnet:bridge:${idOf("a1")}`,
    });
    expect(world.links.routes).to.deep.include({
      destination: "172.18.0.0/16",
      link: link.index,
      table: 254,
      protocol: 2,
      source: "",
    });
    expect([...world.sysctls].filter(([, value]) => value === "1").map(([key]) => key)).to.deep.equal([
      "net/ipv4/ip_forward",
      "net/ipv4/conf/tsb-a1000000000/route_localnet",
    ]);
    expect([...(await driver.store.list("network")).values()])
      .to.have.length(1)
      .and.to.have.nested.property("[0].ready", true);
  });

  it("are overlays where all networks are a swarm's, unless their options say otherwise", async () => {
    await stopDriver(driver);
    Object.assign(world, { scope: "global", peers: ["192.0.2.2"] });
    driver = await startDriver(world, new MemoryStore());
    const gateways = (options: Record<string, string>) => driver.networks.checkGateways({ options, internal: true });
    expect(gateways({})).to.deep.equal({ SkipIPv4: true, SkipIPv6: true });
    expect(gateways({ mode: "bridge" })).to.deep.equal({ SkipIPv4: false, SkipIPv6: false });
    await create({ options: { "tsnet.vni": "5000" } });
    await create({ options: { "tsnet.vni": "5000", mode: "overlay" } }); // the same
    await create({ id: idOf("b2"), options: { mode: "bridge" }, ipv4: ipv4Of("10.6") });
    expect([...driver.state.networks()].map(({ mode }) => mode)).to.deep.equal(["overlay", "bridge"]);
    expect(driver.state.network(idOf("a1"))).to.include({ vni: 5000 });
  });

  it("have an address on the bridge for each of several subnets, which come in any order", async () => {
    const ipv4 = [requestedSubnet("172.18.0.0/16", "172.18.0.1/16"), requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    const second6 = requestedSubnet("fd00:2::/64", "fd00:2::1/64");
    await create({ ipv4, ipv6: [...ipv6, second6] });
    await agree();
    const once = structuredClone(world.dump());
    const { index } = world.links.require("tsb-a1000000000");
    const held = world.links.addresses.filter(({ link }) => link === index).map(({ address }) => address);
    expect(held).to.have.members(["172.18.0.1/16", "10.0.0.1/24", "fd00:18::1/64", "fd00:2::1/64"]);
    await create({ ipv4: ipv4.toReversed(), ipv6: [second6, ...ipv6] });
    expect(world.dump()).to.deep.equal(once);
    await driver.networks.delete(idOf("a1"));
    await agree();
  });

  it("are durable before the first change in the kernel, and after the last", async () => {
    driver.faults.steps.length = 0;
    await create();
    const changes = driver.faults.steps.filter((step) => !step.startsWith("observe"));
    expect([changes[0], changes.at(-1)]).to.deep.equal(["commit network", "commit network"]);
    driver.faults.steps.length = 0;
    await driver.networks.delete(idOf("a1"));
    expect([driver.faults.steps[0], driver.faults.steps.at(-1)]).to.deep.equal(["commit network", "commit network"]);
  });

  it("have the firewall's rule before the bridge may be used: route_localnet comes after it", async () => {
    driver.faults.steps.length = 0;
    await create();
    expect(driver.faults.steps.indexOf("run-nft")).to.be.lessThan(driver.faults.steps.indexOf("ensure-bridge"));
  });

  it("made twice are there once, and what is missing is made again", async () => {
    await create();
    const once = structuredClone(world.dump());
    await create();
    expect(world.dump()).to.deep.equal(once);
    world.removeLink("tsb-a1000000000");
    await create();
    expect(world.dump()).to.deep.equal(once);
  });

  it("made again with other content are refused, with the difference", async () => {
    await create();
    expect(await failure(create(withMtu("1400")))).to.equal(
      `network ${idOf("a1")} exists, and its mtuBytes is null, not 1400`,
    );
    expect(await failure(create({ internal: true }))).to.equal(
      `network ${idOf("a1")} exists, and its internal is false, not true`,
    );
    await agree();
  });

  it("asked for twice at once are there once", async () => {
    await Promise.all([create(), create()]);
    await agree();
    expect([...driver.state.networks()]).to.have.length(1);
  });

  it("asked for at once on the same subnet are one network and one refusal", async () => {
    const results = await Promise.all([failure(create()), failure(create({ id: idOf("b2") }))]);
    const reason = "networks have overlapping IPv4 (172.18.0.0/16 and 172.18.0.0/16)";
    const conflict = `cannot create network ${idOf("b2")} (tsb-b2000000000): conflicts with network ${idOf("a1")} (tsb-a1000000000): ${reason}`;
    expect(results).to.deep.equal(["no error", conflict]);
    await agree();
  });

  it("are removed with what is left of their endpoints, and removed twice is once", async () => {
    await create();
    await driver.endpoints.create({ network: idOf("a1"), id: idOf("e1"), addresses: ["172.18.0.2/16"], mac: null });
    await driver.networks.delete(idOf("a1"));
    await driver.networks.delete(idOf("a1"));
    await driver.networks.delete(idOf("ffff"));
    await driver.removals.flush();
    expect(world.dump()).to.deep.equal({ ...new World().dump(), elements: {} });
    expect([...driver.state.endpoints(), ...driver.state.networks()]).to.deep.equal([]);
    expect((await driver.store.list("endpoint")).size).to.equal(0);
  });

  it("leave a bridge of the user's the address that it had before, though it is their gateway's", async () => {
    const lan = world.links.add("lan", "bridge", { up: true });
    world.links.addAddress(lan, "172.18.0.1/16");
    await create({ options: { [bridgeKey("name")]: "lan" } });
    await driver.networks.delete(idOf("a1"));
    expect(world.links.addresses).to.deep.include({ link: lan.index, address: "172.18.0.1/16" });
  });

  it("are taken back if they are there too late: Docker has been told that it failed", async () => {
    const overdue = new AbortController();
    const ensured = driver.networks.create(networkRequest({}), overdue.signal);
    overdue.abort(new Error("took too long"));
    expect(await failure(ensured)).to.contain("took too long");
    await driver.removals.flush();
    expect(world.dump()).to.deep.equal({ ...new World().dump(), elements: {} });
    expect([...driver.state.networks()]).to.deep.equal([]);
  });

  it("are not made at all if that is so before it is their turn", async () => {
    const overdue = new AbortController();
    const held = driver.faults.hold("ensure-bridge");
    const first = create();
    const second = driver.networks.create(networkRequest({ id: idOf("b2"), ipv4: ipv4Of("10.1") }), overdue.signal);
    await until("begun", 1000, async () => driver.state.network(idOf("a1")) !== undefined);
    overdue.abort(new Error("took too long"));
    held.resolve();
    expect(await failure(second)).to.contain("took too long");
    await first;
    expect(driver.faults.steps.filter((step) => step === "ensure-bridge")).to.have.length(1);
    await agree();
  });

  it("that are removed while they are made are made first, and then gone", async () => {
    const made = driver.faults.hold("ensure-bridge");
    const created = failure(create());
    await until("begun", 1000, async () => driver.state.network(idOf("a1")) !== undefined);
    const recorded = driver.faults.hold("commit network");
    made.resolve();
    await until("made", 1000, async () => driver.faults.steps.includes("ensure-address"));
    let isRemoved = false;
    const removed = driver.networks.delete(idOf("a1")).then(() => {
      isRemoved = true;
    });
    // each step takes one turn: it would be gone by then
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    expect(isRemoved).to.equal(false);
    recorded.resolve();
    expect(await created).to.equal("no error");
    await removed;
    await agree();
    expect([...driver.state.networks()]).to.deep.equal([]);
  });

  it("use a bridge of the user's, and give it back with its name, MTU and other addresses", async () => {
    const lan = world.links.add("lan", "bridge", { mtuBytes: 9000, up: true });
    world.links.addAddress(lan, "10.9.0.1/24");
    const before = structuredClone(lan);
    await create({ options: { [bridgeKey("name")]: "lan", ...withMtu("1400").options } });
    expect(driver.state.network(idOf("a1"))).to.include({ adopted: true, bridge: "lan" });
    expect(world.links.addresses.filter(({ link }) => link === lan.index)).to.have.length(2);
    await driver.networks.delete(idOf("a1"));
    await driver.removals.flush();
    expect(world.links.require("lan")).to.deep.equal(before);
    expect(world.links.addresses.filter(({ link }) => link === lan.index)).to.deep.equal([
      { link: lan.index, address: "10.9.0.1/24" },
    ]);
  });

  const inTheWay: [what: string, name: string, kind: string, alias: string, message: string][] = [
    ["a link that is no bridge", "lan", "veth", "", "existing interface lan is not a bridge"],
    [
      "a bridge of Docker's",
      "br-0123456789ab",
      "bridge",
      "",
      "failed to parse com.docker.network.bridge.name value: br-0123456789ab (a bridge of this name is Docker's own)",
    ],
    [
      "another network's bridge",
      "lan",
      "bridge",
      `tsnet:bridge:${idOf("b2")}`,
      `the bridge lan belongs to network ${idOf("b2")}`,
    ],
    [
      "a bridge with our name that is not ours",
      "tsb-a1000000000",
      "bridge",
      "",
      "the bridge tsb-a1000000000 exists, and tsnet did not make it",
    ],
  ];
  for (const [what, name, kind, alias, message] of inTheWay) {
    it(`are refused, and change nothing, where in the way is ${what}`, async () => {
      world.links.add(name, kind, { alias });
      const before = structuredClone(world.dump());
      expect(await failure(create({ options: { [bridgeKey("name")]: name } }))).to.equal(message);
      expect(world.dump()).to.deep.equal(before);
      expect((await driver.store.list("network")).size).to.equal(0);
    });
  }

  const addresses: [address: string, message: string][] = [
    ["172.18.0.9/16", "the subnet 172.18.0.0/16 overlaps with 172.18.0.0/16 of the link eth0; give another --subnet"],
    ["172.18.7.9/24", "the subnet 172.18.0.0/16 overlaps with 172.18.7.0/24 of the link eth0; give another --subnet"],
    ["172.18.0.1/8", "no error"],
    ["192.0.2.1/24", "no error"],
  ];
  for (const [address, message] of addresses) {
    it(`on a host with ${address}: ${message}`, async () => {
      world.links.addAddress(world.links.add("eth0", "", { up: true }), address);
      expect(await failure(create())).to.equal(message);
    });
  }

  it("of several subnets are refused where a link has one of them", async () => {
    world.links.addAddress(world.links.add("eth0", "", { up: true }), "10.0.0.9/24");
    const ipv4 = [requestedSubnet("172.18.0.0/16", "172.18.0.1/16"), requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    const reason = "the subnet 10.0.0.0/24 overlaps with 10.0.0.0/24 of the link eth0";
    expect(await failure(create({ ipv4 }))).to.equal(`${reason}; give another --subnet`);
  });

  it("log the options of Docker's that they ignore", async () => {
    await create({ options: { "com.docker.network.unheard_of": "1" } });
    expect(driver.log.lines).to.deep.equal([
      `warn: options of Docker's that tsnet ignores {"network":"${idOf("a1")}","options":["com.docker.network.unheard_of"]}`,
    ]);
  });

  it("removed while an endpoint is made are gone with it, in either order", async () => {
    const endpoint = { network: idOf("a1"), id: idOf("e1"), addresses: ["172.18.0.2/16"], mac: null };
    await create();
    const first = await Promise.all([
      failure(driver.endpoints.create(endpoint)),
      failure(driver.networks.delete(idOf("a1"))),
    ]);
    expect(first).to.deep.equal(["no error", "no error"]);
    await agree();
    await create();
    const second = await Promise.all([
      failure(driver.networks.delete(idOf("a1"))),
      failure(driver.endpoints.create(endpoint)),
    ]);
    expect(second).to.deep.equal(["no error", `network ${idOf("a1")} is unknown to tsnet`]);
    await agree();
    expect([...driver.state.endpoints()]).to.deep.equal([]);
  });

  it("whose removal has failed take no endpoints, and are removed before they are made anew", async () => {
    await create();
    void driver.faults.arm({ kind: "before", at: 2, errno: "EBUSY" });
    expect(await failure(driver.networks.delete(idOf("a1")))).to.equal(
      `delete network ${idOf("a1")}: remove-links: EBUSY`,
    );
    driver.faults.disarm();
    const endpoint = { network: idOf("a1"), id: idOf("e1"), addresses: ["172.18.0.2/16"], mac: null };
    expect(await failure(driver.endpoints.create(endpoint))).to.equal(`network ${idOf("a1")} is unknown to tsnet`);
    await create(withMtu("1400"));
    await agree();
    expect(world.links.require("tsb-a1000000000").mtuBytes).to.equal(1400);
  });

  it("put the whole table back if it was flushed, or an element changed, just before", async () => {
    await create();
    world.nft.flush();
    await create({ id: idOf("b2"), ipv4: [requestedSubnet("10.0.0.0/24", "10.0.0.1/24")] });
    await agree();
    world.nft.run(
      'add element inet tsnet bridges { "x" }\ndelete element inet tsnet into { ipv4 . "tsb-b2000000000" }\nadd element inet tsnet into { ipv4 . "tsb-b2000000000" : accept }\n',
    );
    await driver.networks.delete(idOf("b2"));
    await agree();
  });
});
