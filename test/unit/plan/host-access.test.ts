import { expect } from "chai";
import { shimMacOf } from "../../../src/net/mac.ts";
import {
  isHostNear,
  type ParentState,
  planReachRemoval,
  planShim,
  planShimAddresses,
  planShimRemoval,
  reachesOf,
} from "../../../src/plan/host-access.ts";
import { hostAccessTable, reachElements, shimElements, wantedHostAccess } from "../../../src/plan/host-access-table.ts";
import type { LanNetwork } from "../../../src/plan/network.ts";
import { wholeTableScript } from "../../../src/plan/nft-script.ts";
import { endpointOf, idOf, ipvlanOf, macvlanOf, networkOf, requestedSubnet } from "../../support/values.ts";
import { WorldNft } from "../../support/world-nft.ts";

const shim = "tsh-a1000000000";
const parent: ParentState = { mac: "02:00:00:00:00:01", addresses: ["10.1.1.1/8", "192.168.1.2/24", "fe80::1/64"] };
const access = { "tsnet.host_access": "true" };
const both = { ...access, "tsnet.host_address": "192.168.1.250,fd00:1::250" };
const ipv6 = [requestedSubnet("fd00:1::/64", "fd00:1::1/64")];
const endpoint = endpointOf({ addresses: ["192.168.1.10/24", "fd00:1::10/64"], mac: "02:42:c0:a8:01:0a" });
const sources = (network: LanNetwork, state: Partial<ParentState> = {}) =>
  reachesOf(network, endpoint, { ...parent, ...state }).map(([{ destination, source }]) => `${destination} ${source}`);

describe("the shim of a network", () => {
  it("comes up when it has its sysctls, and has no IPv6", () => {
    const link = { name: shim, alias: `tsnet:shim:${idOf("a1")}`, parent: "eth0", mtuBytes: null };
    const kind = { link: { kind: "macvlan", mode: "bridge" }, mac: shimMacOf(idOf("a1"), parent.mac) };
    const ops = planShim(macvlanOf(access), parent);
    expect(ops[0]).to.deep.equal({ op: "ensure-lan-link", ...link, ...kind, up: false });
    expect(ops.at(-1)).to.deep.equal({ op: "ensure-lan-link", ...link, ...kind, up: true });
    const sysctls = ops.flatMap((op) => (op.op === "set-sysctl" ? [`${op.key.join("/")}=${op.value}`] : []));
    expect(sysctls).to.have.members([
      ...["disable_ipv6=1", "accept_ra=0"].map((text) => `net/ipv6/conf/${shim}/${text}`),
      ...["rp_filter=2", "arp_ignore=0", "proxy_arp=0"].map((text) => `net/ipv4/conf/${shim}/${text}`),
    ]);
    expect(planShimAddresses(macvlanOf(access))).to.deep.equal([]);
  });

  it("has IPv6 where the host has an address of it, and no prefix that would take the LAN's route", () => {
    const network = macvlanOf(both, { ipv6 });
    const ops = planShim(network, parent);
    expect(ops.some((op) => op.op === "set-sysctl" && op.key.at(-1) === "disable_ipv6" && op.value === "0")).to.equal(
      true,
    );
    expect(planShimAddresses(network)).to.deep.equal([
      { op: "ensure-address", link: shim, address: "192.168.1.250/32" },
      { op: "ensure-address", link: shim, address: "fd00:1::250/128" },
    ]);
    expect(planShimRemoval(network)).to.deep.equal([
      { op: "remove-address", link: shim, address: "192.168.1.250/32" },
      { op: "remove-address", link: shim, address: "fd00:1::250/128" },
      { op: "remove-links", links: [{ name: shim, alias: `tsnet:shim:${idOf("a1")}` }] },
    ]);
  });

  it("of ipvlan has the parent's MAC", () => {
    const [first] = planShim(ipvlanOf(access), parent);
    expect(first).to.deep.include({ mac: null, link: { kind: "ipvlan", mode: "l2", flag: "bridge" } });
    expect(reachesOf(ipvlanOf(access), { ...endpoint, mac: null }, parent)[0]?.[1].mac).to.equal(parent.mac);
  });

  it("has a MAC that stays, that no other host's has, and that can be none of a container's", () => {
    const macs = [
      shimMacOf("n1", "02:00:00:00:00:01"),
      shimMacOf("n1", "02:00:00:00:00:02"),
      shimMacOf("n2", "02:00:00:00:00:01"),
    ];
    expect(new Set(macs).size).to.equal(3);
    for (const mac of macs) expect(mac).to.match(/^06(:[0-9a-f]{2}){5}$/);
    expect(shimMacOf("n1", "02:00:00:00:00:01")).to.equal(macs[0]);
  });
});

describe("the host's way to a container", () => {
  it("is a route and a neighbor an address, of IPv6 only where the host has one itself", () => {
    expect(reachesOf(macvlanOf(access, { ipv6 }), endpoint, parent)).to.deep.equal([
      [
        { op: "ensure-route", link: shim, destination: "192.168.1.10/32", source: "192.168.1.2" },
        { op: "ensure-neighbor", link: shim, address: "192.168.1.10", mac: "02:42:c0:a8:01:0a" },
      ],
    ]);
    expect(sources(macvlanOf(both, { ipv6 }))).to.deep.equal(["192.168.1.10/32 192.168.1.250", "fd00:1::10/128 null"]);
    expect(planReachRemoval(macvlanOf(both, { ipv6 }), endpoint)).to.have.length(4);
    expect(reachesOf(macvlanOf(), endpoint, parent)).to.deep.equal([]);
  });

  it("begins at an address in the container's subnet, else at any of the parent's, else where the kernel likes", () => {
    expect(sources(macvlanOf(access))).to.deep.equal(["192.168.1.10/32 192.168.1.2"]);
    expect(sources(macvlanOf(access), { addresses: ["10.1.1.1/8"] })).to.deep.equal(["192.168.1.10/32 10.1.1.1"]);
    expect(sources(macvlanOf(access), { addresses: ["fe80::1/64"] })).to.deep.equal(["192.168.1.10/32 null"]);
    const ipv4 = [requestedSubnet("192.168.1.0/24", "192.168.1.1/24"), requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    const elsewhere = macvlanOf({ ...access, "tsnet.host_address": "10.0.0.250" }, { ipv4 });
    expect(sources(elsewhere)).to.deep.equal(["192.168.1.10/32 192.168.1.2"]);
    expect(sources(elsewhere, { addresses: [] })).to.deep.equal(["192.168.1.10/32 10.0.0.250"]);
  });

  it("is without a gateway if the host has an IPv4 address in a subnet", () => {
    const addresses = ["10.1.1.1/8"];
    expect(isHostNear(macvlanOf(access), parent)).to.equal(true);
    expect(isHostNear(macvlanOf(access), { addresses })).to.equal(false);
    expect(isHostNear(macvlanOf({ ...access, "tsnet.host_address": "192.168.1.250" }), { addresses })).to.equal(true);
    expect(isHostNear(macvlanOf(access, { ipv4: [], ipv6 }), { addresses })).to.equal(true);
  });
});

describe("the table of host access", () => {
  const wanted = (...networks: ReturnType<typeof networkOf | typeof macvlanOf>[]) =>
    wantedHostAccess({
      networks: new Map(networks.map((one) => [one.id, one])),
      endpoints: new Map([[endpoint.id, endpoint]]),
    });

  it("is not there without a network that has it", () => {
    expect(wanted(networkOf(), { ...macvlanOf(), id: idOf("b2") })).to.equal(null);
  });

  it("knows the shim, the host's address there, and each container's IPv4 address", () => {
    expect(wanted(macvlanOf(both, { ipv6 }))).to.deep.equal({
      shims: { [shim]: "" },
      hosts: { "192.168.1.250": "" },
      at: { [`${shim} . 192.168.1.250`]: "" },
      reach: { [`${shim} . 192.168.1.10`]: "" },
    });
    expect(wanted(macvlanOf(access))).to.deep.equal({
      shims: { [shim]: "" },
      reach: { [`${shim} . 192.168.1.10`]: "" },
    });
    expect([shimElements(macvlanOf()), reachElements({ ...endpoint, addresses: ["fd00:1::10/64"] })]).to.deep.equal([
      [],
      [],
    ]);
  });

  it("is what nft makes of its script", () => {
    const nft = new WorldNft();
    const elements = wanted(macvlanOf(both, { ipv6 }));
    nft.run(wholeTableScript(hostAccessTable, elements ?? {}));
    expect(nft.observe("arp tsnet")?.elements).to.deep.equal(elements);
    expect(nft.observe()).to.equal(undefined);
  });
});
