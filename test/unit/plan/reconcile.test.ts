import { expect } from "chai";
import { planBridge } from "../../../src/plan/bridge.ts";
import type { BridgeNetwork, Endpoint } from "../../../src/plan/network.ts";
import type { Observed, ObservedLink } from "../../../src/plan/observed.ts";
import {
  dockerLinks,
  endpointState,
  planReconcile,
  type Repair,
  removedGroup,
  type Wanted,
} from "../../../src/plan/reconcile.ts";
import { bridgeKey, endpointOf, idOf, ipv6, networkOf } from "../../support/values.ts";

const bridgeLink = (values: Partial<ObservedLink> = {}): ObservedLink => ({
  ...{
    index: 10,
    name: "tsb-a1000000000",
    kind: "bridge",
    alias: `tsnet:bridge:${idOf("a1")}`,
    mac: "02:42:ac:12:00:01",
  },
  ...{ mtuBytes: 1500, up: true, master: 0, group: 0, carrier: true, lower: 0, nfCall: false },
  ...values,
});
const hostLink = (values: Partial<ObservedLink> = {}): ObservedLink => ({
  ...{ index: 11, name: "tsv-e1000000000", kind: "veth", alias: `tsnet:veth:${idOf("e1")}`, mac: "02:00:00:00:00:01" },
  ...{ mtuBytes: 1500, up: true, master: 10, group: 0, carrier: true, lower: 0, hairpin: true },
  ...values,
});

const route = { destination: "172.18.0.0/16", link: 10, table: 254, protocol: 2, source: "" };
const address = { link: 10, address: "172.18.0.1/16" };
const seen = (values: Partial<Observed> = {}): Observed => ({
  links: [bridgeLink(), hostLink()],
  addresses: [address],
  routes: [route],
  neighbors: [],
  ...values,
});

const plan = (
  observed: Observed,
  networks: BridgeNetwork[] = [networkOf()],
  endpoints: Endpoint[] = [endpointOf()],
): readonly Repair[] => {
  const wanted = wantedOf(networks, endpoints);
  return planReconcile(wanted, observed, { ...wanted, busy: new Set() });
};

const wantedOf = (networks: BridgeNetwork[] = [networkOf()], endpoints: Endpoint[] = [endpointOf()]): Wanted => ({
  networks: new Map(networks.map((n) => [n.id, n])),
  endpoints: new Map(endpoints.map((e) => [e.id, e])),
});

const named = (reason: string): string => `bridge tsb-a1000000000 of network ${idOf("a1")} ${reason}`;
const withMtu = networkOf({ options: { "com.docker.network.driver.mtu": "1400" } });
const withoutIcc = networkOf({ options: { [bridgeKey("enable_icc")]: "false" } });
const adopted = { ...networkOf({ options: { [bridgeKey("name")]: "lan" } }), adopted: true };
const userBridge = bridgeLink({ name: "lan", alias: "", mac: "02:11:11:11:11:11", mtuBytes: 9000 });

const bridgeFaults: [reason: string, observed: Observed, network?: BridgeNetwork][] = [
  ["is down", seen({ links: [bridgeLink({ up: false }), hostLink()] })],
  ["has the MAC address 02:00:00:00:00:07", seen({ links: [bridgeLink({ mac: "02:00:00:00:00:07" }), hostLink()] })],
  ["has the MTU 1500", seen(), withMtu],
  ["does not pass bridged packets to the firewall", seen(), withoutIcc],
  ["lacks its address 172.18.0.1/16", seen({ addresses: [{ link: 11, address: "172.18.0.1/16" }] })],
  ["lacks its address fd00:18::1/64", seen(), networkOf({ ipv6 })],
];

describe("wanted against observed", () => {
  it("needs nothing where they agree", () => {
    expect(plan(seen())).to.deep.equal([]);
    expect(plan(seen({ links: [bridgeLink({ nfCall: true }), hostLink()] }), [withoutIcc])).to.deep.equal([]);
  });

  for (const [reason, observed, network = networkOf()] of bridgeFaults) {
    it(`repairs a bridge that ${reason}`, () => {
      const kind = reason.includes("its address") ? "addresses" : "links";
      expect(plan(observed, [network])).to.deep.equal([{ kind, reason: named(reason), ops: planBridge(network) }]);
    });
  }

  it("makes a bridge again, then gives it its ports back", () => {
    const [first, second, ...rest] = plan(
      seen({ links: [hostLink({ master: 0 })], addresses: [], routes: [], neighbors: [] }),
    );
    expect(first).to.deep.equal({ kind: "links", reason: named("is gone"), ops: planBridge(networkOf()) });
    expect(second?.ops).to.deep.equal([
      { op: "ensure-port", name: "tsv-e1000000000", master: "tsb-a1000000000", hairpin: true },
    ]);
    expect(rest).to.deep.equal([]);
  });

  it("makes no bridge of a network that was yet to be made when the observation was asked for", () => {
    const wanted = wantedOf();
    const isMissing = (networks: BridgeNetwork[]): boolean =>
      planReconcile(wanted, seen({ links: [] }), { ...wantedOf(networks), busy: new Set() }).length > 0;
    expect(isMissing([])).to.equal(false);
    expect(isMissing([{ ...networkOf(), ready: false }])).to.equal(false);
    expect(isMissing([networkOf()])).to.equal(true);
  });

  it("leaves to a removal what was recorded when the observation was asked for", () => {
    const before = { ...wantedOf(), busy: new Set<string>() };
    expect(planReconcile(wantedOf([], []), seen(), before)).to.deep.equal([]);
  });

  it("adds a route that is gone while its address is there", () => {
    const ensureRoute = {
      op: "ensure-route",
      link: "tsb-a1000000000",
      destination: "172.18.0.0/16",
      source: "172.18.0.1",
    };
    expect(plan(seen({ routes: [{ ...route, link: 3 }] }))).to.deep.equal([
      {
        kind: "routes",
        reason: named("lacks its route to 172.18.0.0/16"),
        ops: [...planBridge(networkOf()), ensureRoute],
      },
    ]);
  });

  const portFaults: [what: string, values: Partial<ObservedLink>][] = [
    ["has no bridge", { master: 0 }],
    ["is a port of another bridge", { master: 3 }],
    ["is down", { up: false }],
    ["has no hairpin", { hairpin: false }],
  ];
  for (const [what, values] of portFaults) {
    it(`repairs a host end that ${what}`, () => {
      const reason = `link tsv-e1000000000 of endpoint ${idOf("e1")} is not an active port of tsb-a1000000000`;
      const ops = [{ op: "ensure-port", name: "tsv-e1000000000", master: "tsb-a1000000000", hairpin: true }];
      expect(plan(seen({ links: [bridgeLink(), hostLink(values)] }))).to.deep.equal([{ kind: "links", reason, ops }]);
    });
  }

  it("makes no links for an endpoint that has lost them: its container's end is gone for good", () => {
    expect(plan(seen({ links: [bridgeLink()] }))).to.deep.equal([]);
  });

  it("removes links that say they are ours and belong to nothing", () => {
    const links = [
      bridgeLink(),
      hostLink(),
      hostLink({ index: 12, name: "tsc-e1000000000", alias: `tsnet:peer:${idOf("e1")}`, master: 0 }),
    ];
    const repairs = plan(seen({ links }), [], []);
    expect(repairs.map(({ kind }) => kind)).to.deep.equal(["leftovers", "leftovers", "leftovers"]);
    const removed = repairs.map(({ ops }) => ops[0]);
    expect(removed).to.deep.equal(links.map(({ name, alias }) => ({ op: "remove-links", links: [{ name, alias }] })));
  });

  it("leaves alone a container's end that Docker has put back, while its host end waits for deletion", () => {
    const links = [
      hostLink({ name: "tsd-b", group: removedGroup, carrier: true, lower: 0, master: 0, up: false }),
      hostLink({ index: 12, name: "tsc-e1000000000", alias: `tsnet:peer:${idOf("e1")}`, master: 0, up: false }),
    ];
    expect(plan(seen({ links }), [], [])).to.deep.equal([]);
  });

  it("leaves alone what waits for its deletion, and what is not ours", () => {
    const doomed = bridgeLink({ name: "tsd-10", group: removedGroup, carrier: true, lower: 0, up: false });
    const foreign = [
      hostLink({ alias: "" }),
      bridgeLink({ name: "tsb-b2000000000", alias: "mine" }),
      bridgeLink({ name: "docker0", alias: "" }),
    ];
    expect(plan({ links: [doomed, ...foreign], addresses: [], routes: [], neighbors: [] }, [], [])).to.deep.equal([]);
    expect(
      plan({ links: [bridgeLink({ alias: "mine", up: false })], addresses: [], routes: [], neighbors: [] }),
    ).to.deep.equal([]);
  });

  it("uses a bridge of the user's as it is, repairs what we need of it, and never makes or removes it", () => {
    expect(plan(seen({ links: [userBridge] }), [adopted], [])).to.deep.equal([]);
    const [repair] = plan(seen({ links: [userBridge], addresses: [] }), [adopted], []);
    expect(repair?.ops[0]).to.include({ op: "ensure-bridge", name: "lan", alias: null, mtuBytes: null });
    expect(plan(seen({ links: [], addresses: [], routes: [], neighbors: [] }), [adopted], [])).to.deep.equal([]);
    expect(plan(seen({ links: [userBridge] }), [], [])).to.deep.equal([]);
  });
});

describe("Docker's own bridges", () => {
  it("are known by their names, and are bridges", () => {
    const names = [
      "docker0",
      "docker_gwbridge",
      "br-0123456789ab",
      "br-lan",
      "br-0123456789abc",
      "docker1",
      "tsb-a1000000000",
    ];
    const links = [...names.map((name) => bridgeLink({ name })), hostLink({ name: "br-fedcba987654" })];
    expect(dockerLinks(links)).to.deep.equal(["docker0", "docker_gwbridge", "br-0123456789ab"]);
  });
});

describe("the state of an endpoint", () => {
  const host = "tsv-e1000000000";
  const container = "tsc-e1000000000";
  const cases: [is: string, sandbox: string | null, links: string[], sandboxes: string[]][] = [
    ["alive", "/run/a", [], ["/run/a"]],
    ["alive", "/run/a", [host], ["/run/a"]],
    ["alive", "/run/a", [host, container], ["/run/a"]],
    ["alive", "/run/a", [host], []],
    ["alive", null, [host], []],
    ["waiting", null, [host, container], []],
    ["waiting", "/run/a", [host, container], []],
    ["dead", null, [], []],
    ["dead", null, [container], []],
    ["dead", "/run/a", [], []],
    ["dead", "/run/a", [], ["/run/b"]],
  ];
  for (const [is, sandbox, links, sandboxes] of cases) {
    it(`is ${is} with sandbox ${sandbox}, links [${links.join()}], living sandboxes [${sandboxes.join()}]`, () => {
      expect(endpointState({ id: idOf("e1"), sandbox }, (name) => links.includes(name), new Set(sandboxes))).to.equal(
        is,
      );
    });
  }
});
