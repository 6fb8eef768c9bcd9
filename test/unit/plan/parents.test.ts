import { expect } from "chai";
import { linkAlias } from "../../../src/net/names.ts";
import type { LanNetwork } from "../../../src/plan/network.ts";
import type { ObservedLink } from "../../../src/plan/observed.ts";
import { findParent } from "../../../src/plan/parents.ts";
import { removedGroup } from "../../../src/plan/reconcile.ts";
import { idOf, ipvlanOf, macvlanOf } from "../../support/values.ts";

const mtuKey = "com.docker.network.driver.mtu";

const link = (index: number, name: string, values: Partial<ObservedLink> = {}): ObservedLink => ({
  index,
  name,
  kind: "",
  alias: "",
  mac: "02:00:00:00:00:01",
  mtuBytes: 1500,
  up: true,
  master: 0,
  group: 0,
  carrier: true,
  lower: 0,
  ...values,
});

const ours = linkAlias("vlan", "eth0.10");
const links: readonly ObservedLink[] = [
  link(1, "lo", { mac: "00:00:00:00:00:00", mtuBytes: 65536 }),
  link(2, "eth0"),
  link(3, "eth0.10", { kind: "vlan", vlanId: 10, lower: 2, alias: ours }),
  link(4, "eth0.20", { kind: "vlan", vlanId: 20, lower: 2 }),
  link(5, "eth0.5000"),
  link(6, "br0", { kind: "bridge" }),
  link(7, "port", { kind: "veth", master: 6 }),
  link(8, "bond0", { kind: "bond" }),
  link(9, "slave", { master: 8 }),
  link(10, "red", { kind: "vrf" }),
  link(11, "vrfport", { master: 10 }),
  link(12, "wg0", { kind: "wireguard", mac: "" }),
  link(13, "mv0", { kind: "macvlan", lower: 2 }),
  link(14, "mv1", { kind: "macvtap" }),
  link(15, "lost", { master: 99 }),
  link(16, "tsb-1", { kind: "bridge", alias: linkAlias("bridge", idOf("b1")) }),
  link(17, "tsv-1", { kind: "veth", alias: linkAlias("veth", idOf("e1")), master: 16 }),
  link(18, "tsc-1", { kind: "veth", alias: linkAlias("peer", idOf("e1")) }),
  link(19, "tsm-1", { kind: "macvlan", alias: linkAlias("lan", idOf("e2")), lower: 2 }),
  link(20, "tsh-1", { kind: "macvlan", alias: linkAlias("shim", idOf("c1")), lower: 2 }),
  link(21, "tsp-1", { kind: "dummy", alias: linkAlias("dummy", idOf("c2")) }),
  link(22, "going", { group: removedGroup }),
  link(23, "small", { mtuBytes: 1400 }),
  link(24, "renamed", { alias: ours }),
  link(25, "vlan30", { kind: "vlan", vlanId: 30, lower: 2 }),
  link(26, "eth0.40", { kind: "vlan", vlanId: 40, lower: 2, group: removedGroup }),
];

const on = (parent: string, options: Record<string, string> = {}): LanNetwork => macvlanOf({ parent, ...options });

const found: [parent: string, kind: "link" | "vlan"][] = [
  ["eth0", "link"],
  ["eth0.20", "link"],
  ["eth0.5000", "link"],
  ["br0", "link"],
  ["bond0", "link"],
  ["vrfport", "link"],
  ["tsb-1", "link"],
  ["vlan30", "link"],
  ["renamed", "link"],
  ["eth0.10", "vlan"],
  ["eth0.11", "vlan"],
  ["eth0.1", "vlan"],
  ["eth0.4094", "vlan"],
  ["eth0.40", "vlan"],
  ["bond0.7", "vlan"],
  ["port.7", "vlan"],
  ["mv0.7", "vlan"],
];

const format = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received";
const loopback = "loopback interface is not a valid macvlan parent link; give a link that leads to the LAN";
const another = "give another parent";
const missing = (name: string): string =>
  `invalid subinterface vlan name ${name}, example formatting is eth0.10: this host has no link ${name}; ip link lists those that it has`;

const refused: [parent: string, code: "invalid" | "conflict", reason: string][] = [
  ["lo", "invalid", loopback],
  ["lo.10", "invalid", loopback],
  ["eth9", "invalid", missing("eth9")],
  ["going", "invalid", missing("going")],
  ["eth9.10", "invalid", "-o parent interface was not found on the host: eth9"],
  ["going.10", "invalid", "-o parent interface was not found on the host: going"],
  ["eth0.10.20", "invalid", `${format} eth0.10.20`],
  [".10", "invalid", `${format} .10`],
  ["eth0.lan", "invalid", "unable to parse a valid vlan id from: lan (ex. eth0.10 for vlan 10)"],
  ["eth0.", "invalid", "unable to parse a valid vlan id from:  (ex. eth0.10 for vlan 10)"],
  ["eth0.-1", "invalid", "unable to parse a valid vlan id from: -1 (ex. eth0.10 for vlan 10)"],
  ["eth0.0", "invalid", "vlan id must be between 1-4094, received: 0"],
  ["eth0.4095", "invalid", "vlan id must be between 1-4094, received: 4095"],
  ["eth1.5000", "invalid", "vlan id must be between 1-4094, received: 5000"],
  ["eth0.30", "conflict", "VLAN 30 of eth0 is the link vlan30 already; give parent=vlan30"],
  ["eth0.030", "conflict", "VLAN 30 of eth0 is the link vlan30 already; give parent=vlan30"],
  ["port", "conflict", "the link port is a port of the bridge br0, which takes what it receives; give parent=br0"],
  ["slave", "conflict", "the link slave is a port of the bond bond0, which takes what it receives; give parent=bond0"],
  ["lost", "conflict", `the link lost is a port of link 99, which takes what it receives; ${another}`],
  ["wg0", "conflict", "the link wg0 is not Ethernet: it has no MAC address"],
  ["wg0.7", "conflict", "the link wg0 is not Ethernet: it has no MAC address"],
  ["mv0", "conflict", "the link mv0 is of kind macvlan itself; give parent=eth0, which it is on"],
  ["mv1", "conflict", `the link mv1 is of kind macvtap itself; ${another}`],
  ["tsv-1", "conflict", `the link tsv-1 belongs to endpoint ${idOf("e1")}, and goes with it; ${another}`],
  ["tsc-1", "conflict", `the link tsc-1 belongs to endpoint ${idOf("e1")}, and goes with it; ${another}`],
  ["tsm-1", "conflict", `the link tsm-1 belongs to endpoint ${idOf("e2")}, and goes with it; ${another}`],
  ["tsh-1", "conflict", `the link tsh-1 belongs to network ${idOf("c1")}, and goes with it; ${another}`],
  ["tsp-1", "conflict", `the link tsp-1 belongs to network ${idOf("c2")}, and goes with it; ${another}`],
  ["tsp-1.10", "conflict", `the link tsp-1 belongs to network ${idOf("c2")}, and goes with it; ${another}`],
];

describe("the parent of a network", () => {
  for (const [parent, kind] of found) {
    it(`${parent} is a ${kind}`, () => {
      expect(findParent(on(parent), links)).to.deep.equal({ name: parent, kind });
    });
  }

  for (const [parent, code, reason] of refused) {
    it(`${parent} is refused`, () => {
      expect(() => findParent(on(parent), links))
        .to.throw()
        .that.includes({ code, message: `parent=${parent}: ${reason}` });
    });
  }

  it("is refused in the words of the network's mode", () => {
    expect(() => findParent(ipvlanOf({ parent: "lo" }), links)).to.throw(
      "parent=lo: loopback interface is not a valid ipvlan parent link",
    );
  });

  it("is a dummy of its own where it has no other, whatever the host's links are", () => {
    const dummy = { name: "tsp-a1000000000", kind: "dummy" };
    expect(findParent(on(""), links)).to.deep.equal(dummy);
    expect(findParent(on(""), [])).to.deep.equal(dummy);
  });

  for (const parent of ["small", "small.7"]) {
    it(`limits the MTU: ${parent}`, () => {
      expect(() => findParent(on(parent, { [mtuKey]: "1401" }), links))
        .to.throw()
        .that.includes({
          code: "invalid",
          message: `${mtuKey}=1401 is more than the 1400 bytes of small, with parent=${parent}; give at most 1400, or none to follow the parent`,
        });
      expect(findParent(on(parent, { [mtuKey]: "1400" }), links).name).to.equal(parent);
      expect(findParent(on(parent, { [mtuKey]: "0" }), links).name).to.equal(parent);
    });
  }
});
