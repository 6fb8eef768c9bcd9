import { expect } from "chai";
import type { MacvlanMode } from "../../../src/plan/network.ts";
import type { EnsureDummy, EnsureVlan } from "../../../src/plan/op-links.ts";
import { lanLink, removal, useLinks } from "../../support/links.ts";
import { ip, ipJson, linkJson, snapshot } from "../../support/netns.ts";

const shim = lanLink(1, { name: "tsh-1", alias: "tsnet:shim:1", up: true });

describe("LAN links", () => {
  const fixture = useLinks();
  const { ensure, failure } = fixture;
  const modeOf = (name: string): string => linkJson(name).linkinfo.info_data.mode;

  beforeEach(() => {
    ip("link add p0 type veth peer name p1");
    for (const name of ["p0", "p1"]) {
      ip(`link set ${name} addrgenmode none`);
      ip(`link set ${name} up`);
    }
  });

  describe("ensure-lan-link", () => {
    for (const mode of ["bridge", "private", "vepa"] as const) {
      it(`makes a macvlan link in mode ${mode}, down, with MAC and alias, and an MTU of its own or the parent's`, async () => {
        await ensure(lanLink(1, { link: { kind: "macvlan", mode } }), lanLink(2, { mtuBytes: 1400 }));
        expect(linkJson("tsm-1")).to.include({ link: "p0", address: "02:42:0a:09:00:01", mtu: 1500, group: "default" });
        expect(linkJson("tsm-1").ifalias).to.equal("tsnet:lan:1");
        expect(modeOf("tsm-1")).to.equal(mode);
        expect(linkJson("tsm-1").flags).not.to.include("UP");
        expect(linkJson("tsm-2").mtu).to.equal(1400);
      });
    }

    it("makes one without IPv6, for which the kernel's least MTU is 1280", async () => {
      await ensure(lanLink(1, { mtuBytes: 1279 }), { ...shim, mtuBytes: 68 });
      expect(linkJson("tsm-1")).to.include({ mtu: 1279, ifalias: "tsnet:lan:1", group: "default" });
      expect(linkJson("tsh-1")).to.include({ mtu: 68, ifalias: "tsnet:shim:1" });
    });

    it("leaves the MAC to the kernel where none is given, which takes the parent's for mode passthru", async () => {
      await ensure(lanLink(1, { mac: null, link: { kind: "macvlan", mode: "passthru" } }));
      expect(modeOf("tsm-1")).to.equal("passthru");
      expect(linkJson("tsm-1").address).to.equal(linkJson("p0").address);
    });

    it("takes it up where that is wanted, without an address of its own, and never down", async () => {
      await ensure(shim);
      expect(linkJson("tsh-1").flags).to.include.members(["UP", "LOWER_UP"]);
      expect(ipJson("addr show dev tsh-1")[0].addr_info).to.deep.equal([]);
      await ensure({ ...shim, up: false });
      expect(linkJson("tsh-1").flags).to.include("UP");
      ip("link set tsh-1 down");
      await ensure(shim);
      expect(linkJson("tsh-1").flags).to.include("UP");
    });

    it("has the effect of once when it is applied twice", async () => {
      await ensure(lanLink(1), shim);
      const [once, index] = [snapshot(), linkJson("tsm-1").ifindex];
      await ensure(lanLink(1), shim);
      expect([snapshot(), linkJson("tsm-1").ifindex]).to.deep.equal([once, index]);
    });

    it("brings MTU and MAC in line, without an MTU of its own the parent's, in place", async () => {
      await ensure(lanLink(1));
      const { ifindex } = linkJson("tsm-1");
      ip("link set tsm-1 address 02:00:00:00:00:09 mtu 1300");
      await ensure(lanLink(1));
      expect(linkJson("tsm-1")).to.include({ ifindex, address: "02:42:0a:09:00:01", mtu: 1500 });
      ip("link set p0 mtu 9000");
      await ensure(lanLink(1));
      expect(linkJson("tsm-1")).to.include({ ifindex, mtu: 9000 });
      await ensure(lanLink(1, { mtuBytes: 1400 }));
      expect(linkJson("tsm-1").mtu).to.equal(1400);
    });

    it("is made anew where the name of the parent is another link's now", async () => {
      await ensure(lanLink(1));
      ip("link set p0 name old");
      ip("link set p1 name p0");
      await ensure(lanLink(1));
      expect(linkJson("tsm-1")).to.include({ link: "p0", ifalias: "tsnet:lan:1" });
      fixture.own.flush();
      expect(ipJson("link show type macvlan")).to.have.length(1);
    });

    it("is made anew where it was left by a crash, without an alias", async () => {
      ip("link add tsm-1 link p0 group 1953721958 type macvlan mode vepa");
      await ensure(lanLink(1));
      expect(linkJson("tsm-1")).to.include({ ifalias: "tsnet:lan:1", group: "default", address: "02:42:0a:09:00:01" });
      expect(modeOf("tsm-1")).to.equal("bridge");
    });

    it("refuses a link of somebody's, and leaves it as it is", async () => {
      ip("link add tsm-1 link p0 type macvlan mode bridge");
      const before = snapshot();
      const error = await failure(lanLink(1));
      expect(error.code).to.equal("conflict");
      expect(error.message).to.equal(
        "ensure-lan-link tsm-1: the macvlan tsm-1 without an alias is not tsnet's tsnet:lan:1: rename or delete it",
      );
      expect(snapshot()).to.equal(before);
    });

    it("says which parent there is not", async () => {
      const error = await failure(lanLink(1, { parent: "p9" }));
      expect(error).to.include({ code: "kernel", errno: "ENODEV" });
      expect(error.message).to.equal("ensure-lan-link tsm-1: RTM_GETLINK: ENODEV No such device: p9");
    });

    it("names both MTUs where its own would be larger than the parent's", async () => {
      const error = await failure(lanLink(1, { mtuBytes: 9000 }));
      expect(error).to.include({ code: "invalid", errno: "EINVAL" });
      expect(error.message).to.contain("MTU 9000: the MTU of a link cannot be larger than that of its parent");
      expect(error.message).to.contain("p0 has 1500");
      expect(linkJson("tsm-1")).to.equal(undefined);
    });

    it("names a parent that is a port of a bridge", async () => {
      ip("link add br0 type bridge");
      ip("link set p0 master br0");
      const error = await failure(lanLink(1));
      expect(error).to.include({ code: "conflict", errno: "EBUSY" });
      expect(error.message).to.match(/^ensure-lan-link tsm-1: p0 is in use otherwise: .* ip -d link show /);
      await ensure(lanLink(1, { parent: "br0" }));
    });

    it("says why two links with one MAC are not up at once, and leaves the second down", async () => {
      await ensure({ ...shim, mac: "02:42:0a:09:00:02" });
      const error = await failure(lanLink(2, { up: true }));
      expect(error).to.include({ code: "conflict", errno: "EADDRINUSE" });
      expect(error.message).to.contain(
        "p0, or another macvlan link on it that is up, has the MAC address 02:42:0a:09:00:02",
      );
      expect(linkJson("tsm-2").flags).not.to.include("UP");
    });

    for (const [first, second] of [
      ["bridge", "passthru"],
      ["passthru", "bridge"],
      ["passthru", "passthru"],
    ] as const) {
      const of = (id: number, mode: MacvlanMode) => lanLink(id, { link: { kind: "macvlan", mode } });

      it(`refuses mode ${second} beside ${first}, until the first was taken out of use`, async () => {
        await ensure(of(1, first));
        const error = await failure(of(2, second));
        expect(error).to.include({ code: "conflict", errno: "EINVAL" });
        expect(error.message).to.contain("one in mode passthru must be the only macvlan link of its parent");
        await ensure(removal("tsm-1", "tsnet:lan:1"), of(2, second));
        expect(modeOf("tsm-2")).to.equal(second);
      });
    }

    it("takes loopback for no parent", async () => {
      const error = await failure(lanLink(1, { parent: "lo" }));
      expect(error).to.include({ code: "invalid", errno: "EINVAL" });
      expect(error.message).to.contain("lo is no Ethernet link");
      expect(linkJson("tsm-1")).to.equal(undefined);
    });
  });

  describe("set-link-down", () => {
    it("takes down what is ours, and nothing else", async () => {
      await ensure(shim, { op: "set-link-down", name: "tsh-1", alias: "tsnet:shim:2" });
      expect(linkJson("tsh-1").flags).to.include("UP");
      const down = { op: "set-link-down", name: "tsh-1", alias: "tsnet:shim:1" } as const;
      await ensure(down, down, { ...down, name: "tsh-9" });
      expect(linkJson("tsh-1").flags).not.to.include("UP");
    });
  });

  describe("remove-links", () => {
    it("frees the MAC at once, so that the next link can be up with it", async () => {
      await ensure(lanLink(1, { up: true }), removal("tsm-1", "tsnet:lan:1"));
      await ensure(lanLink(2, { mac: "02:42:0a:09:00:01", up: true }));
      expect(linkJson("tsm-2").flags).to.include("UP");
    });

    it("has nothing left to flush when the parent goes first", async () => {
      await ensure(lanLink(1), lanLink(2), removal("tsm-1", "tsnet:lan:1"));
      ip("link del p0");
      expect(ipJson("link show").map((link) => link.ifname)).to.deep.equal(["lo"]);
      fixture.own.flush();
    });
  });

  // this kernel has none of these modules; test/vm/kernel-links.test.ts has the kernel that does
  const vlan: EnsureVlan = { op: "ensure-vlan", name: "p0.10", alias: "tsnet:vlan:p0.10", base: "p0", vlanId: 10 };
  const dummy: EnsureDummy = { op: "ensure-dummy", name: "tsp-1", alias: "tsnet:dummy:1", mtuBytes: null };
  for (const [op, kind, module] of [
    [vlan, "vlan", "8021q"],
    [dummy, "dummy", "dummy"],
    [lanLink(1, { link: { kind: "ipvlan", mode: "l2", flag: "bridge" }, mac: null }), "ipvlan", "ipvlan"],
  ] as const) {
    it(`says which module a kernel without links of type ${kind} needs`, async function () {
      try {
        ip(`link add x0 ${kind === "dummy" ? "" : "link p0 "}type ${kind}${kind === "vlan" ? " id 9" : ""}`);
        this.skip();
      } catch (error) {
        if (!String(error).includes("Unknown device type")) throw error;
      }
      const error = await failure(op);
      expect(error).to.include({ code: "kernel", errno: "EOPNOTSUPP" });
      expect(error.message).to.equal(
        `${op.op} ${op.name}: the kernel cannot make a link of type ${kind}: its module ${module} is not loaded and could not be: modprobe ${module}`,
      );
    });
  }
});
