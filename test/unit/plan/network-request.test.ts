import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import {
  difference,
  type NetworkRequest,
  networkConflict,
  planBridgeNetwork,
  type RequestedSubnet,
} from "../../../src/plan/network-request.ts";
import { bridgeKey, idOf, ipv6, networkOf, networkRequest, requestedSubnet } from "../../support/values.ts";

const v4 = (values: Partial<RequestedSubnet> = {}): RequestedSubnet[] => [
  requestedSubnet("172.18.0.0/16", "172.18.0.1/16", values),
];
const v6 = (values: Partial<RequestedSubnet> = {}): RequestedSubnet[] => [
  requestedSubnet("fd00:18::/64", "fd00:18::1/64", values),
];
const lan = (n: number, values: Partial<RequestedSubnet> = {}): RequestedSubnet[] => [
  requestedSubnet(`10.0.${n}.0/24`, `10.0.${n}.1/24`, values),
];
const onlyV6 = { enableIpv4: false, ipv4: [] };

const subnet4 = {
  family: 4,
  gatewayMode: "nat",
  pool: "172.18.0.0/16",
  gateway: "172.18.0.1/16",
  defaultGateway: "172.18.0.1",
  snat: null,
};
const subnet6 = {
  ...subnet4,
  family: 6,
  pool: "fd00:18::/64",
  gateway: "fd00:18::1/64",
  defaultGateway: "fd00:18::1",
  snat: null,
};

const refusals: [what: string, request: Partial<NetworkRequest>, message: string][] = [
  ["neither family, not wanted", { enableIpv4: false }, "IPv4 or IPv6 must be enabled"],
  ["neither family, not given", { ipv4: [] }, "IPv4 or IPv6 must be enabled"],
  ["IPv4 without a subnet", { enableIpv4: true, ipv4: [] }, "IPv4Data: ipv4 pool is empty"],
  ["IPv6 without a subnet", { enableIpv6: true }, "IPv6Data: ipv6 pool is empty"],
  [
    "IPv4 subnets of which one lies in the other",
    { ipv4: [...v4(), ...lan(3), ...v4({ pool: "172.18.4.0/22", gateway: "172.18.4.1/22" })] },
    "IPv4Data: the network's subnets 172.18.0.0/16 and 172.18.4.0/22 overlap; give others with --subnet",
  ],
  [
    "an IPv6 subnet twice",
    { ipv6: [...ipv6, ...ipv6] },
    "IPv6Data: the network's subnets fd00:18::/64 and fd00:18::/64 overlap; give others with --subnet",
  ],
  [
    "a second subnet whose gateway lies in the first",
    { ipv4: [...v4(), ...v4({ pool: "10.0.3.0/24" })] },
    "IPv4Data[1].Gateway: 172.18.0.1/16 is not in the subnet 10.0.3.0/24",
  ],
  [
    "a second subnet without a gateway",
    { ipv4: [...v4(), ...lan(3, { gateway: null })] },
    "IPv4Data[1].Gateway: a network that is not internal needs a gateway; give --gateway",
  ],
  [
    "a default gateway in another subnet of the network",
    { ipv4: [...v4({ auxiliary: { DefaultGatewayIPv4: "10.0.3.9" } }), ...lan(3)] },
    "DefaultGatewayIPv4=10.0.3.9: default gateway ip must be part of the network 172.18.0.0/16",
  ],
  [
    "the null IPAM",
    { ipv4: v4({ pool: "0.0.0.0/0", gateway: null }) },
    "IPv4Data[0].Pool: mode bridge needs a subnet, and 0.0.0.0/0 is none; give --subnet",
  ],
  [
    "the null IPAM's IPv6",
    { ...onlyV6, ipv6: v6({ pool: "::/0", gateway: null }) },
    "IPv6Data[0].Pool: mode bridge needs a subnet, and ::/0 is none; give --subnet",
  ],
  [
    "an IPv6 subnet as IPv4",
    { ipv4: v4({ pool: "fd00::/64", gateway: "fd00::1/64" }) },
    "IPv4Data[0].Pool: expected an IPv4 subnet, got fd00::/64",
  ],
  ["an IPv4 subnet as IPv6", { ipv6: v4() }, "IPv6Data[0].Pool: expected an IPv6 subnet, got 172.18.0.0/16"],
  [
    "a multicast subnet",
    { ipv4: v4({ pool: "230.0.0.0/8", gateway: "230.0.0.1/8" }) },
    "IPv4Data[0].Pool: multicast subnet '230.0.0.0/8' is not allowed",
  ],
  [
    "an IPv6 multicast subnet",
    { ipv6: v6({ pool: "ff02::/16" }) },
    "IPv6Data[0].Pool: multicast subnet 'ff02::/16' is not allowed",
  ],
  [
    "a clash with link-local addresses",
    { ipv6: v6({ pool: "fe80::/10" }) },
    "IPv6Data[0].Pool: 'fe80::/10' clashes with the Link-Local prefix 'fe80::/64'",
  ],
  [
    "a gateway outside",
    { ipv4: v4({ gateway: "172.19.0.1/16" }) },
    "IPv4Data[0].Gateway: 172.19.0.1/16 is not in the subnet 172.18.0.0/16",
  ],
  [
    "a gateway of the other family",
    { ipv6: v6({ gateway: "172.18.0.1/16" }) },
    "IPv6Data[0].Gateway: 172.18.0.1/16 is not in the subnet fd00:18::/64",
  ],
  [
    "no gateway",
    { ipv4: v4({ gateway: null }) },
    "IPv4Data[0].Gateway: a network that is not internal needs a gateway; give --gateway",
  ],
  [
    "a default gateway outside",
    { ipv4: v4({ auxiliary: { DefaultGatewayIPv4: "10.0.0.1/16" } }) },
    "DefaultGatewayIPv4=10.0.0.1/16: default gateway ip must be part of the network 172.18.0.0/16",
  ],
  [
    "a default gateway that is no address",
    { ipv4: v4({ auxiliary: { DefaultGatewayIPv4: "router" } }) },
    'auxiliary address DefaultGatewayIPv4=router: expected an IP address, got "router"',
  ],
  [
    "a default gateway of an internal network",
    { internal: true, ipv6: v6({ auxiliary: { DefaultGatewayIPv6: "fd00:18::9" } }) },
    "DefaultGatewayIPv6=fd00:18::9: no gateway can be set on an internal bridge network",
  ],
  [
    "IPv6 on links that are too small for it",
    { options: { "com.docker.network.driver.mtu": "1279" }, ipv6 },
    "com.docker.network.driver.mtu=1279: IPv6 needs 1280 bytes at least; give more, or leave --ipv6 out",
  ],
  ["an unknown option", { options: { moed: "x" } }, "unknown option moed=x for mode bridge: did you mean mode?"],
];

describe("a request for a network", () => {
  it("without options means Docker's defaults", () => {
    expect(planBridgeNetwork(networkRequest())).to.deep.equal({
      ignored: [],
      network: {
        id: idOf("a1"),
        mode: "bridge",
        bridge: "tsb-a1000000000",
        adopted: false,
        kept: [],
        mac: "02:42:ac:12:00:01",
        mtuBytes: null,
        internal: false,
        icc: true,
        masquerade: true,
        hostBinding: "0.0.0.0",
        interfacePrefix: "eth",
        subnets: [subnet4],
        trustedLinks: [],
        publish: "native",
        publishFrom: [],
        publishPolicy: "docker",
        ready: false,
      },
    });
  });

  it("takes every option into the record", () => {
    const options = {
      [bridgeKey("name")]: "lan",
      [bridgeKey("enable_icc")]: "false",
      [bridgeKey("enable_ip_masquerade")]: "false",
      [bridgeKey("host_binding_ipv4")]: "127.0.0.1",
      "com.docker.network.driver.mtu": "1400",
      "com.docker.network.container_iface_prefix": "net",
      "com.docker.network.host_ipv4": "192.0.2.1",
      "com.docker.network.host_ipv6": "2001:db8::1",
      "com.docker.network.unheard_of": "1",
      [bridgeKey("gateway_mode_ipv4")]: "routed",
      [bridgeKey("gateway_mode_ipv6")]: "nat-unprotected",
      [bridgeKey("trusted_host_interfaces")]: "eth1:eth2",
      "tsnet.publish_from": "10.0.0.0/8,192.0.2.1",
      "tsnet.publish_policy": "host",
    };
    const { network, ignored } = planBridgeNetwork(networkRequest({ options, ipv6, enableIpv6: true }));
    expect(ignored).to.deep.equal(["com.docker.network.unheard_of"]);
    expect(network).to.include({
      bridge: "lan",
      icc: false,
      masquerade: false,
      hostBinding: "127.0.0.1",
      mtuBytes: 1400,
      interfacePrefix: "net",
      publish: "native",
      publishPolicy: "host",
    });
    expect(network.trustedLinks).to.deep.equal(["eth1", "eth2"]);
    expect(network.publishFrom).to.deep.equal(["10.0.0.0/8", "192.0.2.1/32"]);
    expect(network.subnets).to.deep.equal([
      { ...subnet4, gatewayMode: "routed", snat: "192.0.2.1" },
      { ...subnet6, gatewayMode: "nat-unprotected", snat: "2001:db8::1" },
    ]);
  });

  it("for IPv6 only has its MAC address from the network and the gateway", () => {
    const { network } = planBridgeNetwork(networkRequest({ ...onlyV6, enableIpv6: true, ipv6 }));
    expect(network.subnets).to.deep.equal([subnet6]);
    expect(network.mac).to.match(/^02:42(:[0-9a-f]{2}){4}$/);
  });

  it("takes a family's switch from the options where Docker does not say, as up to 27", () => {
    const options = { "com.docker.network.enable_ipv4": "false" };
    expect(planBridgeNetwork(networkRequest({ options, ipv6 })).network.subnets).to.deep.equal([subnet6]);
    expect(planBridgeNetwork(networkRequest({ options, ipv6, enableIpv4: true })).network.subnets).to.deep.equal([
      subnet4,
      subnet6,
    ]);
  });

  it("gives an internal network no default gateway, with the bridge's address still there", () => {
    expect(networkOf({ internal: true }).subnets).to.deep.equal([{ ...subnet4, defaultGateway: null }]);
    const without = networkOf({ internal: true, ipv4: v4({ gateway: null }) });
    expect(without.subnets).to.deep.equal([{ ...subnet4, gateway: null, defaultGateway: null }]);
  });

  it("keeps the bridge without IPv4 address if inhibit_ipv4 says so, and the default gateway as Docker chose it", () => {
    const { subnets } = networkOf({ options: { [bridgeKey("inhibit_ipv4")]: "true" }, ipv6 });
    expect(subnets).to.deep.equal([{ ...subnet4, gateway: null }, subnet6]);
  });

  it("gives the bridge no address of a family that is isolated, whether Docker chose a gateway or not", () => {
    const options = { [bridgeKey("gateway_mode_ipv6")]: "isolated" };
    const isolated6 = { ...subnet6, gatewayMode: "isolated", gateway: null, defaultGateway: null };
    for (const gateway of ["fd00:18::1/64", null]) {
      const { subnets } = networkOf({ internal: true, options, ipv6: v6({ gateway }) });
      expect(subnets).to.deep.equal([{ ...subnet4, defaultGateway: null }, isolated6]);
    }
  });

  it("takes another default gateway from an auxiliary address", () => {
    const { subnets } = networkOf({
      ipv4: v4({ auxiliary: { DefaultGatewayIPv4: "172.18.0.254", other: "172.18.0.9" } }),
    });
    expect(subnets).to.deep.equal([{ ...subnet4, defaultGateway: "172.18.0.254" }]);
  });

  it("may be for the link-local prefix itself, as with Docker's own bridge", () => {
    const { subnets } = networkOf({ ipv6: v6({ pool: "fe80::/64", gateway: "fe80::1/64" }) });
    expect(subnets[1]?.pool).to.equal("fe80::/64");
  });

  describe("with several subnets of a family", () => {
    const second6 = requestedSubnet("fd00:2::/64", "fd00:2::1/64");
    const ipv4 = [...v4(), ...lan(200), ...lan(30)];

    it("has them in order of their addresses, in whatever order they come", () => {
      const { network } = planBridgeNetwork(networkRequest({ ipv4, ipv6: [...ipv6, second6] }));
      expect(network.subnets.map(({ pool }) => pool)).to.deep.equal([
        ...["10.0.30.0/24", "10.0.200.0/24", "172.18.0.0/16"],
        ...["fd00:2::/64", "fd00:18::/64"],
      ]);
      expect(network.mac).to.equal("02:42:0a:00:1e:01");
      const other = planBridgeNetwork(networkRequest({ ipv4: ipv4.toReversed(), ipv6: [second6, ...ipv6] }));
      expect(other.network).to.deep.equal(network);
    });

    it("takes what is said of the family for each of them, and each its own gateways", () => {
      const options = {
        [bridgeKey("gateway_mode_ipv4")]: "nat-unprotected",
        "com.docker.network.host_ipv4": "192.0.2.1",
      };
      const withRouter = lan(3, { auxiliary: { DefaultGatewayIPv4: "10.0.3.254/24" } });
      expect(networkOf({ options, ipv4: [...v4(), ...withRouter] }).subnets).to.deep.equal([
        {
          ...{ family: 4, gatewayMode: "nat-unprotected", pool: "10.0.3.0/24", gateway: "10.0.3.1/24" },
          ...{ defaultGateway: "10.0.3.254", snat: "192.0.2.1" },
        },
        { ...subnet4, gatewayMode: "nat-unprotected", snat: "192.0.2.1" },
      ]);
    });

    it("is internal in all of them", () => {
      const gateways = networkOf({ internal: true, ipv4 }).subnets.map((subnet) => subnet.defaultGateway);
      expect(gateways).to.deep.equal([null, null, null]);
    });
  });

  for (const [what, request, message] of refusals) {
    it(`is refused: ${what}`, () => {
      let error: unknown;
      try {
        planBridgeNetwork(networkRequest(request));
      } catch (reason) {
        error = reason;
      }
      expect(error).to.include({ code: "invalid" });
      expect(explain(error)).to.equal(message);
    });
  }
});

describe("networks in each other's way", () => {
  const other = networkOf({
    id: idOf("b2"),
    ipv4: v4({ pool: "10.0.0.0/8", gateway: "10.0.0.1/8" }),
    ipv6: v6({ pool: "fd00:b2::/64", gateway: "fd00:b2::1/64" }),
  });
  const conflict = (values: Partial<NetworkRequest>): string => networkConflict(networkOf(values), [other]);
  const text = (bridge: string, reason: string): string =>
    `cannot create network ${idOf("a1")} (${bridge}): conflicts with network ${idOf("b2")} (tsb-b2000000000): ${reason}`;

  it("have overlapping subnets, in one family or the other", () => {
    const bridge = "tsb-a1000000000";
    expect(conflict({ ipv4: v4({ pool: "10.9.0.0/16", gateway: "10.9.0.1/16" }) })).to.equal(
      text(bridge, "networks have overlapping IPv4 (10.9.0.0/16 and 10.0.0.0/8)"),
    );
    expect(conflict({ ipv6: v6({ pool: "fd00:b2::/96", gateway: "fd00:b2::9/96" }) })).to.equal(
      text(bridge, "networks have overlapping IPv6 (fd00:b2::/96 and fd00:b2::/64)"),
    );
  });

  it("have overlapping subnets, of which each has several", () => {
    const several = networkOf({ id: idOf("c3"), ipv4: [...lan(1), ...lan(5)] });
    expect(networkConflict(networkOf({ ipv4: [...lan(2), ...lan(5)] }), [several])).to.include(
      "networks have overlapping IPv4 (10.0.5.0/24 and 10.0.5.0/24)",
    );
    expect(networkConflict(networkOf({ ipv4: [...lan(2), ...lan(6)] }), [several])).to.equal("");
  });

  it("have the same bridge", () => {
    const options = { [bridgeKey("name")]: "tsb-b2000000000" };
    expect(conflict({ options })).to.equal(text("tsb-b2000000000", "networks have same bridge name"));
  });

  it("are others, and share something", () => {
    expect(conflict({})).to.equal("");
    expect(networkConflict(other, [other])).to.equal("");
  });
});

describe("the difference of two values", () => {
  it("names the first key that differs, with both values", () => {
    expect(difference({ a: 1, mtuBytes: 1400 }, { a: 1, mtuBytes: 1500, more: 1 })).to.equal(
      "mtuBytes is 1500, not 1400",
    );
    expect(difference({ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] })).to.equal('a is [1,{"b":3}], not [1,{"b":2}]');
    expect(difference({ a: null }, {})).to.equal("a is undefined, not null");
    expect(difference({ a: [] }, { a: [] })).to.equal("");
  });
});
