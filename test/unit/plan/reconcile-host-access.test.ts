import { expect } from "chai";
import { planShim, planShimAddresses, reachesOf } from "../../../src/plan/host-access.ts";
import type { Endpoint, LanNetwork } from "../../../src/plan/network.ts";
import type { Observed, ObservedLink } from "../../../src/plan/observed.ts";
import { planHostAccessRepairs } from "../../../src/plan/reconcile-host-access.ts";
import { endpointOf, idOf, macvlanOf, networkOf, requestedSubnet } from "../../support/values.ts";

const name = "tsh-a1000000000";
const linkOf = (values: Partial<ObservedLink>): ObservedLink => ({
  ...{ index: 1, name: "eth0", kind: "", alias: "", mac: "02:00:00:00:00:01", mtuBytes: 1500 },
  ...{ up: true, master: 0, group: 0, carrier: true, lower: 0, ...values },
});
const parent = linkOf({});
const shim = linkOf({ index: 2, name, kind: "macvlan", alias: `tsnet:shim:${idOf("a1")}`, lower: 1 });
const route = { destination: "192.168.1.10/32", link: 2, table: 254, protocol: 2, source: "192.168.1.2" };
const neighbor = { link: 2, address: "192.168.1.10", mac: "02:42:c0:a8:01:0a" };
const seen = (values: Partial<Observed> = {}): Observed => ({
  links: [parent, shim],
  addresses: [{ link: 1, address: "192.168.1.2/24" }],
  routes: [route],
  neighbors: [neighbor],
  ...values,
});
const network = macvlanOf({ "tsnet.host_access": "true" });
const endpoint = endpointOf({ addresses: ["192.168.1.10/24"], mac: neighbor.mac });
const state = { mac: parent.mac, addresses: ["192.168.1.2/24"] };
const plan = (
  observed: Observed,
  one: LanNetwork = network,
  endpoints: readonly Endpoint[] = [endpoint],
  busy: readonly string[] = [],
) =>
  planHostAccessRepairs(
    { networks: new Map([[one.id, one]]), endpoints: new Map(endpoints.map((each) => [each.id, each])) },
    observed,
    new Set(busy),
  );
const [ensureRoute, ensureNeighbor] = reachesOf(network, endpoint, state)[0] ?? [];
const wholeOf = (one: LanNetwork) => [...planShim(one, state), ...planShimAddresses(one), ensureRoute, ensureNeighbor];

describe("what host access lacks", () => {
  it("is nothing where all is there, or where there is none", () => {
    expect(plan(seen())).to.deep.equal([]);
    expect(plan(seen({ links: [parent], routes: [], neighbors: [] }), macvlanOf())).to.deep.equal([]);
    expect(
      planHostAccessRepairs({ networks: new Map([["n", networkOf()]]), endpoints: new Map() }, seen()),
    ).to.deep.equal([]);
  });

  it("is nothing without its parent, of a network that is being made, or where somebody else's link has the name", () => {
    const gone = { routes: [], neighbors: [] };
    expect(plan(seen({ links: [], ...gone }))).to.deep.equal([]);
    expect(plan(seen({ links: [parent], ...gone }), { ...network, ready: false })).to.deep.equal([]);
    expect(plan(seen({ links: [parent, { ...shim, alias: "" }], ...gone }))).to.deep.equal([]);
  });

  const faults: [text: string, links: ObservedLink[]][] = [
    ["is gone", [parent]],
    ["is down", [parent, { ...shim, up: false }]],
    ["is not on eth0", [parent, { ...shim, lower: 7 }]],
    ["has the MTU 1500", [{ ...parent, mtuBytes: 9000 }, shim]],
  ];
  for (const [text, links] of faults) {
    it(`is all of it where the shim ${text}`, () => {
      const reason = `link ${name}, by which the host reaches network ${idOf("a1")}, ${text}`;
      expect(plan(seen({ links }))).to.deep.equal([{ kind: "links", reason, ops: wholeOf(network) }]);
    });
  }

  it("is an address of the shim", () => {
    const own = macvlanOf({ "tsnet.host_access": "true", "tsnet.host_address": "192.168.1.2" });
    const [repair] = plan(seen({ addresses: [] }), own);
    expect(repair).to.deep.equal({
      kind: "addresses",
      reason: `link ${name} of network ${idOf("a1")} lacks its address 192.168.1.2/32`,
      ops: [{ op: "ensure-address", link: name, address: "192.168.1.2/32" }],
    });
  });

  const wrong: [what: string, observed: Partial<Observed>, ops: unknown[]][] = [
    ["a route", { routes: [] }, [ensureRoute]],
    ["a route in another table", { routes: [{ ...route, table: 52 }] }, [ensureRoute]],
    ["a route by another link", { routes: [{ ...route, link: 1 }] }, [ensureRoute]],
    [
      "a route from an address that the host has no more",
      { routes: [{ ...route, source: "192.168.1.9" }] },
      [ensureRoute],
    ],
    ["a neighbor", { neighbors: [] }, [ensureNeighbor]],
    ["a neighbor with another MAC", { neighbors: [{ ...neighbor, mac: "02:00:00:00:00:07" }] }, [ensureNeighbor]],
    ["both", { routes: [], neighbors: [] }, [ensureRoute, ensureNeighbor]],
  ];
  for (const [what, observed, ops] of wrong) {
    it(`is ${what}`, () => {
      const [repair, ...others] = plan(seen(observed));
      expect([repair?.kind, repair?.ops, others]).to.deep.equal(["routes", ops, []]);
      expect(repair?.reason)
        .to.include("192.168.1.10")
        .and.to.include(`link ${name} of network ${idOf("a1")}`);
    });
  }

  it("is nothing that a request is about to make", () => {
    expect(plan(seen({ routes: [], neighbors: [] }), network, [endpoint], [endpoint.id])).to.deep.equal([]);
    expect(plan(seen(), network, [endpoint], [endpoint.id])).to.deep.equal([]);
  });

  it("is one repair for many containers", () => {
    const many = ["11", "12", "13"].map((n) => endpointOf({ id: idOf(`e${n}`), addresses: [`192.168.1.${n}/24`] }));
    const repairs = plan(seen(), network, [endpoint, ...many]);
    expect(repairs.map(({ ops }) => ops.length)).to.deep.equal([6]);
    expect(repairs[0]?.reason).to.include("route to 192.168.1.11/32, and 5 more");
  });

  it("is less of what leads to no container any more, but for routes of an administrator's own", () => {
    const [repair, ...others] = plan(seen(), network, []);
    expect(repair).to.deep.equal({
      kind: "leftovers",
      reason: `link ${name} of network ${idOf("a1")} leads to 192.168.1.10, which no endpoint has`,
      ops: [
        { op: "remove-route", link: name, destination: "192.168.1.10/32" },
        { op: "remove-neighbor", link: name, address: "192.168.1.10" },
      ],
    });
    expect(others).to.deep.equal([]);
    expect(plan(seen({ routes: [{ ...route, protocol: 3 }], neighbors: [] }), network, [])).to.deep.equal([]);
    expect(plan(seen({ routes: [{ ...route, destination: "10.0.0.0/8" }], neighbors: [] }), network, [])).to.deep.equal(
      [],
    );
  });

  it("does not take the route of the host's own IPv6 address for a leftover", () => {
    const ipv6 = [requestedSubnet("fd00:1::/64", "fd00:1::1/64")];
    const own = macvlanOf({ "tsnet.host_access": "true", "tsnet.host_address": "fd00:1::250" }, { ipv6 });
    const addresses = [...seen().addresses, { link: 2, address: "fd00:1::250/128" }];
    const routes = [route, { destination: "fd00:1::250/128", link: 2, table: 254, protocol: 2, source: "" }];
    expect(plan(seen({ addresses, routes }), own)).to.deep.equal([]);
  });
});
