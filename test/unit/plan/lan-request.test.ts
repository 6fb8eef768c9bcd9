import { expect } from "chai";
import { type NetworkRequest, planNetwork } from "../../../src/plan/network-request.ts";
import { idOf, ipv6, lanRequest, macvlanOf, networkRequest, requestedSubnet } from "../../support/values.ts";

type Options = Readonly<Record<string, string>>;

const mtu = "com.docker.network.driver.mtu";
const hostAccess = { "tsnet.host_access": "true" };
const hostAddress = (address: string): Options => ({ ...hostAccess, "tsnet.host_address": address });
const noGateway = { ipv4: [requestedSubnet("192.168.1.0/24", null)] };
const small = (pool: string): Partial<NetworkRequest> => ({ ipv4: [requestedSubnet(pool, null)] });

const common = {
  id: idOf("a1"),
  parent: { name: "eth0", kind: "link" },
  hostAccess: null,
  duplicateCheck: true,
  mtuBytes: null,
  internal: false,
  interfacePrefix: "eth",
  subnets: [{ family: 4, pool: "192.168.1.0/24", defaultGateway: "192.168.1.1" }],
  ready: false,
};
const dummy = { name: "tsp-a1000000000", kind: "dummy" };

describe("a request for a network on a parent", () => {
  it("without options of its mode means the defaults", () => {
    const none = { ignored: [] };
    expect(planNetwork(lanRequest("macvlan"))).to.deep.equal({
      network: { ...common, mode: "macvlan", macvlanMode: "bridge" },
      ...none,
    });
    expect(planNetwork(lanRequest("ipvlan"))).to.deep.equal({
      network: { ...common, mode: "ipvlan", ipvlanMode: "l2", ipvlanFlag: "bridge" },
      ...none,
    });
  });

  it("takes every option into the record", () => {
    const options = {
      ...{ ...hostAddress("fd00:18::5,192.168.1.250"), "tsnet.duplicate_check": "false", [mtu]: "1400" },
      ...{ parent: "eth0.10", "com.docker.network.container_iface_prefix": "lan", "com.docker.network.not_yet": "1" },
    };
    const shared = {
      ...common,
      parent: { name: "eth0.10", kind: "link" },
      hostAccess: { addresses: ["192.168.1.250", "fd00:18::5"] },
      duplicateCheck: false,
      mtuBytes: 1400,
      interfacePrefix: "lan",
      subnets: [...common.subnets, { family: 6, pool: "fd00:18::/64", defaultGateway: "fd00:18::1" }],
    };
    expect(planNetwork(lanRequest("macvlan", { ...options, macvlan_mode: "bridge" }, { ipv6 }))).to.deep.equal({
      network: { ...shared, mode: "macvlan", macvlanMode: "bridge" },
      ignored: ["com.docker.network.not_yet"],
    });
    const flags = { ipvlan_mode: "l2", ipvlan_flag: "bridge" };
    expect(planNetwork(lanRequest("ipvlan", { ...options, ...flags }, { ipv6 })).network).to.deep.equal({
      ...shared,
      mode: "ipvlan",
      ipvlanMode: "l2",
      ipvlanFlag: "bridge",
    });
  });

  it("has the mode and the flag of the kernel's that are asked for", () => {
    const flags = { ipvlan_mode: "l3s", ipvlan_flag: "vepa" };
    expect(planNetwork(lanRequest("ipvlan", flags)).network).to.include({ ipvlanMode: "l3s", ipvlanFlag: "vepa" });
    expect(macvlanOf({ macvlan_mode: "passthru" })).to.include({ macvlanMode: "passthru", duplicateCheck: true });
  });

  it("asks nobody in the ipvlan modes without neighbors", () => {
    for (const mode of ["l3", "l3s"])
      expect(planNetwork(lanRequest("ipvlan", { ipvlan_mode: mode })).network).to.include({ duplicateCheck: false });
  });

  for (const [what, options, internal] of [
    ["without a parent", { mode: "macvlan" }, false],
    ["with an empty one", { mode: "macvlan", parent: "" }, false],
    ["with --internal and no parent", { mode: "macvlan" }, true],
  ] as const) {
    it(`is internal ${what}, on a dummy of its own, and no gateway leads out`, () => {
      const { network } = planNetwork(networkRequest({ options, internal }));
      const subnets = [{ family: 4, pool: "172.18.0.0/16", defaultGateway: null }];
      expect(network).to.deep.include({ parent: dummy, internal: true, subnets });
    });
  }

  it("is on its parent with --internal as well, and no gateway leads out", () => {
    const { network } = planNetwork(lanRequest("ipvlan", {}, { internal: true }));
    expect(network).to.deep.include({ parent: { name: "eth0", kind: "link" }, internal: true });
    expect(network.subnets.map(({ defaultGateway }) => defaultGateway)).to.deep.equal([null]);
  });

  it("needs no gateway", () => {
    expect(planNetwork(lanRequest("macvlan", {}, noGateway)).network.subnets[0]?.defaultGateway).to.equal(null);
  });

  it("has several subnets in order of their addresses, each with its gateway, if it has one", () => {
    const ipv4 = [
      requestedSubnet("192.168.7.0/24", "192.168.7.254/24"),
      requestedSubnet("192.168.3.0/24", null),
      ...lanRequest("macvlan").ipv4,
    ];
    const planned = planNetwork(lanRequest("macvlan", {}, { ipv4, ipv6 })).network;
    expect(planned.subnets.map(({ pool, defaultGateway }) => [pool, defaultGateway])).to.deep.equal([
      ["192.168.1.0/24", "192.168.1.1"],
      ["192.168.3.0/24", null],
      ["192.168.7.0/24", "192.168.7.254"],
      ["fd00:18::/64", "fd00:18::1"],
    ]);
    const turned = lanRequest("macvlan", {}, { ipv4: ipv4.toReversed(), ipv6 });
    expect(planNetwork(turned).network).to.deep.equal(planned);
  });

  it("may have a host address that --aux-address keeps from containers", () => {
    const ipv4 = [requestedSubnet("192.168.1.0/24", null, { auxiliary: { host: "192.168.1.250/24" } })];
    const { network } = planNetwork(lanRequest("macvlan", hostAddress("192.168.1.250"), { ipv4 }));
    expect(network).to.deep.include({ hostAccess: { addresses: ["192.168.1.250"] } });
  });

  for (const [pool, address] of [
    ["192.168.1.4/31", "192.168.1.4"],
    ["192.168.1.4/31", "192.168.1.5"],
    ["192.168.1.4/32", "192.168.1.4"],
    ["192.168.1.4/30", "192.168.1.6"],
  ] as const) {
    it(`may have the host address ${address} in ${pool}`, () => {
      const { network } = planNetwork(lanRequest("macvlan", hostAddress(address), small(pool)));
      expect(network).to.deep.include({ hostAccess: { addresses: [address] } });
    });
  }
});
