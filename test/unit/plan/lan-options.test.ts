import { expect } from "chai";
import {
  type IpvlanOptions,
  type MacvlanOptions,
  parseIpvlanOptions,
  parseMacvlanOptions,
} from "../../../src/plan/lan-options.ts";
import { modeOf } from "../../../src/plan/mode-options.ts";
import { bridgeKey } from "../../support/values.ts";

const mtu = "com.docker.network.driver.mtu";
const prefix = "com.docker.network.container_iface_prefix";

const ofBoth: [key: string, value: string, options: MacvlanOptions & IpvlanOptions][] = [
  ["parent", "eth0", { parent: "eth0" }],
  ["parent", "eth0.5000", { parent: "eth0.5000" }],
  ["parent", "", {}],
  [mtu, "9000", { mtuBytes: 9000 }],
  [mtu, "0", {}],
  [prefix, "lan", { interfacePrefix: "lan" }],
  ["com.docker.network.enable_ipv4", "false", { enableIpv4: false }],
  ["com.docker.network.enable_ipv6", "1", { enableIpv6: true }],
  ["tsnet.host_access", "true", { hostAccess: true }],
  ["tsnet.host_access", "0", { hostAccess: false }],
  ["tsnet.host_address", "192.168.1.250", { hostAddresses: ["192.168.1.250"] }],
  ["tsnet.host_address", "FD00::5,192.168.1.250", { hostAddresses: ["192.168.1.250", "fd00::5"] }],
  ["tsnet.duplicate_check", "false", { duplicateCheck: false }],
];

const ofMacvlan: [key: string, value: string, options: MacvlanOptions][] = [
  ...ofBoth,
  ["macvlan_mode", "bridge", { macvlanMode: "bridge" }],
  ["macvlan_mode", "private", { macvlanMode: "private" }],
  ["macvlan_mode", "vepa", { macvlanMode: "vepa" }],
  ["macvlan_mode", "passthru", { macvlanMode: "passthru" }],
  ["macvlan_mode", "", { macvlanMode: "bridge" }],
  ["mode", "macvlan", {}],
];

const ofIpvlan: [key: string, value: string, options: IpvlanOptions][] = [
  ...ofBoth,
  ["ipvlan_mode", "l2", { ipvlanMode: "l2" }],
  ["ipvlan_mode", "l3", { ipvlanMode: "l3" }],
  ["ipvlan_mode", "l3s", { ipvlanMode: "l3s" }],
  ["ipvlan_mode", "", { ipvlanMode: "l2" }],
  ["ipvlan_flag", "bridge", { ipvlanFlag: "bridge" }],
  ["ipvlan_flag", "private", { ipvlanFlag: "private" }],
  ["ipvlan_flag", "vepa", { ipvlanFlag: "vepa" }],
  ["ipvlan_flag", "", { ipvlanFlag: "bridge" }],
  ["mode", "ipvlan", {}],
];

const boolean = "expected true or false";
const link = "expected the name of a link: 1 to 15 of the characters A-Z a-z 0-9 . _ - @";
const noVlan = (name: string): string =>
  `invalid subinterface vlan name ${name}, example formatting is eth0.10; a link's name has 1 to 15 of the characters A-Z a-z 0-9 . _ - @`;

const refusedByBoth: [key: string, value: string, reason: string][] = [
  ["parent", "a b", noVlan("a b")],
  ["parent", "sixteen-bytes-16", noVlan("sixteen-bytes-16")],
  ["parent", "all", noVlan("all")],
  ["parent", "../eth0", link],
  ["parent", "sixteen-bytes.10", link],
  [mtu, "67", "expected a number of bytes from 68 to 65535, or 0 for the default"],
  [prefix, "", "expected 1 to 12 of the characters A-Z a-z 0-9 . _ -"],
  ["com.docker.network.enable_ipv4", "on", boolean],
  ["tsnet.host_access", "yes", boolean],
  ["tsnet.duplicate_check", "", boolean],
  ["tsnet.host_address", "", 'expected an IP address, got ""'],
  ["tsnet.host_address", "192.168.1.9/24", 'expected an IP address, got "192.168.1.9/24"'],
  ["tsnet.host_address", "192.168.1.9,192.168.1.10", "expected at most one address a family"],
  ["tsnet.host_address", "192.168.1.9,fd00::1,fd00::2", "expected at most one address a family"],
];

const refusedByMacvlan = [
  ...refusedByBoth,
  ...["Bridge", "source", "bridge ", "l2"].map((value): [string, string, string] => [
    "macvlan_mode",
    value,
    `requested macvlan mode '${value}' is not valid, 'bridge' mode is the macvlan driver default; this version knows bridge, private, vepa, passthru`,
  ]),
];

const refusedByIpvlan = [
  ...refusedByBoth,
  ...["L2", "l4", "bridge"].map((value): [string, string, string] => [
    "ipvlan_mode",
    value,
    `requested ipvlan mode '${value}' is not valid, 'l2' mode is the ipvlan driver default; this version knows l2, l3, l3s`,
  ]),
  ...["passthru", "l2"].map((value): [string, string, string] => [
    "ipvlan_flag",
    value,
    `requested ipvlan flag '${value}' is not valid, 'bridge' is the ipvlan driver default; this version knows bridge, private, vepa`,
  ]),
];

const modes = [
  { mode: "macvlan", parse: parseMacvlanOptions, understood: ofMacvlan, refused: refusedByMacvlan },
  { mode: "ipvlan", parse: parseIpvlanOptions, understood: ofIpvlan, refused: refusedByIpvlan },
] as const;

for (const { mode, parse, understood, refused } of modes) {
  describe(`the options of a network of mode ${mode}`, () => {
    for (const [key, value, options] of understood) {
      it(`${key}=${value} means ${JSON.stringify(options)}`, () => {
        expect(parse({ [key]: value })).to.deep.equal({ options, ignored: [] });
      });
    }

    for (const [key, value, reason] of refused) {
      it(`${key}=${JSON.stringify(value)} is refused with key, value and reason`, () => {
        expect(() => parse({ [key]: value }))
          .to.throw()
          .that.includes({ code: "invalid", message: `${key}=${value}: ${reason}` });
      });
    }

    it("that are Docker's own and unknown here are ignored, and named for a warning", () => {
      const given = { "com.docker.network.advertise_addr_ms": "200", parent: "eth0" };
      expect(parse(given)).to.deep.equal({
        options: { parent: "eth0" },
        ignored: ["com.docker.network.advertise_addr_ms"],
      });
    });

    it("that nobody knows are refused with the nearest key", () => {
      expect(() => parse({ parnet: "eth0" })).to.throw(
        `unknown option parnet=eth0 for mode ${mode}: did you mean parent?`,
      );
    });
  });
}

describe("the mode of a network", () => {
  it("is what its option says, and bridge without", () => {
    expect(modeOf({})).to.equal("bridge");
    for (const mode of ["bridge", "macvlan", "ipvlan", "overlay"]) expect(modeOf({ mode })).to.equal(mode);
  });

  for (const mode of ["Overlay", "Macvlan", "", "toString"]) {
    it(`is refused, with those that are known: ${JSON.stringify(mode)}`, () => {
      expect(() => modeOf({ mode }))
        .to.throw()
        .that.includes({
          code: "invalid",
          message: `mode=${mode}: this version knows the modes bridge, macvlan, ipvlan and overlay`,
        });
    });
  }

  const ofOthers: [mode: string, key: string, message: string][] = [
    [
      "bridge",
      "parent",
      "of the modes macvlan and ipvlan, and the network is of mode bridge; leave it out, or give -o mode=macvlan",
    ],
    [
      "bridge",
      "ipvlan_flag",
      "of mode ipvlan, and the network is of mode bridge; leave it out, or give -o mode=ipvlan",
    ],
    [
      "macvlan",
      "ipvlan_mode",
      "of mode ipvlan, and the network is of mode macvlan; leave it out, or give -o mode=ipvlan",
    ],
    [
      "ipvlan",
      "macvlan_mode",
      "of mode macvlan, and the network is of mode ipvlan; leave it out, or give -o mode=macvlan",
    ],
    [
      "macvlan",
      "tsnet.publish",
      "of mode bridge, and the network is of mode macvlan; leave it out, or give -o mode=bridge",
    ],
    [
      "ipvlan",
      bridgeKey("name"),
      "of mode bridge, and the network is of mode ipvlan; leave it out, or give -o mode=bridge",
    ],
  ];
  for (const [mode, key, message] of ofOthers) {
    it(`${mode} does not have ${key}, and says who does`, () => {
      expect(() => modeOf({ mode, [key]: "x" }))
        .to.throw()
        .that.includes({ code: "invalid", message: `${key}=x is an option ${message}` });
    });
  }

  it("leaves keys that no mode has to its own parser", () => {
    expect(modeOf({ mode: "macvlan", moed: "x", "com.docker.network.not_yet": "1" })).to.equal("macvlan");
  });
});
