import { expect } from "chai";
import { observe } from "../../../src/kernel/observe.ts";
import type { EnsureNeighbor, EnsureRoute } from "../../../src/plan/op-links.ts";
import { lanLink, useLinks } from "../../support/links.ts";
import { ip, ipJson, linkJson, snapshot } from "../../support/netns.ts";

const shim = lanLink(1, { name: "tsh-1", alias: "tsnet:shim:1", up: true });
const route: EnsureRoute = { op: "ensure-route", link: "tsh-1", destination: "10.9.0.7/32", source: "10.9.0.1" };
const route6: EnsureRoute = { op: "ensure-route", link: "tsh-1", destination: "fd00:9::7/128", source: null };
const mac = "02:42:0a:09:00:07";
const neighbor: EnsureNeighbor = { op: "ensure-neighbor", link: "tsh-1", address: "10.9.0.7", mac };
const neighbor6: EnsureNeighbor = { ...neighbor, address: "fd00:9::7" };

describe("routes and neighbors of a shim", () => {
  const fixture = useLinks();
  const { ensure, failure } = fixture;

  beforeEach(async () => {
    ip("link add p0 type veth peer name p1");
    for (const name of ["p0", "p1"]) {
      ip(`link set ${name} addrgenmode none`);
      ip(`link set ${name} up`);
    }
    ip("addr add 10.9.0.1/24 dev p0");
    await ensure(shim);
  });

  it("has routes with a source and without, once", async () => {
    await ensure(route, route6);
    const shown = ipJson("-4 route show dev tsh-1");
    expect(shown).to.have.length(1);
    expect(shown[0]).to.include({ dst: "10.9.0.7", protocol: "kernel", scope: "link", prefsrc: "10.9.0.1" });
    expect(ipJson("-6 route show dev tsh-1")[0]).to.include({ dst: "fd00:9::7", protocol: "kernel", metric: 256 });
    const once = snapshot();
    await ensure(route, route6);
    expect(snapshot()).to.equal(once);
  });

  it("gets another source in place, and none", async () => {
    ip("addr add 10.9.0.2/24 dev p0");
    await ensure(route, { ...route, source: "10.9.0.2" });
    expect(ipJson("-4 route show dev tsh-1").map(({ prefsrc }) => prefsrc)).to.deep.equal(["10.9.0.2"]);
    await ensure({ ...route, source: null });
    expect(ipJson("-4 route show dev tsh-1").map(({ prefsrc }) => prefsrc)).to.deep.equal([undefined]);
  });

  it("loses its routes, and no others, as often as one likes", async () => {
    ip("route add 10.9.0.7/32 dev p0 metric 50");
    await ensure(route, route6);
    for (const { link, destination } of [route, route6, route, route6]) {
      await ensure({ op: "remove-route", link, destination });
    }
    expect(ip("route show dev tsh-1") + ip("-6 route show dev tsh-1")).to.equal("");
    expect(ipJson("route show 10.9.0.7/32")).to.have.length(1);
    await ensure({ op: "remove-route", link: "tsh-9", destination: "10.9.0.7/32" });
  });

  it("has permanent neighbors, once, with the last MAC", async () => {
    await ensure(neighbor, neighbor6, neighbor, { ...neighbor, mac: "02:42:0a:09:00:08" });
    expect(ipJson("neigh show dev tsh-1")).to.have.deep.members([
      { dst: "10.9.0.7", lladdr: "02:42:0a:09:00:08", state: ["PERMANENT"] },
      { dst: "fd00:9::7", lladdr: mac, state: ["PERMANENT"] },
    ]);
  });

  it("loses its neighbors as often as one likes", async () => {
    await ensure(neighbor, neighbor6);
    for (const { link, address } of [neighbor, neighbor6, neighbor]) {
      await ensure({ op: "remove-neighbor", link, address });
    }
    expect(ipJson("neigh show dev tsh-1")).to.deep.equal([]);
    await ensure({ op: "remove-neighbor", link: "tsh-9", address: "10.9.0.7" });
  });

  for (const op of [route, neighbor] as const) {
    it(`names the link that ${op.op} does not find`, async () => {
      const error = await failure({ ...op, link: "tsh-9" });
      expect(error).to.include({ code: "kernel", errno: "ENODEV" });
      expect(error.message).to.match(new RegExp(`^${op.op} tsh-9 10\\.9\\.0\\.7(/32)?: `));
    });
  }

  it("is observed: its own routes, with their sources, and permanent neighbors, and of other links none", async () => {
    await ensure(route, route6, neighbor, neighbor6);
    ip("neigh add 10.9.0.8 lladdr 02:00:00:00:00:08 dev tsh-1 nud stale");
    ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev p0 nud permanent");
    const link = linkJson("tsh-1").ifindex;
    const { routes, neighbors } = observe(fixture.own.rtnetlink, "of bridges and shims");
    expect(routes).to.have.deep.members([
      { destination: "10.9.0.7/32", link, table: 254, protocol: 2, source: "10.9.0.1" },
      { destination: "fd00:9::7/128", link, table: 254, protocol: 2, source: "" },
    ]);
    expect(neighbors).to.have.deep.members([
      { link, address: "10.9.0.7", mac },
      { link, address: "fd00:9::7", mac },
    ]);
  });
});
