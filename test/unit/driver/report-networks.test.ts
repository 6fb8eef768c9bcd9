import { expect } from "chai";
import { reportNetwork } from "../../../src/driver/report-networks.ts";
import { bridgeName, dummyName, shimName } from "../../../src/net/names.ts";
import type { Network } from "../../../src/plan/network.ts";
import type { ObservedLink } from "../../../src/plan/observed.ts";
import { ipvlanOf, linkOf, macvlanOf } from "../../support/link-answers.ts";
import { idOf, ipv6, networkOf, overlayOf } from "../../support/values.ts";

const report = (network: Network, links: readonly ObservedLink[], isRemoving = false) =>
  reportNetwork(network, { links: new Map(links.map((link) => [link.name, link])), endpoints: 2, isRemoving });

const bridge = networkOf({ ipv6 });
const tsb = bridgeName(bridge.id);
const eth1 = linkOf("eth1", { index: 3, mtuBytes: 9000 });
const vlan = macvlanOf({ parent: { name: "eth1.10", kind: "vlan" } });
const vlanLink = linkOf("eth1.10", { index: 4, kind: "vlan", vlanId: 10, lower: 3 });

describe("the report of a network", () => {
  it("has what is recorded of a bridge, and what its links get", () => {
    expect(report(bridge, [linkOf(tsb, { mtuBytes: 1400 })])).to.deep.equal({
      ...{ id: idOf("a1"), mode: "bridge", linkMode: null, ipvlanFlag: null, parent: tsb, vlan: null, vni: null },
      ...{ parentKind: "bridge", internal: false, mtuBytes: 1500, mtuIsSet: false },
      subnets: [
        { family: 4, subnet: "172.18.0.0/16", gateway: "172.18.0.1" },
        { family: 6, subnet: "fd00:18::/64", gateway: "fd00:18::1" },
      ],
      ...{ endpoints: 2, hostAccess: null, duplicateCheck: null, state: "up", at: null },
    });
  });

  it("has the modes, the parent and its MTU, and what the host has there", () => {
    const hostAccess = { addresses: ["192.168.1.250"] };
    const network = ipvlanOf({ ipvlanFlag: "private", hostAccess, duplicateCheck: false });
    expect(report(network, [eth1, linkOf(shimName(network.id))])).to.deep.include({
      ...{ mode: "ipvlan", linkMode: "l2", ipvlanFlag: "private", parent: "eth1", parentKind: "host", vlan: null },
      ...{ mtuBytes: 9000, mtuIsSet: false, duplicateCheck: false },
      hostAccess: { link: shimName(network.id), state: "up", addresses: ["192.168.1.250"] },
    });
    expect(report(macvlanOf({ macvlanMode: "vepa" }), [eth1])).to.deep.include({
      ...{ mode: "macvlan", linkMode: "vepa", ipvlanFlag: null, hostAccess: null, duplicateCheck: true },
    });
  });

  it("has the MTU that was asked for, whatever the parent's is", () => {
    expect(report(macvlanOf({ mtuBytes: 1400 }), [eth1])).to.deep.include({ mtuBytes: 1400, mtuIsSet: true });
    expect(report(macvlanOf(), [])).to.deep.include({ mtuBytes: null, mtuIsSet: false });
  });

  it("says of the duplicate check whether it takes place", () => {
    const dummy = macvlanOf({ parent: { name: dummyName(idOf("b1")), kind: "dummy" } });
    const networks: Network[] = [bridge, macvlanOf(), ipvlanOf({ duplicateCheck: false }), dummy];
    expect(networks.map((network) => report(network, []).duplicateCheck)).to.deep.equal([null, true, false, false]);
  });

  it("says whose the parent is", () => {
    const dummy = macvlanOf({ parent: { name: dummyName(idOf("b1")), kind: "dummy" } });
    const networks: Network[] = [bridge, { ...bridge, adopted: true }, macvlanOf(), vlan, dummy];
    const kinds = networks.map((network) => report(network, []).parentKind);
    expect(kinds).to.deep.equal(["bridge", "host", "host", "vlan", "dummy"]);
  });

  it("knows the VLAN of a parent of its own by its name, and of the host's from the kernel", () => {
    expect(report(vlan, []).vlan).to.deep.equal({ id: 10, base: "eth1" });
    const theirs = macvlanOf({ parent: { name: "lan", kind: "link" } });
    const lan = { ...vlanLink, name: "lan" };
    expect(report(theirs, [eth1, lan]).vlan).to.deep.equal({ id: 10, base: "eth1" });
    expect(report(theirs, [lan]).vlan).to.deep.equal({ id: 10, base: null });
    expect(report(theirs, []).vlan).to.equal(null);
  });

  const down = (link: ObservedLink): ObservedLink => ({ ...link, up: false, carrier: false });
  const unplugged = (link: ObservedLink): ObservedLink => ({ ...link, carrier: false });
  const states: [title: string, network: Network, links: ObservedLink[], state: string, at: string | null][] = [
    ["a parent that is there", macvlanOf(), [eth1], "up", null],
    ["a parent that is missing", macvlanOf(), [linkOf("eth0")], "missing", "eth1"],
    ["a parent that is down", macvlanOf(), [down(eth1)], "down", "eth1"],
    ["a parent without a carrier", macvlanOf(), [unplugged(eth1)], "no carrier", "eth1"],
    ["a bridge whose containers do not run", bridge, [unplugged(linkOf(tsb))], "up", null],
    ["a bridge that is missing", bridge, [], "missing", tsb],
    ["a bridge that is down", bridge, [down(linkOf(tsb))], "down", tsb],
    ["a VLAN that is up", vlan, [eth1, vlanLink], "up", null],
    ["a VLAN that is missing", vlan, [eth1], "missing", "eth1.10"],
    ["a VLAN that is down", vlan, [eth1, down(vlanLink)], "down", "eth1.10"],
    ["a VLAN on what is missing", vlan, [], "missing", "eth1"],
    ["a VLAN on what is down", vlan, [down(eth1), down(vlanLink)], "down", "eth1"],
    ["a network that is being made", macvlanOf({ ready: false }), [], "unfinished", null],
  ];
  for (const [title, network, links, state, at] of states) {
    it(`says of ${title}: ${state}`, () => expect(report(network, links)).to.deep.include({ state, at }));
  }

  it("says of a network that is being removed nothing else", () => {
    const network = macvlanOf({ ready: false });
    expect(report(network, [], true)).to.deep.include({ state: "removing", at: null });
  });

  it("says what the host's own link is like", () => {
    const network = macvlanOf({ hostAccess: { addresses: [] } });
    const shim = linkOf(shimName(network.id));
    const stateWith = (...links: ObservedLink[]) => report(network, [eth1, ...links]).hostAccess?.state;
    expect([stateWith(shim), stateWith(), stateWith(down(shim)), stateWith(unplugged(shim))]).to.deep.equal([
      ...["up", "missing", "down", "no carrier"],
    ]);
  });
});

describe("the report of an overlay network", () => {
  const network = overlayOf({ "tsnet.vni": "4097" });
  const [bridgeLink, vxlan, port, gateway] = ["tsb", "tsx", "tsu", "tsg"].map((role) => `${role}-a1000000000`);
  const inside = [bridgeLink, vxlan, port].map((name) => linkOf(name ?? "", { mtuBytes: 1450 }));
  const own = linkOf(gateway ?? "");
  const reported = (found: readonly ObservedLink[] | undefined, links: readonly ObservedLink[] = [own], of = network) =>
    reportNetwork(of, {
      links: new Map(links.map((link) => [link.name, link])),
      inside: found && new Map(found.map((link) => [link.name, link])),
      ...{ endpoints: 1, isRemoving: false },
    });

  it("has its namespace, its VNI and the MTU of its links", () => {
    expect(reported(inside)).to.deep.include({
      ...{ mode: "overlay", parent: "tsnet-a1000000000", parentKind: "namespace", vni: 4097, vlan: null },
      ...{ mtuBytes: 1450, mtuIsSet: false, state: "up", at: null, hostAccess: null, duplicateCheck: null },
    });
    const asked = overlayOf({ "com.docker.network.driver.mtu": "1400" });
    expect(reported(undefined, [], asked)).to.deep.include({ mtuBytes: null, mtuIsSet: true });
  });

  it("says what is missing or down, and where", () => {
    const stateOf = (...args: Parameters<typeof reported>) => {
      const { state, at } = reported(...args);
      return `${at} ${state}`;
    };
    expect(stateOf(undefined)).to.equal("tsnet-a1000000000 missing");
    expect(stateOf(inside, [])).to.equal(`${gateway} missing`);
    expect(stateOf(inside, [{ ...own, up: false }])).to.equal(`${gateway} down`);
    for (const name of [bridgeLink, vxlan, port]) {
      expect(stateOf(inside.filter((link) => link.name !== name))).to.equal(`${name} missing`);
      expect(stateOf(inside.map((link) => ({ ...link, up: link.name !== name })))).to.equal(`${name} down`);
    }
    const internal = overlayOf({}, { internal: true });
    expect(stateOf(inside.slice(0, 2), [], internal)).to.equal("null up");
  });

  it("is up without an endpoint, with which it is made", () => {
    const facts = { links: new Map(), inside: undefined, endpoints: 0, isRemoving: false };
    expect(reportNetwork(network, facts)).to.deep.include({ state: "up", at: null, mtuBytes: null });
  });
});
