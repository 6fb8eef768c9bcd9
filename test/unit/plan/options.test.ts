import { expect } from "chai";
import { type BridgeOptions, parseBridgeOptions } from "../../../src/plan/options.ts";
import { bridgeKey } from "../../support/values.ts";

const mtu = "com.docker.network.driver.mtu";
const prefix = "com.docker.network.container_iface_prefix";
const snat4 = "com.docker.network.host_ipv4";
const snat6 = "com.docker.network.host_ipv6";

const publishFrom = "tsnet.publish_from";

const understood: [key: string, value: string, options: BridgeOptions][] = [
  [bridgeKey("name"), "br-lan.1", { bridge: "br-lan.1" }],
  ...["1", "t", "T", "TRUE", "true", "True"].map((value): [string, string, BridgeOptions] => [
    bridgeKey("enable_icc"),
    value,
    { icc: true },
  ]),
  ...["0", "f", "F", "FALSE", "false", "False"].map((value): [string, string, BridgeOptions] => [
    bridgeKey("enable_icc"),
    value,
    { icc: false },
  ]),
  [bridgeKey("enable_ip_masquerade"), "false", { masquerade: false }],
  [bridgeKey("inhibit_ipv4"), "true", { inhibitIpv4: true }],
  [bridgeKey("host_binding_ipv4"), "127.0.0.1", { hostBinding: "127.0.0.1" }],
  [bridgeKey("host_binding_ipv4"), "FD00::1", { hostBinding: "fd00::1" }],
  [bridgeKey("gateway_mode_ipv4"), "nat", { gatewayMode4: "nat" }],
  [bridgeKey("gateway_mode_ipv4"), "routed", { gatewayMode4: "routed" }],
  [bridgeKey("gateway_mode_ipv6"), "nat-unprotected", { gatewayMode6: "nat-unprotected" }],
  [bridgeKey("gateway_mode_ipv6"), "isolated", { gatewayMode6: "isolated" }],
  [bridgeKey("trusted_host_interfaces"), "eth1:wg0.5", { trustedLinks: ["eth1", "wg0.5"] }],
  [bridgeKey("trusted_host_interfaces"), ":eth1::eth1:", { trustedLinks: ["eth1"] }],
  [bridgeKey("trusted_host_interfaces"), "", { trustedLinks: [] }],
  ["tsnet.publish", "native", { publish: "native" }],
  ["tsnet.publish", "engine", { publish: "engine" }],
  ["tsnet.publish_policy", "docker", { publishPolicy: "docker" }],
  ["tsnet.publish_policy", "host", { publishPolicy: "host" }],
  [publishFrom, "192.0.2.0/24,2001:DB8:0::/32", { publishFrom: ["192.0.2.0/24", "2001:db8::/32"] }],
  [publishFrom, "192.0.2.9,::1", { publishFrom: ["192.0.2.9/32", "::1/128"] }],
  [publishFrom, "10.1.0.0/16,10.0.0.0/8,10.2.3.4,10.0.0.0/8", { publishFrom: ["10.0.0.0/8"] }],
  [publishFrom, "0.0.0.0/0,10.0.0.0/8,fd00::/8", { publishFrom: ["0.0.0.0/0", "fd00::/8"] }],
  [
    publishFrom,
    "2001:db8::1,10.9.0.0/16,10.2.0.0/16",
    { publishFrom: ["10.2.0.0/16", "10.9.0.0/16", "2001:db8::1/128"] },
  ],
  [publishFrom, "10.0.0.0/9,10.128.0.0/9", { publishFrom: ["10.0.0.0/9", "10.128.0.0/9"] }],
  [mtu, "0", {}],
  [mtu, "68", { mtuBytes: 68 }],
  [mtu, "65535", { mtuBytes: 65535 }],
  [prefix, "lan", { interfacePrefix: "lan" }],
  [snat4, "192.0.2.1", { snat4: "192.0.2.1" }],
  [snat6, "2001:DB8::1", { snat6: "2001:db8::1" }],
  ["com.docker.network.enable_ipv4", "false", { enableIpv4: false }],
  ["com.docker.network.enable_ipv6", "1", { enableIpv6: true }],
  ["mode", "bridge", {}],
];

const links = "expected names of links, with colons in between";
const boolean = "expected true or false";
const bytes = "expected a number of bytes from 68 to 65535, or 0 for the default";
const link = "expected the name of a link: 1 to 15 of the characters A-Z a-z 0-9 . _ - @";
const letters = "expected 1 to 12 of the characters A-Z a-z 0-9 . _ -";

const refused: [key: string, value: string, reason: string][] = [
  [bridgeKey("name"), "a b", link],
  [bridgeKey("name"), "", link],
  [bridgeKey("name"), "sixteen-bytes-16", link],
  [bridgeKey("name"), "all", link],
  [bridgeKey("enable_icc"), "yes", boolean],
  [bridgeKey("enable_icc"), "tRUE", boolean],
  [bridgeKey("enable_ip_masquerade"), "", boolean],
  [bridgeKey("inhibit_ipv4"), "2", boolean],
  [bridgeKey("host_binding_ipv4"), "localhost", 'expected an IP address, got "localhost"'],
  [bridgeKey("gateway_mode_ipv4"), "bridged", "unknown gateway mode bridged"],
  [bridgeKey("gateway_mode_ipv6"), "", "unknown gateway mode "],
  [bridgeKey("gateway_mode_ipv6"), "NAT", "unknown gateway mode NAT"],
  [bridgeKey("trusted_host_interfaces"), "eth0,eth1", links],
  [bridgeKey("trusted_host_interfaces"), "eth0:all", links],
  ["tsnet.publish", "docker", "expected native or engine"],
  ["tsnet.publish_policy", "", "expected docker or host"],
  [publishFrom, "", "expected subnets or addresses, with commas in between"],
  [publishFrom, "10.0.0.0/8,", "expected subnets or addresses, with commas in between"],
  [publishFrom, "10.0.0.1/8", "10.0.0.1/8 has host bits set: it should be 10.0.0.0/8"],
  [publishFrom, "office", 'expected an IP address, got "office"'],
  [publishFrom, "10.0.0.0/8, 10.0.0.1", 'expected an IP address, got " 10.0.0.1"'],
  ...["-1", "67", "65536", "1500.5", "1e3", "", " ", "0x5dc", "1500\n"].map((value): [string, string, string] => [
    mtu,
    value,
    bytes,
  ]),
  [prefix, "thirteen-long", letters],
  [prefix, "", letters],
  [prefix, "a/b", letters],
  [snat4, "fd00::1", "expected an IPv4 address"],
  [snat4, "any", 'expected an IP address, got "any"'],
  [snat6, "192.0.2.1", "expected an IPv6 address"],
  ["com.docker.network.enable_ipv4", "on", boolean],
  ["com.docker.network.enable_ipv6", "no", boolean],
];

describe("the options of a bridge network", () => {
  for (const [key, value, options] of understood) {
    it(`${key}=${value} means ${JSON.stringify(options)}`, () => {
      expect(parseBridgeOptions({ [key]: value })).to.deep.equal({ options, ignored: [] });
    });
  }

  for (const [key, value, reason] of refused) {
    it(`${key}=${JSON.stringify(value)} is refused in Docker's words, with the reason`, () => {
      expect(() => parseBridgeOptions({ [key]: value }))
        .to.throw()
        .that.includes({
          code: "invalid",
          message: `failed to parse ${key} value: ${value} (${reason})`,
        });
    });
  }

  it("are taken together, and none means all defaults", () => {
    expect(parseBridgeOptions({}).options).to.deep.equal({});
    const given = { [bridgeKey("name")]: "lan", [mtu]: "1400", mode: "bridge" };
    expect(parseBridgeOptions(given).options).to.deep.equal({ bridge: "lan", mtuBytes: 1400 });
  });

  it("that are Docker's own and unknown here are ignored, and named for a warning", () => {
    const given = { "com.docker.network.advertise_addr_ms": "200", [bridgeKey("not_yet")]: "1", [mtu]: "1400" };
    expect(parseBridgeOptions(given)).to.deep.equal({
      options: { mtuBytes: 1400 },
      ignored: ["com.docker.network.advertise_addr_ms", bridgeKey("not_yet")],
    });
  });

  const misspelt = {
    moed: "mode",
    "tsnet.publishfrom": publishFrom,
    "con.docker.network.driver.mtu": mtu,
    "network.bridge.enable_icc": bridgeKey("enable_icc"),
  };
  for (const [key, meant] of Object.entries(misspelt)) {
    it(`that nobody knows are refused with the nearest key: ${key}`, () => {
      expect(() => parseBridgeOptions({ [key]: "1" })).to.throw(
        `unknown option ${key}=1 for mode bridge: did you mean ${meant}?`,
      );
    });
  }

  for (const key of ["constructor", "__proto__", "toString", ""]) {
    it(`named as what every object has are unknown too: ${JSON.stringify(key)}`, () => {
      expect(() => parseBridgeOptions(JSON.parse(`{${JSON.stringify(key)}: "1"}`))).to.throw(`unknown option ${key}=1`);
    });
  }
});
