import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { type NetworkRequest, planNetwork } from "../../../src/plan/network-request.ts";
import { refuseTooSmallMtu } from "../../../src/plan/overlay-request.ts";
import { idOf, ipv6, overlayOf, overlayRequest, requestedSubnet } from "../../support/values.ts";

type Options = Readonly<Record<string, string>>;

const mtu = "com.docker.network.driver.mtu";
const list = "com.docker.network.driver.overlay.vxlanid_list";
const [egress, from, policy] = ["tsnet.egress", "tsnet.publish_from", "tsnet.publish_policy"] as const;
const datapath = "tsnet.datapath";
const engine = { [egress]: "engine" };
const noGateway = { ipv4: [requestedSubnet("10.5.0.0/24", null)] };

const common = {
  id: idOf("a1"),
  mode: "overlay",
  vni: 0,
  flood: true,
  datapath: "auto",
  mtuBytes: null,
  internal: false,
  icc: true,
  masquerade: true,
  hostBinding: "0.0.0.0",
  interfacePrefix: "eth",
  subnets: [
    {
      family: 4,
      gatewayMode: "nat",
      pool: "10.5.0.0/24",
      gateway: "10.5.0.1/24",
      defaultGateway: "10.5.0.1",
      snat: null,
    },
  ],
  trustedLinks: [],
  publish: "native",
  publishFrom: [],
  publishPolicy: "docker",
  ready: false,
};

describe("a request for an overlay network", () => {
  it("without options means the defaults, and leaves the VNI to the control plane", () => {
    const { network, ignored } = planNetwork(overlayRequest());
    expect(network).to.deep.include(common);
    expect(ignored).to.deep.equal([]);
  });

  it("takes every option into the record", () => {
    const options = {
      ...{ "tsnet.vni": "4242", "tsnet.flood": "false", [mtu]: "9000" },
      ...{ "com.docker.network.container_iface_prefix": "mesh", "com.docker.network.not_yet": "1" },
      ...{ [egress]: "native", [from]: "10.0.0.0/8", [policy]: "host" },
    };
    const { network, ignored } = planNetwork(overlayRequest(options, { ipv6 }));
    expect(network).to.deep.include({
      ...{ ...common, vni: 4242, flood: false, mtuBytes: 9000, interfacePrefix: "mesh" },
      ...{ publishFrom: ["10.0.0.0/8"], publishPolicy: "host" },
      subnets: [
        ...common.subnets,
        {
          ...{ family: 6, gatewayMode: "nat", pool: "fd00:18::/64", snat: null },
          ...{ gateway: "fd00:18::1/64", defaultGateway: "fd00:18::1" },
        },
      ],
    });
    expect(ignored).to.deep.equal(["com.docker.network.not_yet"]);
  });

  it("has the gateway's MAC address on each host, whatever its network's ID is there", () => {
    const here = overlayOf();
    expect(overlayOf({}, { id: idOf("b2") }).mac).to.equal(here.mac);
    expect(overlayOf({}, { ipv4: [requestedSubnet("10.6.0.0/24", "10.6.0.1/24")] }).mac).to.not.equal(here.mac);
  });

  it("has the first VNI of a list, and the same VNI may be given in both ways", () => {
    expect(overlayOf({ [list]: "5000,5001" }).vni).to.equal(5000);
    expect(overlayOf({ [list]: " 5000,5001", "tsnet.vni": "05000" }).vni).to.equal(5000);
  });

  it("may have IPv6 only", () => {
    for (const off of [{ enableIpv4: false }, { ipv4: [] }]) {
      const { subnets } = overlayOf({}, { ...off, ipv6 });
      expect(subnets.map(({ pool }) => pool)).to.deep.equal(["fd00:18::/64"]);
    }
    expect(overlayOf({ "com.docker.network.enable_ipv4": "false" }, { ipv6 }).subnets).to.have.length(1);
  });

  it("has several subnets in order of their addresses", () => {
    const ipv4 = [requestedSubnet("10.9.0.0/24", "10.9.0.1/24"), ...overlayRequest().ipv4];
    const network = overlayOf({}, { ipv4, ipv6 });
    expect(network.subnets.map(({ pool }) => pool)).to.deep.equal(["10.5.0.0/24", "10.9.0.0/24", "fd00:18::/64"]);
    expect(overlayOf({}, { ipv4: ipv4.toReversed(), ipv6 })).to.deep.equal(network);
  });

  for (const [what, options, internal] of [
    ["with --internal", {}, true],
    ["where Docker leads its containers out", engine, false],
  ] as const) {
    it(`has the gateway on no host ${what}, and needs none`, () => {
      for (const values of [{ internal }, { internal, ...noGateway }]) {
        const [subnet] = overlayOf(options, values).subnets;
        expect(subnet).to.include({ gateway: null, defaultGateway: null });
      }
    });
  }

  it("with an MTU leaves enough for IPv6, and for the least that a link may have", () => {
    expect(overlayOf({ [mtu]: "1330" }, { ipv6 }).mtuBytes).to.equal(1330);
    expect(overlayOf({ [mtu]: "118" }).mtuBytes).to.equal(118);
  });
});

const noPorts = "an internal network publishes no ports, and has no way out; leave one of them out";
const byDocker = "Docker publishes the ports, by rules of its own; leave one of them out";

const refusals: [what: string, options: Options, message: string, values?: Partial<NetworkRequest>][] = [
  ["no gateway", {}, "IPv4Data[0].Gateway: a network that is not internal needs a gateway; give --gateway", noGateway],
  ["nothing enabled", {}, "IPv4 or IPv6 must be enabled", { enableIpv4: false }],
  ["an empty pool", {}, "IPv6Data: ipv6 pool is empty", { enableIpv6: true }],
  [
    "no subnet",
    {},
    "IPv4Data[0].Pool: mode overlay needs a subnet, and 0.0.0.0/0 is none; give --subnet",
    { ipv4: [requestedSubnet("0.0.0.0/0", null)] },
  ],
  [
    "subnets that overlap",
    {},
    "IPv4Data: the network's subnets 10.5.0.0/24 and 10.5.0.128/25 overlap; give others with --subnet",
    { ipv4: [...overlayRequest().ipv4, requestedSubnet("10.5.0.128/25", "10.5.0.129/25")] },
  ],
  [
    "two VNIs",
    { "tsnet.vni": "5001", [list]: "5000,5001" },
    `tsnet.vni=5001 and ${list}=5000,5001: leave one of them out`,
  ],
  [
    "an MTU too small for IPv6",
    { [mtu]: "1329" },
    `${mtu}=1329: IPv6 needs 1280 bytes at least, and its way to other hosts 50 more; give 1330, or leave --ipv6 out`,
    { ipv6 },
  ],
  [
    "publish_from inside",
    { [from]: "10.0.0.1" },
    `${from}=10.0.0.1/32 has no effect with --internal: ${noPorts}`,
    { internal: true },
  ],
  [
    "publish_policy inside",
    { [policy]: "host" },
    `${policy}=host has no effect with --internal: ${noPorts}`,
    { internal: true },
  ],
  [
    "the short way inside",
    { [datapath]: "direct" },
    `${datapath}=direct has no effect with --internal: the short way is by the hosts, which an internal network has no link to; leave one of them out`,
    { internal: true },
  ],
  [
    "the short way where Docker leads its containers out",
    { ...engine, [datapath]: "direct" },
    `${datapath}=direct has no effect with ${egress}=engine: the short way is by a link of tsnet's, and Docker's is there instead; leave one of them out`,
  ],
  ["a way out inside", engine, `${egress}=engine has no effect with --internal: ${noPorts}`, { internal: true }],
  [
    "publish_from by Docker",
    { ...engine, [from]: "10.0.0.0/8,fd00::/8" },
    `${from}=10.0.0.0/8,fd00::/8 has no effect with ${egress}=engine: ${byDocker}`,
  ],
  [
    "publish_policy by Docker",
    { ...engine, [policy]: "docker" },
    `${policy}=docker has no effect with ${egress}=engine: ${byDocker}`,
  ],
];

describe("a request for an overlay network is refused", () => {
  for (const [what, options, message, values] of refusals) {
    it(`with ${what}: ${message}`, () => {
      let error: unknown;
      try {
        planNetwork(overlayRequest(options, values));
      } catch (reason) {
        error = reason;
      }
      expect(error).to.include({ code: "invalid" });
      expect(explain(error)).to.equal(message);
    });
  }

  it("but not if it only says of an internal network that tsnet leads nobody out", () => {
    expect(overlayOf({ [egress]: "native" }, { internal: true }).internal).to.equal(true);
  });
});

describe("the MTU of the way between hosts", () => {
  const way = (local: string, mtuBytes: number) => ({ local, mtuBytes, port: 4789, knowsPlaces: true });
  const [v4, v6] = ["192.0.2.7", "2001:db8::7"] as const;

  const tooSmall: [
    options: Options,
    isIpv6: boolean,
    local: string,
    mtuBytes: number,
    code: string,
    message: string,
  ][] = [
    [
      {},
      true,
      v6,
      1349,
      "conflict",
      "the way from 2001:db8::7 to the other hosts carries 1349 bytes: 70 of it are VXLAN's, and IPv6 needs 1280 for the containers; give its links an MTU of 1350 at least",
    ],
    [
      {},
      true,
      v4,
      1329,
      "conflict",
      "the way from 192.0.2.7 to the other hosts carries 1329 bytes: 50 of it are VXLAN's, and IPv6 needs 1280 for the containers; give its links an MTU of 1330 at least",
    ],
    [
      {},
      false,
      v4,
      117,
      "conflict",
      "the way from 192.0.2.7 to the other hosts carries 117 bytes: 50 of it are VXLAN's, and there must be 68 for the containers; give its links an MTU of 118 at least",
    ],
    [
      { [mtu]: "1330" },
      true,
      v6,
      1500,
      "invalid",
      `${mtu}=1330: 70 of it are VXLAN's, and IPv6 needs 1280 for the containers; give 1350 at least`,
    ],
    [
      { [mtu]: "120" },
      false,
      v6,
      1500,
      "invalid",
      `${mtu}=120: 70 of it are VXLAN's, and there must be 68 for the containers; give 138 at least`,
    ],
  ];
  for (const [options, isIpv6, local, mtuBytes, code, message] of tooSmall) {
    it(`is refused where it is too small: ${message}`, () => {
      const network = overlayOf(options, isIpv6 ? { ipv6 } : {});
      expect(() => refuseTooSmallMtu(network, way(local, mtuBytes)))
        .to.throw()
        .that.includes({ code, message });
    });
  }

  it("is enough at the limit", () => {
    refuseTooSmallMtu(overlayOf({}, { ipv6 }), way(v6, 1350));
    refuseTooSmallMtu(overlayOf({}, { ipv6 }), way(v4, 1330));
    refuseTooSmallMtu(overlayOf(), way(v4, 118));
    refuseTooSmallMtu(overlayOf({ [mtu]: "1350" }, { ipv6 }), way(v6, 1280));
  });
});
