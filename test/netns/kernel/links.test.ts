import { expect } from "chai";
import { bridge, useLinks, veth } from "../../support/links.ts";
import { ip, linkJson, snapshot } from "../../support/netns.ts";

describe("links", () => {
  const { ensure, failure } = useLinks();

  describe("ensure-bridge", () => {
    it("makes a bridge with MAC, MTU, nf_call and alias, up", async () => {
      await ensure(bridge);
      const { address, mtu, ifalias, flags, group, linkinfo } = linkJson("tsb-1");
      expect({ address, mtu, ifalias, group }).to.deep.equal({
        ...{ address: bridge.mac, mtu: 1450, ifalias: bridge.alias, group: "default" },
      });
      expect(flags).to.include("UP");
      expect(linkinfo.info_kind).to.equal("bridge");
      expect(linkinfo.info_data).to.include({ nf_call_iptables: 1, nf_call_ip6tables: 1, stp_state: 0 });
    });

    it("has the effect of once when it is applied twice", async () => {
      await ensure(bridge);
      const once = snapshot();
      await ensure(bridge);
      expect(snapshot()).to.equal(once);
    });

    it("keeps its MTU when a port with a smaller one comes", async () => {
      await ensure({ ...bridge, mtuBytes: 4000 }, veth(1, { mtuBytes: 1400 }));
      expect(linkJson("tsb-1").mtu).to.equal(4000);
    });

    it("brings in line what somebody changed", async () => {
      await ensure(bridge);
      ip("link set tsb-1 down address 02:00:00:00:00:09 mtu 1300 type bridge nf_call_iptables 0");
      await ensure(bridge);
      expect(linkJson("tsb-1")).to.include({ address: bridge.mac, mtu: 1450 });
      expect(linkJson("tsb-1").flags).to.include("UP");
      expect(linkJson("tsb-1").linkinfo.info_data.nf_call_iptables).to.equal(1);
    });

    it("finishes what a crash left without an alias", async () => {
      ip("link add tsb-1 group 1953721958 type bridge");
      await ensure(bridge);
      expect(linkJson("tsb-1")).to.include({ ifalias: bridge.alias, group: "default", address: bridge.mac });
    });

    for (const [what, command, says] of [
      ["a bridge of somebody's", "link add tsb-1 type bridge", "the bridge tsb-1 without an alias is not tsnet's"],
      [
        "a link of another kind",
        "link add tsb-1 type veth peer name other",
        "the veth tsb-1 without an alias is not tsnet's",
      ],
    ] as const) {
      it(`refuses ${what} and leaves it as it is`, async () => {
        ip(command);
        const before = snapshot();
        const error = await failure(bridge);
        expect(error.code).to.equal("conflict");
        expect(error.message)
          .to.match(/^ensure-bridge tsb-1: /)
          .and.contain(says);
        expect(snapshot()).to.equal(before);
      });
    }

    it("refuses a bridge of another network of ours", async () => {
      await ensure(bridge);
      const { code, message } = await failure({ ...bridge, alias: "tsnet:bridge:2" });
      expect(code).to.equal("conflict");
      expect(message).to.contain('with the alias "tsnet:bridge:1"');
    });

    it("says what the kernel says, and leaves nothing of a link that it could not finish", async () => {
      const error = await failure({ ...bridge, mtuBytes: 99_999 });
      expect(error).to.include({ code: "kernel", errno: "EINVAL" });
      expect(error.message).to.equal(
        "ensure-bridge tsb-1: RTM_NEWLINK: EINVAL Invalid argument: mtu greater than device maximum",
      );
      expect(linkJson("tsb-1")).to.equal(undefined);
    });

    it("uses a bridge of the user's as it is, but up and with nf_call where that is wanted", async () => {
      ip("link add br0 address 02:00:00:00:00:01 mtu 1400 type bridge");
      await ensure({ ...bridge, name: "br0", alias: null, nfCall: false });
      expect(linkJson("br0").flags).to.include("UP");
      expect(linkJson("br0").linkinfo.info_data.nf_call_iptables).to.equal(0);
      await ensure({ ...bridge, name: "br0", alias: null });
      expect(linkJson("br0").linkinfo.info_data).to.include({ nf_call_iptables: 1, nf_call_ip6tables: 1 });
      expect(linkJson("br0")).to.include({ address: "02:00:00:00:00:01", mtu: 1400 });
      expect(linkJson("br0").ifalias).to.equal(undefined);
    });

    it("makes no bridge for the user, and refuses another kind", async () => {
      expect(await failure({ ...bridge, name: "br0", alias: null })).to.include({ code: "kernel", errno: "ENODEV" });
      ip("link add br0 type veth peer name other");
      const error = await failure({ ...bridge, name: "br0", alias: null });
      expect(error.message).to.equal("ensure-bridge br0: existing interface br0 is not a bridge");
      expect(error.code).to.equal("conflict");
    });
  });

  describe("ensure-veth", () => {
    beforeEach(() => ensure(bridge));

    it("makes a port of the bridge that is up, and a container end that is down", async () => {
      await ensure(veth(1, { hairpin: true }));
      const host = linkJson("tsv-1");
      expect(host).to.include({ master: "tsb-1", ifalias: "tsnet:veth:1", mtu: 1450, group: "default" });
      expect(host.flags).to.include("UP");
      expect(host.inet6_addr_gen_mode).to.equal("none");
      expect(host.linkinfo.info_slave_data.hairpin).to.equal(true);
      const peer = linkJson("tsc-1");
      expect(peer).to.include({ link: "tsv-1", ifalias: "tsnet:peer:1", mtu: 1450, group: "default" });
      expect(peer.flags).not.to.include("UP");
    });

    it("makes a pair without IPv6, for which the kernel's least MTU is 1280", async () => {
      await ensure(veth(1, { mtuBytes: 1279, hairpin: true }));
      const host = linkJson("tsv-1");
      expect(host).to.include({ master: "tsb-1", ifalias: "tsnet:veth:1", mtu: 1279, group: "default" });
      expect(host.flags).to.include("UP");
      expect(host.linkinfo.info_slave_data.hairpin).to.equal(true);
      expect(linkJson("tsc-1")).to.include({ ifalias: "tsnet:peer:1", mtu: 1279 });
    });

    it("has the effect of once when it is applied twice", async () => {
      await ensure(veth(1));
      const once = snapshot();
      await ensure(veth(1));
      expect(snapshot()).to.equal(once);
    });

    it("mends a host end that was taken down, off its bridge and out of hairpin mode", async () => {
      await ensure(veth(1, { hairpin: true }));
      ip("link set tsv-1 down nomaster mtu 1300");
      await ensure(veth(1, { hairpin: true }));
      expect(linkJson("tsv-1")).to.include({ master: "tsb-1", mtu: 1450 });
      expect(linkJson("tsv-1").flags).to.include("UP");
      expect(linkJson("tsv-1").linkinfo.info_slave_data.hairpin).to.equal(true);
    });

    it("finishes a pair that a crash left without aliases", async () => {
      const group = "group 1953721958";
      ip(`link add tsv-1 ${group} type veth peer name tsc-1 ${group}`);
      await ensure(veth(1));
      expect(linkJson("tsv-1")).to.include({ ifalias: "tsnet:veth:1", group: "default", master: "tsb-1" });
      expect(linkJson("tsc-1")).to.include({ ifalias: "tsnet:peer:1", group: "default" });
    });

    it("does not touch a container end that was moved away, nor a link that has its old name", async () => {
      await ensure(veth(1));
      ip("netns add box");
      try {
        ip("link set tsc-1 netns box name eth0 alias mine");
        ip("link add tsc-1 type bridge");
        const inside = ip("-n box -d link show eth0");
        await ensure(veth(1));
        expect(ip("-n box -d link show eth0")).to.equal(inside);
        expect(linkJson("tsc-1").ifalias).to.equal(undefined);
      } finally {
        ip("link del tsv-1"); // the namespace would take it along some time later
        ip("netns del box");
      }
    });

    for (const [what, command, says] of [
      ["host end", "link add tsv-1 type bridge", "the bridge tsv-1 without an alias is in the way"],
      ["container end", "link add tsc-1 type bridge", "the bridge tsc-1 without an alias is in the way"],
    ] as const) {
      it(`names the link that has the name of the ${what}`, async () => {
        ip(command);
        const before = snapshot();
        const error = await failure(veth(1));
        expect(error.code).to.equal("conflict");
        expect(error.message).to.contain(`ensure-veth tsv-1: ${says}`);
        expect(snapshot()).to.equal(before);
      });
    }

    it("needs its bridge", async () => {
      const error = await failure(veth(1, { master: "tsb-2" }));
      expect(error).to.include({ code: "kernel", errno: "ENODEV" });
      expect(error.message).to.equal("ensure-veth tsv-1: RTM_GETLINK: ENODEV No such device: tsb-2");
    });

    it("is put right by ensure-port, which refuses a link that is not ours", async () => {
      await ensure(veth(1, { hairpin: true }));
      ip("link set tsv-1 nomaster down");
      await ensure({ op: "ensure-port", name: "tsv-1", master: "tsb-1", hairpin: true });
      expect(linkJson("tsv-1").master).to.equal("tsb-1");
      expect(linkJson("tsv-1").linkinfo.info_slave_data.hairpin).to.equal(true);
      await ensure({ op: "ensure-port", name: "tsv-1", master: "tsb-1", hairpin: false });
      expect(linkJson("tsv-1").linkinfo.info_slave_data.hairpin).to.equal(false);
      ip("link add br0 type bridge");
      const error = await failure({ op: "ensure-port", name: "br0", master: "tsb-1", hairpin: false });
      expect(error.code).to.equal("conflict");
    });
  });
});
