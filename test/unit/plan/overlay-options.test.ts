import { expect } from "chai";
import { modeOf } from "../../../src/plan/mode-options.ts";
import { type OverlayOptions, overlayKeys, parseOverlayOptions } from "../../../src/plan/overlay-options.ts";
import { bridgeKey } from "../../support/values.ts";

const mtu = "com.docker.network.driver.mtu";
const prefix = "com.docker.network.container_iface_prefix";
const list = "com.docker.network.driver.overlay.vxlanid_list";

const understood: [key: string, value: string, options: OverlayOptions][] = [
  ["tsnet.vni", "1", { vni: 1 }],
  ["tsnet.vni", "16777215", { vni: 16777215 }],
  ["tsnet.vni", "0042", { vni: 42 }],
  [list, "4097", { vni: 4097 }],
  // Docker has one for each subnet
  [list, "4097,4098, 4099", { vni: 4097 }],
  ["tsnet.vxlan_port", "4790", { port: 4790 }],
  ["tsnet.flood", "false", { flood: false }],
  ["tsnet.flood", "1", { flood: true }],
  ["tsnet.datapath", "auto", { datapath: "auto" }],
  ["tsnet.datapath", "vxlan", { datapath: "vxlan" }],
  ["tsnet.datapath", "direct", { datapath: "direct" }],
  ["tsnet.egress", "native", { egress: "native" }],
  ["tsnet.egress", "engine", { egress: "engine" }],
  ["tsnet.publish_from", "10.1.0.0/16,10.0.0.0/8,fd00::1", { publishFrom: ["10.0.0.0/8", "fd00::1/128"] }],
  ["tsnet.publish_policy", "docker", { publishPolicy: "docker" }],
  ["tsnet.publish_policy", "host", { publishPolicy: "host" }],
  [mtu, "118", { mtuBytes: 118 }],
  [mtu, "65535", { mtuBytes: 65535 }],
  [mtu, "0", {}],
  [prefix, "mesh", { interfacePrefix: "mesh" }],
  ["com.docker.network.enable_ipv4", "false", { enableIpv4: false }],
  ["com.docker.network.enable_ipv6", "1", { enableIpv6: true }],
  ["mode", "overlay", {}],
];

const vni = "expected a VNI from 1 to 16777215";
const udpPort = "expected a UDP port from 1 to 65535";
const boolean = "expected true or false";
const noEncryption = "this version of tsnet does not encrypt; leave it out, or use Docker's own overlay";

const refused: [key: string, value: string, reason: string][] = [
  ...["0", "16777216", "-1", "", "0x10", "4096.5", "99999999999", "one", " 5"].map(
    (value): [string, string, string] => ["tsnet.vni", value, vni],
  ),
  ...["", "0", "4097,", "4097,16777216", "4097;4098", ","].map((value): [string, string, string] => [list, value, vni]),
  ...["0", "65536", "", "4789a"].map((value): [string, string, string] => ["tsnet.vxlan_port", value, udpPort]),
  ["tsnet.flood", "off", boolean],
  ["tsnet.flood", "", boolean],
  ["tsnet.datapath", "fast", "expected auto or vxlan or direct"],
  ["tsnet.egress", "docker", "expected native or engine"],
  ["tsnet.egress", "", "expected native or engine"],
  ["tsnet.publish_from", "", "expected subnets or addresses, with commas in between"],
  ["tsnet.publish_policy", "none", "expected docker or host"],
  [mtu, "67", "expected a number of bytes from 68 to 65535, or 0 for the default"],
  [mtu, "65536", "expected a number of bytes from 68 to 65535, or 0 for the default"],
  [mtu, "117", "VXLAN takes 50 bytes of what the hosts' network carries; give 118 at least"],
  [prefix, "", "expected 1 to 12 of the characters A-Z a-z 0-9 . _ -"],
  ["com.docker.network.enable_ipv6", "on", boolean],
  ["encrypted", "", noEncryption],
  ["encrypted", "false", noEncryption],
];

describe("the options of a network of mode overlay", () => {
  for (const [key, value, options] of understood) {
    it(`${key}=${value} means ${JSON.stringify(options)}`, () => {
      expect(parseOverlayOptions({ [key]: value })).to.deep.equal({ options, ignored: [] });
    });
  }

  for (const [key, value, reason] of refused) {
    it(`${key}=${JSON.stringify(value)} is refused with key, value and reason`, () => {
      expect(() => parseOverlayOptions({ [key]: value }))
        .to.throw()
        .that.includes({ code: "invalid", message: `${key}=${value}: ${reason}` });
    });
  }

  it("are each tried here", () => {
    const tried = new Set([...understood, ...refused].map(([key]) => key));
    expect(overlayKeys.filter((key) => !tried.has(key))).to.deep.equal([]);
  });

  it("that are Docker's own and unknown here are ignored, and named for a warning", () => {
    const given = { "com.docker.network.advertise_addr_ms": "200", "tsnet.vni": "7" };
    expect(parseOverlayOptions(given)).to.deep.equal({
      options: { vni: 7 },
      ignored: ["com.docker.network.advertise_addr_ms"],
    });
  });

  it("that nobody knows are refused with the nearest key", () => {
    expect(() => parseOverlayOptions({ "tsnet.vmi": "7" })).to.throw(
      "unknown option tsnet.vmi=7 for mode overlay: did you mean tsnet.vni?",
    );
  });

  it("belong to mode overlay alone where no other mode has them", () => {
    expect(modeOf({ mode: "overlay", "tsnet.vni": "7" })).to.equal("overlay");
    for (const key of ["tsnet.vni", list, "tsnet.flood", "tsnet.egress", "encrypted"]) {
      for (const mode of ["bridge", "macvlan", "ipvlan"]) {
        const message = `${key}=x is an option of mode overlay, and the network is of mode ${mode}; leave it out, or give -o mode=overlay`;
        expect(() => modeOf({ mode, [key]: "x" }))
          .to.throw()
          .that.includes({ code: "invalid", message });
      }
    }
  });

  const ofOthers: [key: string, owner: string, remedy: string][] = [
    [bridgeKey("name"), "of mode bridge", "bridge"],
    [bridgeKey("enable_icc"), "of mode bridge", "bridge"],
    [bridgeKey("gateway_mode_ipv4"), "of mode bridge", "bridge"],
    [bridgeKey("host_binding_ipv4"), "of mode bridge", "bridge"],
    ["tsnet.publish", "of mode bridge", "bridge"],
    ["parent", "of the modes macvlan and ipvlan", "macvlan"],
    ["macvlan_mode", "of mode macvlan", "macvlan"],
    ["tsnet.host_access", "of the modes macvlan and ipvlan", "macvlan"],
  ];
  for (const [key, owner, remedy] of ofOthers) {
    it(`do not include ${key}, and it is said whose it is`, () => {
      const message = `${key}=x is an option ${owner}, and the network is of mode overlay; leave it out, or give -o mode=${remedy}`;
      expect(() => modeOf({ mode: "overlay", [key]: "x" }))
        .to.throw()
        .that.includes({ code: "invalid", message });
    });
  }
});
