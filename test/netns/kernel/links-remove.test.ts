import { expect } from "chai";
import { removalGroup } from "../../../src/kernel/own-links.ts";
import { bridge, removal, useLinks, veth } from "../../support/links.ts";
import { ip, ipJson, linkJson, snapshot } from "../../support/netns.ts";

/** What waits for deletion, as `ip` shows it: a group without a name by its number. */
const doomedLinks = () => ipJson("link show").filter((link) => link.group === String(removalGroup));

describe("links", () => {
  const fixture = useLinks();
  const { ensure, failure } = fixture;

  describe("remove-links", () => {
    beforeEach(() => ensure(bridge, { op: "ensure-address", link: "tsb-1", address: "10.9.0.1/16" }));

    it("frees the name at once, takes the port off its bridge, and leaves the deletion to the flush", async () => {
      await ensure(veth(1), removal("tsv-1", "tsnet:veth:1"));
      expect(linkJson("tsv-1")).to.equal(undefined);
      const [doomed] = doomedLinks();
      expect(doomed.ifname).to.match(/^tsd-/);
      expect(doomed.master).to.equal(undefined);
      expect(doomed.flags).not.to.include("UP");
      fixture.own.flush();
      expect(ipJson("link show").map((link) => link.ifname)).to.have.members(["lo", "tsb-1"]);
    });

    it("takes the routes of a bridge with it at once", async () => {
      expect(ip("route show")).to.contain("10.9.0.0/16 dev tsb-1");
      await ensure(removal("tsb-1", "tsnet:bridge:1"));
      expect(ip("route show")).to.equal("");
      fixture.own.flush();
      expect(ip("route show table all")).not.to.contain("10.9.");
    });

    it("deletes 200 links with one flush, and takes an empty group", async () => {
      const ids = Array.from({ length: 200 }, (_, n) => n);
      await ensure(...ids.map((id) => veth(id)));
      await ensure(...ids.map((id) => removal(`tsv-${id}`, `tsnet:veth:${id}`)));
      expect(doomedLinks()).to.have.length(200);
      fixture.own.flush();
      expect(ipJson("link show").map((link) => link.ifname)).to.have.members(["lo", "tsb-1"]);
      fixture.own.flush();
    });

    it("gives way to the same endpoint and to a bridge of the same name, before the flush", async () => {
      await ensure(veth(1), removal("tsv-1", "tsnet:veth:1"), veth(1));
      expect(ipJson("link show dev tsv-1")[0].master).to.equal("tsb-1");
      await ensure(removal("tsb-1", "tsnet:bridge:1"), bridge, veth(2));
      expect(ipJson("link show dev tsv-2")[0].master).to.equal("tsb-1");
    });

    it("takes a link that is gone", async () => {
      await ensure(removal("tsv-1", "tsnet:veth:1"));
    });

    it("leaves a link with another alias, or none, as it is: ours is gone", async () => {
      await ensure(veth(1));
      ip("link add br0 type bridge");
      const before = snapshot();
      for (const name of ["tsv-1", "br0"]) {
        await ensure(removal(name, "tsnet:veth:2"));
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
