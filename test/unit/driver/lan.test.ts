import { expect } from "chai";
import { startDriver } from "../../support/driver.ts";
import { hostOnLan, LanDriver } from "../../support/lan-driver.ts";
import { idOf, requestedSubnet } from "../../support/values.ts";

const a = idOf("a1");
const b = idOf("b2");
const sandbox = "/var/run/docker/netns/e1";
const unchecked = { "tsnet.duplicate_check": "false" };

describe("networks on a parent", () => {
  const lan = LanDriver.use();
  const { network, endpoint, agree } = lan;

  it("are their parent, and each endpoint a link on it that waits for dockerd, down", async () => {
    expect(await network()).to.equal("no error");
    expect(await endpoint("e1")).to.equal("02:42:c0:a8:01:0a");
    await agree();
    const parent = lan.world.links.require("eth0");
    expect(lan.world.links.require("tsm-e1000000000")).to.include({
      ...{ kind: "macvlan", lanMode: "bridge", lower: parent.index, mac: "02:42:c0:a8:01:0a", up: false },
    });
    expect(await lan.driver.endpoints.join(a, idOf("e1"), sandbox)).to.deep.equal({
      ...{ link: "tsm-e1000000000", interfacePrefix: "eth", withoutGatewayService: true },
      ...{ gateway4: "192.168.1.1", gateway6: "", onLink: [] },
    });
    lan.world.moveIntoSandbox("tsm-e1000000000", sandbox);
    await lan.driver.endpoints.leave(a, idOf("e1"));
    lan.world.moveOutOfSandbox("tsm-e1000000000");
    await lan.driver.endpoints.delete(a, idOf("e1"));
    await agree();
    await lan.driver.networks.delete(a);
    await agree();
    expect(lan.world.dump()).to.deep.equal({ ...hostOnLan().dump(), elements: {} });
  });

  it("have endpoints without a MAC address of their own in mode ipvlan", async () => {
    await network("ipvlan");
    expect(await endpoint("e1")).to.equal(null);
    const { mac } = lan.world.links.require("eth0");
    expect(lan.world.links.require("tsm-e1000000000")).to.include({ kind: "ipvlan", lanMode: "l2", mac });
    expect(lan.driver.state.endpoint(idOf("e1"))?.mac).to.equal(null);
  });

  it("cost few steps where no duplicates are looked for", async () => {
    await network("macvlan", unchecked);
    lan.driver.faults.steps.length = 0;
    await endpoint("e1");
    await lan.driver.endpoints.join(a, idOf("e1"), sandbox);
    lan.world.moveIntoSandbox("tsm-e1000000000", sandbox);
    await lan.driver.announcements.idle();
    await lan.driver.endpoints.leave(a, idOf("e1"));
    lan.world.moveOutOfSandbox("tsm-e1000000000");
    await lan.driver.endpoints.delete(a, idOf("e1"));
    expect(lan.driver.faults.steps).to.deep.equal([
      ...["commit endpoint", "observe addresses", "ensure-lan-link"],
      "commit endpoint",
      "announce-addresses",
      "commit endpoint",
      ...["remove-links", "commit endpoint"],
    ]);
  });

  describe("with a parent for tsnet to make", () => {
    it("make the VLAN, share it, and take it along with the last of them", async () => {
      const shared = { parent: "eth0.10" };
      await network("macvlan", shared);
      await network("macvlan", shared, { id: b });
      expect(lan.driver.state.network(a)).to.deep.include({ parent: { name: "eth0.10", kind: "vlan" } });
      expect(lan.driver.state.network(b)).to.deep.include({ parent: { name: "eth0.10", kind: "vlan" } });
      expect(lan.world.links.require("eth0.10")).to.include({ kind: "vlan", vlanId: 10, up: true });
      await agree();
      await lan.driver.networks.delete(a);
      lan.world.links.require("eth0.10");
      await agree();
      await lan.driver.networks.delete(b);
      expect(lan.world.links.find("eth0.10")).to.equal(undefined);
      await agree();
    });

    it("keep the VLAN while one is made as another goes", async () => {
      const shared = { parent: "eth0.10" };
      await network("macvlan", shared);
      const [, made] = await Promise.all([lan.driver.networks.delete(a), network("macvlan", shared, { id: b })]);
      expect(made).to.equal("no error");
      lan.world.links.require("eth0.10");
      await agree();
      const [again] = await Promise.all([network("macvlan", shared), lan.driver.networks.delete(b)]);
      expect(again).to.equal("no error");
      lan.world.links.require("eth0.10");
      await agree();
    });

    it("leave a VLAN of the user's alone", async () => {
      const eth0 = lan.world.links.require("eth0");
      lan.world.links.add("eth0.10", "vlan", { up: true, lower: eth0.index, vlanId: 10 });
      await network("macvlan", { parent: "eth0.10" });
      expect(lan.driver.state.network(a)).to.deep.include({ parent: { name: "eth0.10", kind: "link" } });
      await lan.driver.networks.delete(a);
      await lan.driver.removals.flush();
      lan.world.links.require("eth0.10");
    });

    it("keep the VLAN for a network that had it of the user's, until it vanished", async () => {
      const shared = { parent: "eth0.10" };
      const eth0 = lan.world.links.require("eth0");
      lan.world.links.add("eth0.10", "vlan", { up: true, lower: eth0.index, vlanId: 10 });
      await network("macvlan", shared);
      lan.world.removeLink("eth0.10");
      await network("macvlan", shared, { id: b });
      await lan.driver.networks.delete(b);
      await lan.driver.reconciler.run();
      lan.world.links.require("eth0.10");
      await lan.driver.networks.delete(a);
      await lan.driver.reconciler.run();
      expect(lan.world.links.find("eth0.10")).to.equal(undefined);
    });

    it("make a parent that leads nowhere, for themselves, where none is given", async () => {
      await network("macvlan", { parent: "" });
      expect(lan.driver.state.network(a)).to.deep.include({ parent: { name: "tsp-a1000000000", kind: "dummy" } });
      expect(lan.world.links.require("tsp-a1000000000")).to.include({ kind: "dummy", up: true });
      await endpoint("e1");
      await agree();
      await lan.driver.networks.delete(a);
      await agree();
    });
  });

  describe("are refused, and nothing changes", () => {
    const refused: [what: string, message: string, prepare: () => unknown, make: () => Promise<string | null>][] = [
      [
        "a parent that does not exist",
        "parent=eth7: invalid subinterface vlan name eth7",
        () => {},
        () => network("macvlan", { parent: "eth7" }),
      ],
      [
        "a parent in another mode",
        `parent=eth0: macvlan network ${b} is already using parent interface eth0`,
        () => network("macvlan", {}, { id: b }),
        () => network("ipvlan"),
      ],
      [
        "a parent of a network of Docker's",
        "parent=eth0 is in use by the Docker network lan (ipvlan): give another parent, or remove that first",
        () => {
          const ipam = { ipamDriver: "default", ipamOptions: {}, subnets: [] };
          const other = { id: "1", name: "elsewhere", driver: "ipvlan", parent: "eth1", ...ipam };
          lan.world.dockerNetworks = [other, { ...other, id: "2", name: "lan", parent: "eth0" }];
        },
        () => network("macvlan"),
      ],
      [
        "a parent with a link of somebody's, in mode ipvlan",
        "parent=eth0 is in use by the link mac0 (macvlan): give another parent, or remove that first",
        () => lan.world.links.add("mac0", "macvlan", { lower: lan.world.links.require("eth0").index }),
        () => network("ipvlan"),
      ],
      [
        "an MTU above the parent's",
        "com.docker.network.driver.mtu=9000 is more than the 1500 bytes of eth0",
        () => {},
        () => network("macvlan", { "com.docker.network.driver.mtu": "9000" }),
      ],
    ];
    for (const [what, message, prepare, make] of refused) {
      it(what, async () => {
        await prepare();
        const before = structuredClone(lan.world.dump());
        expect(await make()).to.contain(message);
        expect(lan.world.dump()).to.deep.equal(before);
        expect(lan.driver.state.network(a)).to.equal(undefined);
      });
    }

    it("no parent with macvlan links of Docker's, where macvlan links are to be", async () => {
      const ipam = { ipamDriver: "default", ipamOptions: {}, subnets: [] };
      lan.world.dockerNetworks = [{ id: "1", name: "lan", driver: "macvlan", parent: "eth0", ...ipam }];
      expect(await network()).to.equal("no error");
      await lan.driver.networks.delete(a);
      expect(await network("macvlan", { macvlan_mode: "passthru" })).to.contain("the Docker network lan (macvlan)");
    });
  });

  it("make a VLAN again that has gone as a container starts", async () => {
    await network("macvlan", { ...unchecked, parent: "eth0.10" });
    lan.world.links.remove(lan.world.links.require("eth0.10"));
    expect(await endpoint("e1")).to.equal("02:42:c0:a8:01:0a");
    await agree();
  });

  it("have several subnets, and each address the gateway of its own", async () => {
    const ipv4 = [requestedSubnet("192.168.1.0/24", "192.168.1.1/24"), requestedSubnet("10.0.0.0/24", "10.0.0.254/24")];
    await network("macvlan", unchecked, { ipv4 });
    await endpoint("e1", { addresses: ["10.0.0.7/24"] });
    expect((await lan.driver.endpoints.join(a, idOf("e1"), sandbox)).gateway4).to.equal("10.0.0.254");
  });

  it("are the same after a restart, and can be asked for again", async () => {
    await network("macvlan", { parent: "eth0.10" });
    await endpoint("e1");
    lan.driver = await startDriver(lan.world, lan.driver.store);
    expect(await network("macvlan", { parent: "eth0.10" })).to.equal("no error");
    expect(await endpoint("e1")).to.equal("02:42:c0:a8:01:0a");
    await agree();
    expect(await network("macvlan", { parent: "eth0" })).to.contain(`network ${a} exists, and its parent is`);
  });
});
