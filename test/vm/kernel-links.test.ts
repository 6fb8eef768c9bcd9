import { expect } from "chai";
import { observe } from "../../src/kernel/observe.ts";
import type { IpvlanFlag, IpvlanMode } from "../../src/plan/network.ts";
import type { EnsureDummy, EnsureLanLink, EnsureVlan } from "../../src/plan/op-links.ts";
import { lanLink, removal, useLinks } from "../support/links.ts";
import { ip, ipJson, linkJson, linksAt } from "../support/netns.ts";

const dummy: EnsureDummy = { op: "ensure-dummy", name: "tsp-1", alias: "tsnet:dummy:1", mtuBytes: null };
const vlan: EnsureVlan = { op: "ensure-vlan", name: "p0.10", alias: "tsnet:vlan:p0.10", base: "p0", vlanId: 10 };
const ipvlan = (id: number, changes: Partial<EnsureLanLink> = {}): EnsureLanLink =>
  lanLink(id, { link: { kind: "ipvlan", mode: "l2", flag: "bridge" }, mac: null, ...changes });

const names = (): string[] => ipJson("link show").map(({ ifname }) => ifname);
// biome-ignore lint/suspicious/noExplicitAny: the output of ip has no type
const addressesOf = (link: any): string[] => link.addr_info.map(({ local }: { local: string }) => local);

describe("links of kinds that need modules", () => {
  // before the comparison of what is left
  afterEach(() => {
    ip("netns del box");
  });
  const fixture = useLinks();
  const { ensure, failure } = fixture;

  beforeEach(() => {
    ip("netns add box");
    ip("link add p0 type veth peer name p1");
    for (const name of ["p0", "p1"]) {
      ip(`link set ${name} addrgenmode none`);
      ip(`link set ${name} up`);
    }
  });

  describe("ensure-dummy", () => {
    it("makes a dummy, up, without an address, with an MTU of its own or the kernel's, once", async () => {
      await ensure(dummy, { ...dummy, name: "tsp-2", alias: "tsnet:dummy:2", mtuBytes: 9000 });
      expect(linkJson("tsp-1")).to.include({ ifalias: "tsnet:dummy:1", mtu: 1500, group: "default" });
      expect(linkJson("tsp-1").flags).to.include("UP");
      expect(addressesOf(ipJson("addr show dev tsp-1")[0])).to.deep.equal([]);
      expect(linkJson("tsp-2").mtu).to.equal(9000);
      const once = linksAt();
      await ensure(dummy);
      expect(linksAt()).to.deep.equal(once);
      ip("link set tsp-1 down");
      await ensure({ ...dummy, mtuBytes: 1400 });
      expect(linkJson("tsp-1").mtu).to.equal(1400);
      expect(linkJson("tsp-1").flags).to.include("UP");
    });

    it("refuses a link of somebody's", async () => {
      ip("link add tsp-1 type dummy");
      expect((await failure(dummy)).message).to.equal(
        "ensure-dummy tsp-1: the dummy tsp-1 without an alias is not tsnet's tsnet:dummy:1: rename or delete it",
      );
    });

    it("goes with the links on it, whatever order they are taken out of use in, and takes those in containers along", async () => {
      const on = { parent: "tsp-1" };
      await ensure(dummy, lanLink(1, on), lanLink(2, on), lanLink(3, on));
      ip("link set tsm-3 netns box");
      await ensure(removal("tsm-1", "tsnet:lan:1"), removal("tsp-1", "tsnet:dummy:1"), removal("tsm-2", "tsnet:lan:2"));
      expect(names().filter((name) => /^ts[mp]-/.test(name))).to.deep.equal([]);
      fixture.own.flush();
      expect(names()).to.have.members(["lo", "p0", "p1"]);
      expect(ip("-n box -br link show")).not.to.contain("tsm-3");
    });
  });

  describe("ensure-vlan", () => {
    it("makes an 802.1Q link, up, without an address, once, and is observed with ID and base", async () => {
      await ensure(vlan);
      expect(linkJson("p0.10")).to.include({ link: "p0", ifalias: "tsnet:vlan:p0.10", group: "default" });
      expect(linkJson("p0.10").linkinfo.info_data).to.include({ protocol: "802.1Q", id: 10 });
      expect(linkJson("p0.10").flags).to.include.members(["UP", "LOWER_UP"]);
      expect(addressesOf(ipJson("addr show dev p0.10")[0])).to.deep.equal([]);
      const seen = observe(fixture.own.rtnetlink, "all").links.find(({ name }) => name === "p0.10");
      expect(seen).to.include({ kind: "vlan", vlanId: 10, lower: linkJson("p0").ifindex });
      const once = linksAt();
      await ensure(vlan);
      expect(linksAt()).to.deep.equal(once);
    });

    it("follows the MTU of its base, and is made anew on another base or with another ID", async () => {
      await ensure(vlan);
      ip("link set p0 mtu 9000");
      await ensure(vlan);
      expect(linkJson("p0.10").mtu).to.equal(9000);
      await ensure({ ...vlan, vlanId: 4094 });
      expect(linkJson("p0.10").linkinfo.info_data.id).to.equal(4094);
      await ensure({ ...vlan, base: "p1" });
      expect(linkJson("p0.10")).to.include({ link: "p1", mtu: 1500 });
    });

    it("waits down for a base that is down, and comes up with it", async () => {
      ip("link set p0 down");
      await ensure(vlan, vlan);
      expect(linkJson("p0.10").flags).not.to.include("UP");
      ip("link set p0 up");
      expect(linkJson("p0.10").flags).to.include("UP");
    });

    it("names the link that has its ID, and none that was taken out of use", async () => {
      ip("link add theirs link p0 type vlan id 10");
      const error = await failure(vlan);
      expect(error.code).to.equal("conflict");
      expect(error.message).to.equal(
        "ensure-vlan p0.10: the vlan theirs without an alias has the VLAN ID 10 of p0: rename or delete it",
      );
      ip("link del theirs");
      await ensure(vlan, removal("p0.10", vlan.alias), vlan);
      expect(linkJson("p0.10").ifalias).to.equal(vlan.alias);
    });

    it("says that there is no such base", async () => {
      expect((await failure({ ...vlan, base: "p9" })).message).to.equal(
        "ensure-vlan p0.10: RTM_GETLINK: ENODEV No such device: p9",
      );
    });

    it("takes the links of containers along when it goes, which come back with it", async () => {
      const link = lanLink(1, { parent: "p0.10" });
      const { up: _, ...on } = link;
      await ensure(vlan, link);
      ip("link set tsm-1 netns box");
      ip("link del p0.10");
      expect(ip("-n box -br link show")).not.to.contain("tsm-1");
      await ensure(vlan, {
        ...{ ...on, op: "restore-lan-link", sandbox: "/run/netns/box", interfacePrefix: "eth", onLink: [] },
        ...{ addresses: ["10.9.0.7/24"], gateways: ["10.9.0.1"] },
      });
      expect(ip("-n box route show")).to.contain("default via 10.9.0.1 dev eth0");
    });
  });

  describe("ensure-lan-link of ipvlan", () => {
    for (const [mode, flag] of [
      ["l2", "bridge"],
      ["l3", "private"],
      ["l3s", "vepa"],
    ] as [IpvlanMode, IpvlanFlag][]) {
      it(`makes a link in mode ${mode} ${flag}, with the parent's MAC and MTU, once`, async () => {
        const op = ipvlan(1, { link: { kind: "ipvlan", mode, flag } });
        await ensure(op);
        const link = linkJson("tsm-1");
        expect(link).to.include({ link: "p0", address: linkJson("p0").address, mtu: 1500, ifalias: "tsnet:lan:1" });
        // versions of ip write the flag differently in JSON
        expect(ip("-d link show dev tsm-1").replace(/ +/g, " ")).to.contain(`ipvlan mode ${mode} ${flag} `);
        expect(link.flags).not.to.include("UP");
        const once = linksAt();
        await ensure(op);
        expect(linksAt()).to.deep.equal(once);
      });
    }

    it("gets its link-local address in the container only, like those of several with one MAC", async () => {
      await ensure(ipvlan(1, { up: true }), ipvlan(2));
      expect(addressesOf(ipJson("addr show dev tsm-1")[0])).to.deep.equal([]);
      ip("link set tsm-2 netns box");
      ip("-n box link set tsm-2 up");
      const [address = "", ...more] = addressesOf(ipJson("-n box addr show dev tsm-2")[0]);
      expect(address).to.match(/^fe80::/);
      expect(more).to.deep.equal([]);
      expect(ipJson("-n box link show dev tsm-2")[0].ifalias).to.equal("tsnet:lan:2");
    });

    it("refuses an MTU larger than the parent's, which the kernel would take", async () => {
      expect((await failure(ipvlan(1, { mtuBytes: 9000 }))).message).to.contain("p0 has 1500");
    });

    it("is refused beside macvlan, and macvlan beside it, until the others were taken out of use", async () => {
      await ensure(lanLink(1));
      const error = await failure(ipvlan(2));
      expect(error).to.include({ code: "conflict", errno: "EBUSY" });
      expect(error.message).to.match(/^ensure-lan-link tsm-2: p0 is in use otherwise: /);
      await ensure(removal("tsm-1", "tsnet:lan:1"), ipvlan(2));
      expect(await failure(lanLink(1))).to.include({ code: "conflict", errno: "EBUSY" });
      await ensure(removal("tsm-2", "tsnet:lan:2"), lanLink(1));
    });

    it("is put back into its container, without a gateway where there is none", async () => {
      const { up: _, ...link } = ipvlan(1, { link: { kind: "ipvlan", mode: "l3", flag: "bridge" } });
      await ensure({
        ...{ ...link, op: "restore-lan-link", sandbox: "/run/netns/box", interfacePrefix: "eth" },
        ...{ addresses: ["10.9.0.7/24", "fd00:9::7/64"], gateways: [], onLink: ["0.0.0.0/0", "::/0"] },
      });
      expect(ip("-n box -4 route show")).to.contain("default dev eth0 scope link");
      expect(ip("-n box -6 route show")).to.contain("default dev eth0");
      const [inside] = ipJson("-n box addr show dev eth0");
      expect(inside).to.include({ ifalias: "tsnet:lan:1", group: "default" });
      expect(addressesOf(inside)).to.include.members(["10.9.0.7", "fd00:9::7"]);
    });
  });
});
