import { expect } from "chai";
import { TsnetError } from "../../../src/errors.ts";
import { apply } from "../../../src/kernel/apply.ts";
import * as forward from "../../../src/kernel/forward.ts";
import { Links, removalGroup } from "../../../src/kernel/links.ts";
import { Rtnetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import type { EnsureBridge, EnsureVeth, Op } from "../../../src/plan/op.ts";
import { expectNoLeftovers, ip, ipJson, linkJson, snapshot } from "../../support/netns.ts";

const bridge: EnsureBridge = {
  op: "ensure-bridge",
  name: "tsb-1",
  alias: "tsnet:bridge:1",
  mac: "02:42:ac:12:00:01",
  mtuBytes: 1450,
  nfCall: true,
};

const veth = (id: number, changes: Partial<EnsureVeth> = {}): EnsureVeth => ({
  op: "ensure-veth",
  name: `tsv-${id}`,
  peer: `tsc-${id}`,
  alias: `tsnet:veth:${id}`,
  peerAlias: `tsnet:peer:${id}`,
  master: "tsb-1",
  mtuBytes: 1450,
  hairpin: false,
  ...changes,
});

const removal = (name: string, alias: string): Op => ({ op: "remove-links", links: [{ name, alias }] });

describe("links", () => {
  expectNoLeftovers();
  let rtnetlink: Rtnetlink;
  let links: Links;
  const nft = { run: () => expect.fail("no nft here") };
  const ensure = (...ops: Op[]): Promise<void> => apply(ops, { links, nft, forward });
  const failure = async (...ops: Op[]): Promise<TsnetError> => {
    const error = await ensure(...ops).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(TsnetError);
    return error as TsnetError;
  };
  beforeEach(() => {
    rtnetlink = new Rtnetlink();
    links = new Links(rtnetlink);
  });
  afterEach(() => {
    for (const { ifname } of ipJson("link show")) {
      if (ifname !== "lo" && linkJson(ifname)) ip(`link del ${ifname}`);
    }
    rtnetlink.close();
  });

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
      ["a link of another kind", "link add tsb-1 type dummy", "the dummy tsb-1 without an alias is not tsnet's"],
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
      ip("link add br0 type dummy");
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
        ip("link add tsc-1 type dummy");
        const inside = ip("-n box -d link show eth0");
        await ensure(veth(1));
        expect(ip("-n box -d link show eth0")).to.equal(inside);
        expect(linkJson("tsc-1").ifalias).to.equal(undefined);
      } finally {
        ip("netns del box");
      }
    });

    for (const [what, command, says] of [
      ["host end", "link add tsv-1 type dummy", "the dummy tsv-1 without an alias is in the way"],
      ["container end", "link add tsc-1 type dummy", "the dummy tsc-1 without an alias is in the way"],
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
      ip("link add dummy0 type dummy");
      const error = await failure({ op: "ensure-port", name: "dummy0", master: "tsb-1", hairpin: false });
      expect(error.code).to.equal("conflict");
    });
  });

  describe("remove-links", () => {
    beforeEach(() => ensure(bridge, { op: "ensure-address", link: "tsb-1", address: "10.9.0.1/16" }));

    it("frees the name at once, takes the port off its bridge, and leaves the deletion to the flush", async () => {
      await ensure(veth(1), removal("tsv-1", "tsnet:veth:1"));
      expect(linkJson("tsv-1")).to.equal(undefined);
      const [doomed] = ipJson(`link show group ${removalGroup}`);
      expect(doomed.ifname).to.match(/^tsd-/);
      expect(doomed.master).to.equal(undefined);
      expect(doomed.flags).not.to.include("UP");
      links.flushRemoved();
      expect(ipJson("link show").map((link) => link.ifname)).to.have.members(["lo", "tsb-1"]);
    });

    it("takes the routes of a bridge with it at once", async () => {
      expect(ip("route show")).to.contain("10.9.0.0/16 dev tsb-1");
      await ensure(removal("tsb-1", "tsnet:bridge:1"));
      expect(ip("route show")).to.equal("");
      links.flushRemoved();
      expect(ip("route show table all")).not.to.contain("10.9.");
    });

    it("deletes 200 links with one flush, and takes an empty group", async () => {
      const ids = Array.from({ length: 200 }, (_, n) => n);
      await ensure(...ids.map((id) => veth(id)));
      await ensure(...ids.map((id) => removal(`tsv-${id}`, `tsnet:veth:${id}`)));
      expect(ipJson(`link show group ${removalGroup}`)).to.have.length(200);
      links.flushRemoved();
      expect(ipJson("link show").map((link) => link.ifname)).to.have.members(["lo", "tsb-1"]);
      links.flushRemoved();
    });

    it("takes a link that is gone", async () => {
      await ensure(removal("tsv-1", "tsnet:veth:1"));
    });

    it("refuses a link with another alias, or none, and leaves it as it is", async () => {
      await ensure(veth(1));
      ip("link add dummy0 type dummy");
      const before = snapshot();
      for (const name of ["tsv-1", "dummy0"]) {
        const error = await failure(removal(name, "tsnet:veth:2"));
        expect(error.code).to.equal("conflict");
        expect(error.message).to.contain(`remove-links ${name}: `).and.contain("is not tsnet's tsnet:veth:2");
      }
      expect(snapshot()).to.equal(before);
    });
  });

  describe("addresses and routes", () => {
    beforeEach(() => ensure(bridge));

    for (const [address, destination, source] of [
      ["10.9.0.1/16", "10.9.0.0/16", "10.9.0.1"],
      ["fd00:9::1/64", "fd00:9::/64", "fd00:9::1"],
    ] as const) {
      const family = address.includes(":") ? "-6 " : "-4 ";
      const routes = (): string => ip(`${family}route show dev tsb-1 proto kernel`);

      it(`adds ${address} once, and removes it as often as it likes`, async () => {
        const op = { link: "tsb-1", address };
        await ensure({ op: "ensure-address", ...op });
        const once = snapshot();
        await ensure({ op: "ensure-address", ...op });
        expect(snapshot()).to.equal(once);
        const infos = ipJson("addr show dev tsb-1").flatMap((link) => link.addr_info ?? []);
        const info = infos.find(({ local }) => local === source);
        expect(info.prefixlen).to.equal(Number(address.split("/")[1]));
        expect(info.tentative).to.equal(undefined);
        await ensure({ op: "remove-address", ...op }, { op: "remove-address", ...op });
        expect(ip("addr show dev tsb-1")).not.to.contain(address);
      });

      it(`puts back the route ${destination} exactly as the kernel made it`, async () => {
        await ensure({ op: "ensure-address", link: "tsb-1", address });
        const before = routes();
        ip(`${family}route del ${destination} dev tsb-1`);
        expect(routes()).not.to.equal(before);
        await ensure({ op: "ensure-route", link: "tsb-1", destination, source });
        expect(routes()).to.equal(before);
        await ensure({ op: "ensure-route", link: "tsb-1", destination, source });
        expect(routes()).to.equal(before);
      });
    }

    it("takes the removal of an address from a link that is gone", async () => {
      await ensure({ op: "remove-address", link: "tsb-9", address: "10.9.0.1/16" });
    });

    it("names link and address when the kernel refuses", async () => {
      const error = await failure({ op: "ensure-address", link: "tsb-1", address: "10.9.0.1/40" });
      expect(error.message).to.match(/^ensure-address tsb-1 10\.9\.0\.1\/40: RTM_NEWADDR: EINVAL /);
    });
  });
});
