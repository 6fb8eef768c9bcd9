import { expect } from "chai";
import fc from "fast-check";
import { bridgeName, hostVethName } from "../../../src/net/names.ts";
import type { ObservedNamespace, ObservedPort } from "../../../src/plan/observed.ts";
import type { InnerOp } from "../../../src/plan/op.ts";
import { planForgetting } from "../../../src/plan/vip-flows.ts";
import { assignSlots, vipElements, vipTable } from "../../../src/plan/vip-table.ts";
import { planVips, vipSysctls, vipsAsWanted, vipsFound, type WantedVips, whyNoVip } from "../../../src/plan/vips.ts";
import { endpointOf, idOf, overlayOf, requestedSubnet } from "../../support/values.ts";

const network = overlayOf({}, { id: idOf("d1"), ipv6: [requestedSubnet("fd00:5::/64", "fd00:5::1/64")] });
const bridge = bridgeName(network.id);
const endpoint = endpointOf({ id: idOf("e9"), addresses: ["10.5.0.9/24", "fd00:5::9/64"] });
const port = hostVethName(endpoint.id);
const ips = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, n) => `10.6.${(n + from) >> 8}.${(n + from) & 255}`);

const countOf = (slots: readonly string[]): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const ip of slots) counts.set(ip, (counts.get(ip) ?? 0) + 1);
  return counts;
};
const changed = (before: readonly string[], after: readonly string[]): number =>
  after.filter((ip, n) => before[n] !== ip).length;

describe("slots of a service", () => {
  it("are one for each of up to 64 tasks, and 1024 for more, which differ by one at most", () => {
    const tasks = fc.uniqueArray(fc.integer({ min: 0, max: 1100 }), { maxLength: 1100 });
    const numbers = fc.oneof(fc.uniqueArray(fc.integer({ min: 0, max: 90 }), { maxLength: 80 }), tasks);
    fc.assert(
      fc.property(numbers, numbers, (first, second) => {
        const [before, after] = [first, second].map((all) => all.map((n) => `10.6.${n >> 8}.${n & 255}`));
        const had = assignSlots([], before ?? []);
        const slots = assignSlots(had, after ?? []);
        const sharing = (after ?? []).slice(0, 1024);
        expect(slots.length).to.equal(sharing.length <= 64 ? sharing.length : 1024);
        const counts = countOf(slots);
        expect([...counts.keys()].toSorted()).to.deep.equal(sharing.toSorted());
        if (counts.size > 0) expect(Math.max(...counts.values()) - Math.min(...counts.values())).to.be.at.most(1);
        // as long as each has one, whoever stays keeps it
        if (had.length <= 64 && slots.length <= 64)
          for (const [n, ip] of had.entries())
            if (n < slots.length && sharing.includes(ip)) expect(slots[n]).to.equal(ip);
      }),
    );
  });

  it("change as few as they must when one of many tasks comes or goes", () => {
    const five = assignSlots([], ips(5));
    expect(assignSlots(five, ips(6))).to.deep.equal([...five, ...ips(1, 5)]);
    const without = ips(5).filter((_, n) => n !== 1);
    expect(assignSlots(five, without)).to.deep.equal(["10.6.0.0", "10.6.0.4", "10.6.0.2", "10.6.0.3"]);
    const many = assignSlots([], ips(100));
    expect(changed(many, assignSlots(many, ips(99)))).to.be.within(10, 11);
    expect(changed(many, assignSlots(many, ips(101)))).to.be.within(10, 11);
    expect(assignSlots(many, ips(100))).to.deep.equal(many);
  });

  it("are those of the first 1024 tasks where there are more", () => {
    expect(countOf(assignSlots([], ips(1030)))).to.deep.equal(countOf(ips(1024)));
  });

  it("have a chain for each number that there can be", () => {
    for (const count of [1, 2, 63, 64, 65, 200, 1024, 2000]) {
      const { services } = vipElements([{ vip: "10.5.0.4", slots: assignSlots([], ips(count)) }], []);
      const chain = services?.["10.5.0.4"]?.replace("goto ", "");
      expect(vipTable.definition).to.include(
        `chain ${chain} {\n    meta mark set numgen random mod ${chain?.slice(4)} goto translate\n`,
      );
    }
  });

  it("are elements; a service without tasks has none, and is refused", () => {
    const slots = ["10.5.0.9", "10.5.0.10"];
    expect(
      vipElements(
        [
          { vip: "10.5.0.4", slots },
          { vip: "10.5.0.5", slots: [] },
        ],
        ["10.5.0.9"],
      ),
    ).to.deep.equal({
      vips: { "10.5.0.4": "", "10.5.0.5": "" },
      selfs: { "10.5.0.9 . 10.5.0.9": "" },
      services: { "10.5.0.4": "goto pick2" },
      slots: { "10.5.0.4 . 0": "10.5.0.9", "10.5.0.4 . 1": "10.5.0.10" },
    });
    expect(vipElements([], ["10.5.0.9"])).to.deep.equal({});
  });
});

const wanted: WantedVips = { network, virtual: [{ vip: "10.5.0.4", slots: ["10.5.0.9"] }], ownTasks: [endpoint] };
const none: WantedVips = { network, virtual: [], ownTasks: [] };
const link = (values: Partial<ObservedPort>): ObservedPort => ({
  ...{ index: 7, name: bridge, kind: "bridge", alias: "", mac: "", mtuBytes: 1450, up: true, master: 0, group: 0 },
  ...{ carrier: true, lower: 0, flags: null, filtersIpv4: false, ...values },
});
const veth = link({
  index: 8,
  name: port,
  kind: "veth",
  alias: `tsnet:veth:${endpoint.id}`,
  master: 7,
  hairpin: false,
});
const empty: ObservedNamespace = { links: [link({}), veth], addresses: [], routes: [], isPinned: true };
const foundIn = (observed: ObservedNamespace, sysctls: ReadonlyMap<string, string> = new Map()) =>
  vipsFound(network, observed, sysctls) ?? expect.fail("no bridge");
const names = (ops: readonly InnerOp[]): string[] =>
  ops
    .map((op) => [op.op, "on" in op && op.on, "address" in op && op.address, "destination" in op && op.destination])
    .map((words) =>
      words
        .filter((word) => typeof word === "string" || word === true)
        .map(String)
        .join(" "),
    );

describe("what virtual IPs need", () => {
  it("is there before the table translates, and the address after: nobody is refused", () => {
    const { ops } = planVips(wanted, foundIn(empty));
    const sysctls = vipSysctls(network).map(() => "set-sysctl");
    expect(names(ops)).to.deep.equal([
      ...sysctls,
      "set-bridge-filter true",
      "ensure-address 192.0.0.8/32",
      "ensure-route 10.5.0.0/24",
      "set-hairpin true",
      "set-table",
      "ensure-address 10.5.0.4/32",
    ]);
  });

  it("goes with the last, but for the address that keeps the bridge's neighbors", () => {
    const { ops } = planVips(none, vipsAsWanted(wanted));
    expect(names(ops)).to.deep.equal([
      "set-table",
      "remove-address 10.5.0.4/32",
      "set-hairpin",
      "set-bridge-filter",
      "remove-route 10.5.0.0/24",
    ]);
  });

  it("is nothing but the table where the rest is there", () => {
    expect(names(planVips(wanted, vipsAsWanted(wanted)).ops)).to.deep.equal(["set-table"]);
    expect(planVips(wanted, vipsAsWanted(wanted)).reasons).to.deep.equal([]);
    expect(names(planVips(none, foundIn(empty)).ops)).to.deep.equal(["set-table"]);
  });

  it("is found as it is, and what differs is said", () => {
    const observed: ObservedNamespace = {
      links: [link({ filtersIpv4: true }), { ...veth, hairpin: true }],
      addresses: ["192.0.0.8/32", "10.5.0.4/32", "10.5.0.5/32", "10.5.0.3/24"].map((address) => ({ link: 7, address })),
      routes: [{ destination: "10.5.0.0/24", link: 7, table: 254, protocol: 2, source: "" }],
      isPinned: true,
    };
    const sysctls = new Map(vipSysctls(network).map(([key, value]) => [key.join("/"), value]));
    expect(planVips(wanted, foundIn(observed, sysctls)).reasons).to.deep.equal(["address 10.5.0.5 is nobody's"]);
    sysctls.set("net/ipv4/ip_forward", "0");
    expect(planVips(wanted, foundIn({ ...observed, routes: [] }, sysctls)).reasons).to.deep.equal([
      "net/ipv4/ip_forward is 0",
      "route to 10.5.0.0/24 is gone",
      "address 10.5.0.5 is nobody's",
    ]);
    expect(vipsFound(network, { ...observed, links: [] }, sysctls)).to.equal(null);
  });

  it("leaves a port alone that is not there", () => {
    expect(names(planVips(wanted, foundIn({ ...empty, links: [link({})] })).ops)).not.to.include("set-hairpin true");
  });
});

describe("an address of a service", () => {
  const taken = (ip: string): boolean => ip === "10.5.0.9";
  const cases: readonly (readonly [vip: string, reason: string])[] = [
    ["10.5.0.4", ""],
    ["10.5.0.9", "a container has it"],
    ["10.5.0.1", "it is the network's gateway"],
    ["10.6.0.4", "it is in none of the network's subnets, 10.5.0.0/24 and fd00:5::/64"],
    ["fd00:5::4", "virtual IPs of IPv6 are not served"],
    ["web", "it is no address"],
  ];
  for (const [vip, reason] of cases) {
    it(`${vip} is ${reason === "" ? "served" : `not served: ${reason}`}`, () => {
      expect(whyNoVip(network, vip, taken)).to.equal(reason);
    });
  }
});

describe("UDP flows to virtual IPs", () => {
  const web = (...targets: string[]) => [{ vip: "10.5.0.4", targets }];
  const forget = (before: Parameters<typeof planForgetting>[1], now: Parameters<typeof planForgetting>[2]) =>
    planForgetting(network.id, before, now)?.virtual ?? null;

  it("are forgotten when a task or a service is gone, or nobody knows; not when one has come", () => {
    expect(forget(web("a", "b"), web("a"))).to.deep.equal(web("a"));
    expect(forget(web("a"), web("a", "b"))).to.equal(null);
    expect(forget(web("a"), [])).to.deep.equal([{ vip: "10.5.0.4", targets: [] }]);
    expect(forget(web(), [])).to.equal(null);
    expect(forget(undefined, web("a"))).to.deep.equal(web("a"));
    expect(forget(undefined, [])).to.equal(null);
  });
});
