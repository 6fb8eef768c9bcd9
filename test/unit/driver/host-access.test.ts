import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import type { EndpointRequest } from "../../../src/plan/endpoint-request.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, startDriver, stopDriver } from "../../support/driver.ts";
import { until } from "../../support/poll.ts";
import { idOf, lanRequest, requestedSubnet } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const [a, b] = [idOf("a1"), idOf("b2")];
const shim = "tsh-a1000000000";
const access = { "tsnet.host_access": "true" };
const unchecked = { ...access, "tsnet.duplicate_check": "false" };
const at = (address: string, options = access) => ({ ...options, "tsnet.host_address": address });

describe("host access", () => {
  let world: World;
  let driver: Driver;
  const create = (options: Readonly<Record<string, string>> = unchecked, values = {}): Promise<string> =>
    driver.networks.create(lanRequest("macvlan", options, values)).then(() => "made", explain);
  const connect = (digits: string, address: string, values: Partial<EndpointRequest> = {}): Promise<string> =>
    driver.endpoints
      .create({ network: a, id: idOf(digits), addresses: [address], mac: null, ...values })
      .then(() => "made", explain);
  const table = (): unknown => world.nft.observe("arp tsnet")?.elements;
  const ways = (): string[] => {
    const { index } = world.links.find(shim) ?? { index: 0 };
    const routes = world.links.routes.filter(({ link }) => link === index);
    const neighbors = world.links.neighbors.filter(({ link }) => link === index);
    return [
      ...routes.map(({ destination, source }) => `${destination} from ${source}`),
      ...neighbors.map(({ address, mac }) => `${address} at ${mac}`),
    ];
  };
  const addresses = (name = shim): string[] => {
    const { index } = world.links.require(name);
    return world.links.addresses.filter(({ link }) => link === index).map(({ address }) => address);
  };
  const reach = (...ips: string[]): object => Object.fromEntries(ips.map((ip) => [`${shim} . ${ip}`, ""]));
  const wayTo10 = ["192.168.1.10/32 from 192.168.1.2", "192.168.1.10 at 02:42:c0:a8:01:0a"];

  beforeEach(async () => {
    world = new World();
    world.links.addAddress(world.links.add("eth0", "", { up: true }), "192.168.1.2/24");
    driver = await startDriver(world, new MemoryStore());
  });
  afterEach(() => stopDriver(driver));

  it("is nothing of a network that does not ask for it", async () => {
    expect(await create({ "tsnet.duplicate_check": "false" })).to.equal("made");
    expect(await connect("e1", "192.168.1.10/24")).to.equal("made");
    expect([world.links.find(shim), table()]).to.deep.equal([undefined, undefined]);
  });

  it("is a shim, the table, and a way to each container, as long as these are there", async () => {
    expect(await create()).to.equal("made");
    expect(world.links.require(shim)).to.include({ kind: "macvlan", up: true, alias: `tsnet:shim:${a}` });
    expect(table()).to.deep.equal({ shims: { [shim]: "" } });
    await connect("e1", "192.168.1.10/24");
    expect(ways()).to.deep.equal(wayTo10);
    expect(table()).to.deep.equal({ shims: { [shim]: "" }, reach: reach("192.168.1.10") });
    await driver.endpoints.delete(a, idOf("e1"));
    expect([ways(), table()]).to.deep.equal([[], { shims: { [shim]: "" } }]);
    await driver.networks.delete(a);
    expect([world.links.find(shim), table()]).to.deep.equal([undefined, undefined]);
  });

  it("of two networks is one table, which goes with the last", async () => {
    await create();
    const range = { id: b, ipv4: [requestedSubnet("192.168.2.0/24", "192.168.2.1/24")] };
    expect(await create(unchecked, range)).to.equal("made");
    expect(table()).to.deep.equal({ shims: { [shim]: "", "tsh-b2000000000": "" } });
    await driver.networks.delete(a);
    expect(table()).to.deep.equal({ shims: { "tsh-b2000000000": "" } });
    await driver.networks.delete(b);
    expect(table()).to.equal(undefined);
  });

  it("is restored at the start, and what a crash has left goes", async () => {
    await create();
    await connect("e1", "192.168.1.10/24");
    world.kill();
    world.nft.flush();
    world.links.remove(world.links.require(shim));
    driver = await startDriver(world, driver.store);
    expect(ways()).to.deep.equal(wayTo10);
    expect(table()).to.deep.equal({ shims: { [shim]: "" }, reach: reach("192.168.1.10") });
    await driver.networks.delete(a);
    world.nft.run("add table arp tsnet");
    driver = await startDriver(world, driver.store);
    expect(table()).to.equal(undefined);
  });

  it("of a container that asks its segment yet is nobody's to repair", async () => {
    await create(access);
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<readonly []>();
    driver.kernel.probeAddresses = () => {
      asked.resolve();
      return answered.promise;
    };
    const connecting = connect("e1", "192.168.1.10/24");
    await asked.promise;
    await driver.reconciler.run();
    expect([ways(), table(), driver.reconciler.repairs()]).to.deep.equal([[], { shims: { [shim]: "" } }, {}]);
    answered.resolve([]);
    expect(await connecting).to.equal("made");
    expect(ways()).to.deep.equal(wayTo10);
    await driver.reconciler.run();
    expect(driver.reconciler.repairs()).to.deep.equal({});
  });

  it("follows the addresses of the parent", async () => {
    await create();
    await connect("e1", "192.168.1.10/24");
    const eth0 = world.links.require("eth0");
    world.links.removeAddress(eth0, "192.168.1.2/24");
    world.links.addAddress(eth0, "192.168.1.3/24");
    world.report({ what: "addresses" });
    await until("it follows", 1000, () => ways()[0] === "192.168.1.10/32 from 192.168.1.3");
  });

  it("is back after a flush of the ruleset, as one repair of each table", async () => {
    await create();
    await connect("e1", "192.168.1.10/24");
    const before = table();
    world.nft.flush();
    world.report({ what: "firewall" });
    await until("it is back", 1000, () => JSON.stringify(table()) === JSON.stringify(before));
    expect(driver.reconciler.repairs()["firewall"]?.count).to.equal(2);
  });

  it("is made for a container though somebody has removed the shim", async () => {
    await create();
    world.links.remove(world.links.require(shim));
    expect(await connect("e1", "192.168.1.10/24")).to.equal("made");
    expect(ways()).to.deep.equal(wayTo10);
  });

  it("with an address in the subnet on another link of the same LAN does not depend on the gateway", async () => {
    world.links.add("eth1", "", { up: true });
    await create({ ...unchecked, parent: "eth1" });
    expect(driver.log.lines.filter((line) => line.includes("answer it by their gateway"))).to.deep.equal([]);
  });

  it("with tsnet.host_address on a parent that is down is made all the same, and the log says that nobody was asked", async () => {
    world.changeLink("eth0", { up: false });
    expect(await create(at("192.168.1.250"))).to.equal("made");
    expect(driver.log.lines.at(-1)).to.include("nobody could be asked for duplicates: the parent eth0 is down");
  });

  it("without an address in the subnet is said to depend on the gateway", async () => {
    await create(unchecked, { ipv4: [requestedSubnet("10.9.0.0/24", "10.9.0.1/24")] });
    expect(driver.log.lines.filter((line) => line.includes("answer it by their gateway"))).to.have.length(1);
    await driver.networks.create(
      lanRequest("macvlan", unchecked, { ipv4: [requestedSubnet("10.9.0.0/24", "10.9.0.1/24")] }),
    );
    expect(driver.log.lines.filter((line) => line.includes("answer it by their gateway"))).to.have.length(1);
  });

  describe("with an address of the host's own", () => {
    it("has it on the shim, which answers for it, and sends from it", async () => {
      expect(await create(at("192.168.1.250"))).to.equal("made");
      expect(addresses()).to.deep.equal(["192.168.1.250/32"]);
      const own = { hosts: { "192.168.1.250": "" }, at: reach("192.168.1.250") };
      expect(table()).to.deep.equal({ shims: { [shim]: "" }, ...own });
      await connect("e1", "192.168.1.10/24");
      expect(ways()).to.include("192.168.1.10/32 from 192.168.1.250");
      await driver.networks.delete(a);
      expect(world.links.addresses.map(({ address }) => address)).not.to.include("192.168.1.250/32");
      expect(await create(at("192.168.1.250")), "at once again").to.equal("made");
    });

    const isRefused = async (options: Readonly<Record<string, string>>, text: string) => {
      const known = [...driver.state.networks()].length;
      expect(await create(options, { id: b, ipv4: [requestedSubnet("192.168.1.0/24", "192.168.1.1/24")] })).to.include(
        text,
      );
      await driver.removals.flush();
      expect(world.links.find("tsh-b2000000000")).to.equal(undefined);
      expect([...driver.state.networks()]).to.have.length(known);
      if (known === 0) expect(table()).to.equal(undefined);
    };

    it("is refused one that somebody on the segment has, unless the check is off", async () => {
      world.strangers.set("192.168.1.250", "02:00:00:00:00:99");
      const text = "tsnet.host_address=192.168.1.250: 02:00:00:00:00:99 has it on eth0: give another one";
      await isRefused(at("192.168.1.250"), text);
      expect(await create(at("192.168.1.250", unchecked))).to.equal("made");
    });

    it("is refused one that the host or a container has", async () => {
      await isRefused(at("192.168.1.2"), "tsnet.host_address=192.168.1.2: the host has it already");
      await create();
      await connect("e1", "192.168.1.10/24");
      const text = `tsnet.host_address=192.168.1.10: endpoint ${idOf("e1")} of network ${a} has it: give another one`;
      await isRefused(at("192.168.1.10", unchecked), text);
    });

    it("is asked for once: what is there already is not", async () => {
      expect(await create(at("192.168.1.250"))).to.equal("made");
      world.strangers.set("192.168.1.250", "02:00:00:00:00:99");
      expect(await create(at("192.168.1.250"))).to.equal("made");
      driver = await startDriver(world, driver.store);
      expect(addresses()).to.deep.equal(["192.168.1.250/32"]);
    });

    it("has it back, but not while the segment is asked for it", async () => {
      const asked = Promise.withResolvers<void>();
      const answered = Promise.withResolvers<readonly []>();
      driver.kernel.probeAddresses = () => {
        asked.resolve();
        return answered.promise;
      };
      const creating = create(at("192.168.1.250"));
      await asked.promise;
      await driver.reconciler.run();
      expect(addresses()).to.deep.equal([]);
      answered.resolve([]);
      expect(await creating).to.equal("made");
      world.links.removeAddress(world.links.require(shim), "192.168.1.250/32");
      world.report({ what: "addresses" });
      await until("it is back", 1000, () => addresses().join() === "192.168.1.250/32");
      expect(driver.reconciler.repairs()).to.have.all.keys("addresses");
    });
  });
});
