import { expect } from "chai";
import { LinkEvents } from "../../../src/kernel/events.ts";
import { mtuOf } from "../../../src/kernel/link-attributes.ts";
import type { Op } from "../../../src/plan/op.ts";
import { bridge, lanLink, removal, useLinks, veth } from "../../support/links.ts";
import { ip } from "../../support/netns.ts";
import { until } from "../../support/poll.ts";

const shim = lanLink(1, { name: "tsh-1", alias: "tsnet:shim:1", up: true });
const route: Op = { op: "ensure-route", link: "tsh-1", destination: "10.9.0.7/32", source: "10.9.0.1" };
const neighbor: Op = { op: "ensure-neighbor", link: "tsh-1", address: "10.9.0.7", mac: "02:42:0a:09:00:07" };

describe("events of LAN links", () => {
  let events: LinkEvents;
  // before the comparison of what is left
  afterEach(() => {
    events.close();
  });
  const fixture = useLinks();
  const { ensure } = fixture;

  beforeEach(() => {
    ip("link add p0 type veth peer name p1");
    for (const name of ["p0", "p1"]) {
      ip(`link set ${name} addrgenmode none`);
      ip(`link set ${name} up`);
    }
    ip("addr add 10.9.0.1/24 dev p0");
    events = new LinkEvents(fixture.own.rtnetlink);
    events.ignore(fixture.own.rtnetlink.portId);
  });

  const know = (): void => events.know(fixture.own.rtnetlink.listLinks());
  const follow = (...names: string[]): void => {
    events.follow(names);
    know();
    events.read();
  };
  /** What is told now: links as "p0", or "-p0" for those that are gone. */
  const told = (): string[] =>
    events
      .read()
      .map((change) => (change.what === "link" ? `${change.removed ? "-" : ""}${change.link.name}` : change.what));

  describe("of a link that is followed", () => {
    beforeEach(() => follow("p0"));

    for (const [what, command] of [
      ["its MTU", "link set p0 mtu 1400"],
      ["its MAC", "link set p0 address 02:00:00:00:00:09"],
    ] as const) {
      it(`tells that ${what} has changed, once`, () => {
        ip(command);
        expect(told()).to.deep.equal(["p0"]);
        ip("link set p0 txqueuelen 500");
        expect(told()).to.deep.equal([]);
      });
    }

    for (const [what, end] of [
      ["is down", "p0"],
      ["has no carrier", "p1"],
    ] as const) {
      it(`tells that it ${what}`, async () => {
        ip(`link set ${end} down`);
        await until("it is told", 2000, () => told().includes("p0")); // the kernel tells of carriers a little later
      });
    }

    it("tells that it is gone and there again, and not what happens to the other end", () => {
      ip("link set p1 mtu 1400");
      expect(told()).to.deep.equal([]);
      ip("link del p0");
      expect(told()).to.include("-p0");
      ip("link add p0 type veth peer name p2");
      expect(told()).to.deep.equal(["p0"]);
    });

    it("is gone under its name when it is renamed, and another is there that gets it", () => {
      ip("link set p0 name old");
      expect(told()).to.deep.equal(["-p0"]);
      ip("link set old mtu 1400");
      expect(told()).to.deep.equal([]);
      ip("link set p1 name p0");
      expect(told()).to.deep.equal(["p0"]);
    });

    it("is gone under its name also if it is a bridge, which is of concern under any", () => {
      ip("link add br0 type bridge");
      follow("br0");
      ip("link set br0 name br9");
      expect(told()).to.deep.equal(["-br0", "br9"]);
    });

    it("tells of its addresses: new ones, those that go, and none that are refreshed", () => {
      ip("addr add 10.9.0.2/24 dev p0");
      expect(told()).to.deep.equal(["addresses"]);
      ip("addr change 10.9.0.2/24 dev p0 valid_lft 900 preferred_lft 900");
      ip("addr add 10.8.0.2/24 dev p1");
      expect(told()).to.deep.equal([]);
      ip("addr del 10.9.0.2/24 dev p0");
      expect(told()).to.deep.equal(["addresses"]);
      ip("addr add 10.9.0.2/24 dev p0");
      expect(told()).to.deep.equal(["addresses"]);
      ip("addr del 10.9.0.1/24 dev p0");
      expect(told()).to.deep.equal(["addresses"]);
    });

    it("tells of others from then on when others are followed", () => {
      follow("p1");
      ip("link set p0 mtu 1400");
      expect(told()).to.deep.equal([]);
      ip("link set p1 mtu 1400");
      expect(told()).to.deep.equal(["p1"]);
    });

    it("counts as known and followed after messages were lost", () => {
      for (let n = 0; n < 9000; n++) {
        fixture.own.rtnetlink.changeLink({ name: "p1" }, { attributes: mtuOf(1280 + (n & 63)) });
      }
      expect(told()).to.deep.equal(["everything"]);
      know();
      ip("addr add 10.9.0.2/24 dev p0");
      expect(told()).to.deep.equal(["addresses"]);
    });
  });

  describe("of a shim", () => {
    beforeEach(async () => {
      follow();
      await ensure(shim, route, neighbor);
      told();
    });

    for (const [what, command] of [
      ["a route", "route del 10.9.0.7/32 dev tsh-1"],
      ["a permanent neighbor", "neigh del 10.9.0.7 dev tsh-1"],
    ] as const) {
      it(`tells that somebody took ${what}`, () => {
        ip(command);
        expect(told()).to.deep.equal(["addresses"]);
      });
    }

    it("tells that somebody gave a neighbor another MAC, or took an address", () => {
      ip("neigh change 10.9.0.7 lladdr 02:00:00:00:00:09 dev tsh-1 nud permanent");
      expect(told()).to.deep.equal(["addresses"]);
      ip("addr add 10.9.0.3/32 dev tsh-1");
      expect(told()).to.deep.equal([]);
      ip("addr del 10.9.0.3/32 dev tsh-1");
      expect(told()).to.deep.equal(["addresses"]);
    });

    it("tells nothing of what is done by ourselves, nor of neighbors of other links", async () => {
      await ensure(
        { op: "remove-route", link: "tsh-1", destination: "10.9.0.7/32" },
        { op: "remove-neighbor", link: "tsh-1", address: "10.9.0.7" },
        ...[route, neighbor, route, neighbor],
      );
      ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev p0 nud permanent");
      ip("neigh del 10.9.0.9 dev p0");
      ip("route add 10.9.0.9/32 dev p0");
      ip("route del 10.9.0.9/32 dev p0");
      expect(told()).to.deep.equal([]);
    });

    it("tells that it is down, and gone", () => {
      ip("link set tsh-1 down");
      expect(told()).to.include("tsh-1");
      ip("link del tsh-1");
      expect(told()).to.deep.equal(["-tsh-1"]);
    });

    it("counts also if it was there before", () => {
      events.close();
      events = new LinkEvents(fixture.own.rtnetlink);
      know();
      ip("neigh del 10.9.0.7 dev tsh-1");
      expect(told()).to.deep.equal(["addresses"]);
    });
  });

  it("tells that the link of an endpoint is gone when it moves to its container, also if that was at once", async () => {
    ip("netns add box");
    try {
      for (const wait of [true, false]) {
        const link = lanLink(wait ? 1 : 2);
        await ensure(link);
        if (wait) expect(told()).to.deep.equal([]); // the kernel tells of an alias only of a link that is up
        ip(`link set ${link.name} netns box`);
        expect(told()).to.deep.equal([`-${link.name}`]);
      }
    } finally {
      ip("netns del box");
    }
  });

  it("tells nothing of a link that is taken out of use", async () => {
    await ensure(lanLink(1));
    told();
    await ensure(removal("tsm-1", "tsnet:lan:1"));
    fixture.own.flush();
    expect(told()).to.deep.equal([]);
  });

  it("tells nothing of the carrier of our bridges and their ports, nor of links that nobody asked for", async () => {
    await ensure({ ...bridge, mtuBytes: null }, veth(1, { mtuBytes: null }));
    told();
    ip("link set tsc-1 up");
    ip("link set tsc-1 down");
    ip("link set p0 mtu 1400");
    ip("link add other link p0 type macvlan mode bridge");
    expect(told().filter((name) => name !== "tsc-1")).to.deep.equal([]);
  });
});
