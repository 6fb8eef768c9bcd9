import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { type NetworkRequest, planNetwork } from "../../../src/plan/network-request.ts";
import { ipv6, lanRequest, requestedSubnet } from "../../support/values.ts";

type Options = Readonly<Record<string, string>>;

const hostAccess = { "tsnet.host_access": "true" };
const hostAddress = (address: string): Options => ({ ...hostAccess, "tsnet.host_address": address });
const small = (pool: string): Partial<NetworkRequest> => ({ ipv4: [requestedSubnet(pool, null)] });

const noAccess = "tsnet.host_access=true is not possible with";
const siblings = "links on the parent";
const nearby = "links in this mode have no neighbors, and the host's is one";
const switched = `${siblings} reach each other only by the switch outside, and the host's is one of them`;
const apart = `${siblings} do not reach each other, and the host's is one of them`;
const noCheck = (mode: string, value = "true"): string =>
  `tsnet.duplicate_check=${value} has no effect with ipvlan_mode=${mode}: there are no neighbors to ask in mode ${mode}; leave it out`;

const refusals: [mode: "macvlan" | "ipvlan", options: Options, message: string, values?: Partial<NetworkRequest>][] = [
  ["macvlan", { ...hostAccess, macvlan_mode: "private" }, `${noAccess} macvlan_mode=private: ${apart}`],
  ["macvlan", { ...hostAccess, macvlan_mode: "vepa" }, `${noAccess} macvlan_mode=vepa: ${switched}`],
  [
    "macvlan",
    { ...hostAccess, macvlan_mode: "passthru" },
    `${noAccess} macvlan_mode=passthru: the parent takes one link only, and none of the host's`,
  ],
  ["ipvlan", { ...hostAccess, ipvlan_mode: "l3" }, `${noAccess} ipvlan_mode=l3: ${nearby}`],
  ["ipvlan", { ...hostAccess, ipvlan_mode: "l3s", ipvlan_flag: "vepa" }, `${noAccess} ipvlan_mode=l3s: ${nearby}`],
  ["ipvlan", { ...hostAccess, ipvlan_flag: "private" }, `${noAccess} ipvlan_flag=private: ${apart}`],
  ["ipvlan", { ...hostAccess, ipvlan_flag: "vepa" }, `${noAccess} ipvlan_flag=vepa: ${switched}`],
  ["ipvlan", { "tsnet.duplicate_check": "true", ipvlan_mode: "l3" }, noCheck("l3")],
  ["ipvlan", { "tsnet.duplicate_check": "false", ipvlan_mode: "l3s" }, noCheck("l3s", "false")],
  [
    "macvlan",
    { "tsnet.host_address": "192.168.1.250" },
    "tsnet.host_address=192.168.1.250 has no effect without -o tsnet.host_access=true; give both, or none",
  ],
  [
    "ipvlan",
    { "tsnet.host_access": "false", "tsnet.host_address": "192.168.1.250,fd00::1" },
    "tsnet.host_address=192.168.1.250,fd00::1 has no effect without -o tsnet.host_access=true; give both, or none",
  ],
  [
    "macvlan",
    hostAddress("192.168.2.1"),
    "tsnet.host_address=192.168.2.1 is not in a subnet of the network: 192.168.1.0/24, fd00:18::/64",
    { ipv6 },
  ],
  [
    "macvlan",
    hostAddress("192.168.1.250,fd00::1"),
    "tsnet.host_address=fd00::1 is not in a subnet of the network: 192.168.1.0/24",
  ],
  [
    "ipvlan",
    hostAddress("192.168.1.1"),
    "tsnet.host_address=192.168.1.1 is the gateway of the network; give another address",
  ],
  [
    "macvlan",
    hostAddress("fd00:18::1"),
    "tsnet.host_address=fd00:18::1 is the gateway of the network; give another address",
    { ipv6, internal: true },
  ],
  [
    "macvlan",
    hostAddress("192.168.1.0"),
    "tsnet.host_address=192.168.1.0 is the first address of 192.168.1.0/24, which no host has; give another",
  ],
  [
    "macvlan",
    hostAddress("fd00:18::"),
    "tsnet.host_address=fd00:18:: is the first address of fd00:18::/64, which no host has; give another",
    { ipv6 },
  ],
  [
    "macvlan",
    hostAddress("192.168.1.255"),
    "tsnet.host_address=192.168.1.255 is the broadcast address of 192.168.1.0/24; give another address",
  ],
  [
    "macvlan",
    {},
    "IPv4Data[0].Pool: mode macvlan needs a subnet, and 0.0.0.0/0 is none; give --subnet",
    small("0.0.0.0/0"),
  ],
  [
    "ipvlan",
    {},
    "IPv4Data[0].Pool: mode ipvlan needs a subnet, and 0.0.0.0/0 is none; give --subnet",
    small("0.0.0.0/0"),
  ],
  ["macvlan", {}, "IPv4Data[0].Pool: multicast subnet '230.0.0.0/8' is not allowed", small("230.0.0.0/8")],
  [
    "macvlan",
    {},
    "IPv6Data[0].Pool: 'fe80::/10' clashes with the Link-Local prefix 'fe80::/64'",
    { ipv6: [requestedSubnet("fe80::/10", null)] },
  ],
  [
    "ipvlan",
    {},
    "IPv4Data[0].Gateway: 192.168.2.1/24 is not in the subnet 192.168.1.0/24",
    { ipv4: [requestedSubnet("192.168.1.0/24", "192.168.2.1/24")] },
  ],
  [
    "macvlan",
    {},
    "IPv4Data: the network's subnets 192.168.1.0/24 and 192.168.1.0/25 overlap; give others with --subnet",
    { ipv4: [requestedSubnet("192.168.1.0/25", null), requestedSubnet("192.168.1.0/24", null)] },
  ],
  ["ipvlan", {}, "IPv4 or IPv6 must be enabled", { enableIpv4: false }],
];

describe("a request for a network on a parent is refused", () => {
  for (const [mode, options, message, values] of refusals) {
    it(`with key, value and reason: ${message}`, () => {
      let error: unknown;
      try {
        planNetwork(lanRequest(mode, options, values));
      } catch (reason) {
        error = reason;
      }
      expect(error).to.include({ code: "invalid" });
      expect(explain(error)).to.equal(message);
    });
  }
});
