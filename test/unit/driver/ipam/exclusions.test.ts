import { expect } from "chai";
import { obstacles, type Surroundings } from "../../../../src/driver/ipam/exclusions.ts";
import { parseCidr } from "../../../../src/net/cidr.ts";
import type { DockerNetwork } from "../../../../src/plan/docker-network.ts";
import { networkOf } from "../../../support/values.ts";

const nothing: Surroundings = { routed: "", networks: [], docker: null, resolvConf: [], excluded: [] };
const found = (surroundings: Partial<Surroundings>): string[] =>
  [...obstacles({ ...nothing, ...surroundings })].map(({ cidr, by }) => `${cidr.text} ${by}`);

const dockers = (name: string, ipamDriver: string, ...subnets: string[]): DockerNetwork => ({
  ...{ id: name.repeat(8), name, driver: "macvlan", parent: null, ipamDriver, ipamOptions: {} },
  subnets: subnets.map((subnet) => ({ subnet, gateway: null, auxiliary: [] })),
});

describe("obstacles of a subnet", () => {
  const routes: [line: string, found: string[]][] = [
    ["10.8.0.0/16 unicast 254 tun0", ["10.8.0.0/16 route of tun0"]],
    ["10.8.0.0/16 unicast 52 wg0", ["10.8.0.0/16 route of wg0 in table 52"]],
    ["10.8.0.0/16 blackhole 254 ", ["10.8.0.0/16 blackhole route"]],
    ["fd00::/64 unreachable 254 lo", ["fd00::/64 unreachable route of lo"]],
    ["192.0.2.7/32 local 255 eth0", ["192.0.2.7/32 local route of eth0"]],
    ["192.0.2.7/24 address 0 eth0", ["192.0.2.0/24 address of eth0"]],
    ["0.0.0.0/0 unicast 254 eth0", []],
    ["0.0.0.0/1 unicast 254 tun0\n128.0.0.0/1 unicast 254 tun0", []],
    ["8.0.0.0/7 unicast 254 tun0", []],
    ["10.0.0.0/8 unicast 254 tun0", ["10.0.0.0/8 route of tun0"]],
    ["::/0 unicast 254 eth0\n::/1 unicast 254 tun0\n2000::/3 unicast 254 tun0\nfc00::/6 unicast 254 tun0", []],
    ["fc00::/7 unicast 254 tun0", ["fc00::/7 route of tun0"]],
  ];
  for (const [routed, expected] of routes) {
    it(`${expected.length === 0 ? "are none" : "are"} where the host has ${JSON.stringify(routed)}`, () => {
      expect(found({ routed })).to.deep.equal(expected);
    });
  }

  it("are the name servers", () => {
    const file =
      "# nameserver 10.0.0.1\nnameserver 10.0.0.2\n  nameserver\tfd00::53%eth0 \nnameserver 10.0.0\nsearch x\n";
    expect(found({ resolvConf: [file, "nameserver 10.0.0.3"] })).to.deep.equal([
      "10.0.0.2/32 name server",
      "fd00::53/128 name server",
      "10.0.0.3/32 name server",
    ]);
  });

  it("are Docker's networks, but for those that have their subnets from tsnet", () => {
    const docker = [
      dockers("macvlan1", "default", "10.1.0.0/24", "fd00:1::/64"),
      dockers("ours", "tsnet", "10.2.0.0/24"),
      dockers("ours2", "registry.example:5000/team/tsnet:latest", "10.3.0.0/24"),
      dockers("theirs", "not-tsnet", "10.4.0.1/24", "odd"),
    ];
    expect(found({ docker })).to.deep.equal([
      "10.1.0.0/24 Docker network macvlan1",
      "fd00:1::/64 Docker network macvlan1",
      "10.4.0.0/24 Docker network theirs",
    ]);
  });

  it("are tsnet's networks, and what the settings exclude", () => {
    const networks = [{ ...networkOf(), id: "0123456789abcdef" }];
    expect(found({ networks, excluded: [parseCidr("0.0.0.0/1")] })).to.deep.equal([
      "0.0.0.0/1 excluded by TSNET_ADDRESS_POOLS",
      "172.18.0.0/16 tsnet network 0123456789ab",
    ]);
  });
});
