import { expect } from "chai";
import { LanDriver } from "../../support/lan-driver.ts";
import { until } from "../../support/poll.ts";
import { idOf } from "../../support/values.ts";

const a = idOf("a1");
const b = idOf("b2");
const sandbox = "/var/run/docker/netns/e1";
const unchecked = { "tsnet.duplicate_check": "false" };

describe("addresses of networks on a parent", () => {
  const lan = LanDriver.use();
  const { network, endpoint, agree } = lan;

  describe("have endpoints that are refused, and nothing changes", () => {
    const ownAddress = "address 192.168.1.2 of network";
    const advice = "give another --ip, or keep it from containers with --aux-address";
    const onLan: [what: string, message: string, prepare: () => unknown, make: () => Promise<string | null>][] = [
      [
        "the host's own address",
        `${ownAddress} ${a} is the host's own, on eth0: ${advice}`,
        () => network(),
        () => endpoint("e1", { addresses: ["192.168.1.2/24"] }),
      ],
      [
        "an address of a network on the same parent",
        `address 192.168.1.10 of network ${a} is held by endpoint ${idOf("f1")} of network ${b} on the same parent: give another --ip`,
        async () => {
          await network("macvlan", unchecked);
          await network("macvlan", unchecked, { id: b });
          await endpoint("f1", { network: b });
          await lan.driver.endpoints.join(b, idOf("f1"), sandbox);
          lan.world.moveIntoSandbox("tsm-f1000000000", sandbox);
        },
        () => endpoint("e1"),
      ],
      [
        "a MAC address of a network on the same parent",
        `the MAC address 02:00:00:00:aa:01 of network ${a} is held by endpoint ${idOf("f1")} of network ${b} on the same parent: give another --mac-address`,
        async () => {
          await network("macvlan", unchecked);
          await network("macvlan", unchecked, { id: b });
          await endpoint("f1", { network: b, addresses: ["192.168.1.11/24"], mac: "02:00:00:00:aa:01" });
          await lan.driver.endpoints.join(b, idOf("f1"), sandbox);
          lan.world.moveIntoSandbox("tsm-f1000000000", sandbox);
        },
        () => endpoint("e1", { mac: "02:00:00:00:aa:01" }),
      ],
      [
        "the host's address in a network on the same parent",
        `address 192.168.1.250 of network ${a} is the host's own in network ${b} (tsnet.host_address): ${advice}`,
        async () => {
          await network("macvlan", unchecked);
          const access = { "tsnet.host_access": "true", "tsnet.host_address": "192.168.1.250" };
          await network("macvlan", { ...unchecked, ...access }, { id: b });
        },
        () => endpoint("e1", { addresses: ["192.168.1.250/24"] }),
      ],
      [
        "a second container in mode passthru",
        `macvlan_mode=passthru: the network is for one container, and endpoint ${idOf("f1")} has it`,
        async () => {
          await network("macvlan", { ...unchecked, macvlan_mode: "passthru" });
          await endpoint("f1", { addresses: ["192.168.1.11/24"] });
        },
        () => endpoint("e1"),
      ],
      [
        "a link of an MTU that the parent does not have any more, in mode passthru",
        "ensure-lan-link tsm-e1000000000: MTU 1400: ",
        async () => {
          const mtu = { "com.docker.network.driver.mtu": "1400" };
          await network("macvlan", { ...unchecked, ...mtu, macvlan_mode: "passthru" });
          await endpoint("f1", { addresses: ["192.168.1.11/24"] });
          lan.world.links.require("eth0").mtuBytes = 1280;
        },
        () => endpoint("e1"),
      ],
      [
        "a parent that somebody has taken since, who is named",
        "parent=eth0 is in use by the Docker network lan (ipvlan), the link ipv0 (ipvlan)",
        async () => {
          await network("macvlan", unchecked);
          const ipam = { ipamDriver: "default", ipamOptions: {}, subnets: [] };
          lan.world.dockerNetworks = [{ id: "1", name: "lan", driver: "ipvlan", parent: "eth0", ...ipam }];
          lan.world.links.add("ipv0", "ipvlan", { lower: lan.world.links.require("eth0").index });
        },
        () => endpoint("e1"),
      ],
      [
        "a parent that is gone",
        "the requested parent interface eth1 was not found on the Docker host",
        async () => {
          lan.world.links.add("eth1", "");
          await network("macvlan", { ...unchecked, parent: "eth1" });
          lan.world.removeLink("eth1");
        },
        () => endpoint("e1"),
      ],
    ];
    for (const [what, message, prepare, make] of onLan) {
      it(what, async () => {
        await prepare();
        const before = structuredClone(lan.world.dump());
        expect(await make()).to.contain(message);
        await lan.driver.removals.flush();
        expect(lan.world.dump()).to.deep.equal(before);
        expect(lan.driver.state.endpoint(idOf("e1"))).to.equal(undefined);
      });
    }
  });

  it("take the address from an endpoint that Docker has left behind on another network of the parent", async () => {
    await network("macvlan", unchecked);
    await network("macvlan", unchecked, { id: b });
    await endpoint("f1", { network: b });
    expect(await endpoint("e1")).to.equal("02:42:c0:a8:01:0a");
    expect(lan.driver.state.endpoint(idOf("f1"))).to.equal(undefined);
    await agree();
  });

  describe("look for duplicates", () => {
    const seen = (): unknown[] => lan.driver.faults.steps.filter((step) => step.startsWith("probe"));

    it("and refuse an address that somebody on the segment has, with the MAC address", async () => {
      await network();
      lan.world.strangers.set("192.168.1.10", "02:00:00:00:99:99");
      const before = structuredClone(lan.world.dump());
      const text = `address 192.168.1.10 of network ${a} is in use on eth0 by 02:00:00:00:99:99: give another --ip, or keep it`;
      expect(await endpoint("e1"))
        .to.contain(text)
        .and.contain("; tsnet.duplicate_check=false turns the check off");
      await lan.driver.removals.flush();
      expect(lan.world.dump()).to.deep.equal(before);
      expect(lan.driver.state.endpoint(idOf("e1"))).to.equal(undefined);
      lan.world.strangers.clear();
      expect(await endpoint("e1")).to.equal("02:42:c0:a8:01:0a");
      await agree();
    });

    it("from a link that says nothing of itself, and is down again afterwards", async () => {
      await network();
      const held = lan.driver.faults.hold("probe-addresses");
      const made = endpoint("e1");
      await until("up", 1000, () => lan.world.links.find("tsm-e1000000000")?.up === true);
      expect(lan.world.sysctls.get("net/ipv4/conf/tsm-e1000000000/arp_ignore")).to.equal("8");
      expect(lan.world.sysctls.get("net/ipv6/conf/tsm-e1000000000/disable_ipv6")).to.equal("1");
      expect(await endpoint("e2", { addresses: ["192.168.1.11/24"] })).to.equal("02:42:c0:a8:01:0b");
      held.resolve();
      expect(await made).to.equal("02:42:c0:a8:01:0a");
      expect(lan.world.links.require("tsm-e1000000000").up).to.equal(false);
    });

    it("and name the parent where it goes meanwhile", async () => {
      await network();
      const held = lan.driver.faults.hold("probe-addresses");
      const made = endpoint("e1");
      await until("up", 1000, () => lan.world.links.find("tsm-e1000000000")?.up === true);
      lan.world.removeLink("eth0");
      held.resolve();
      expect(await made).to.contain("the requested parent interface eth0 was not found on the Docker host");
      expect(lan.driver.state.endpoint(idOf("e1"))).to.equal(undefined);
    });

    for (const mode of ["macvlan", "ipvlan"] as const) {
      it(`but let a container start while the parent is down, with a warning, in mode ${mode}`, async () => {
        await network(mode);
        lan.world.changeLink("eth0", { up: false });
        expect(await endpoint("e1")).to.equal(mode === "ipvlan" ? null : "02:42:c0:a8:01:0a");
        expect(lan.driver.log.lines.at(-1)).to.contain(
          "warn: nobody could be asked for duplicates: the parent eth0 is down or has no carrier",
        );
        expect(lan.world.links.require("tsm-e1000000000").up).to.equal(false);
      });
    }

    it("once for an endpoint, and not where there is nobody to ask or nobody wants it", async () => {
      await network();
      await endpoint("e1");
      await endpoint("e1");
      expect(seen()).to.have.length(1);
      await lan.driver.networks.delete(a);
      for (const [mode, options, values] of [
        ["ipvlan", { ipvlan_mode: "l3" }, {}],
        ["macvlan", { parent: "" }, {}],
        ["macvlan", unchecked, {}],
      ] as const) {
        await network(mode, options, values);
        expect(String(await endpoint("e1"))).to.not.contain(" ");
        await lan.driver.networks.delete(a);
      }
      expect(seen()).to.have.length(1);
    });
  });

  describe("announce a container", () => {
    const start = async (options: Readonly<Record<string, string>> = {}, mode: "macvlan" | "ipvlan" = "macvlan") => {
      await network(mode, options);
      await endpoint("e1");
      await lan.driver.endpoints.join(a, idOf("e1"), sandbox);
      lan.world.moveIntoSandbox("tsm-e1000000000", sandbox);
      await lan.driver.announcements.idle();
    };

    it("when dockerd has taken its link", async () => {
      await start();
      const alias = `tsnet:lan:${idOf("e1")}`;
      expect(lan.world.announcements).to.deep.equal([{ sandbox, alias, addresses: ["192.168.1.10"] }]);
    });

    it("only where there are neighbors", async () => {
      await start({ ipvlan_mode: "l3" }, "ipvlan");
      expect(lan.world.announcements).to.deep.equal([]);
    });

    it("and say so if that fails, which hinders nobody", async () => {
      await network();
      await endpoint("e1");
      await lan.driver.endpoints.join(a, idOf("e1"), sandbox);
      void lan.driver.faults.arm({ kind: "before", at: 1, errno: "EPERM" });
      lan.world.moveIntoSandbox("tsm-e1000000000", sandbox);
      await lan.driver.announcements.idle();
      expect(lan.driver.log.lines.at(-1))
        .to.contain("the addresses of a container could not be announced")
        .and.contain("EPERM");
      await agree();
    });
  });
});
