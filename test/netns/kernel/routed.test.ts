import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { obstacles } from "../../../src/driver/ipam/exclusions.ts";
import { SubnetSearch } from "../../../src/driver/ipam/subnet-search.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { Rtnetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import { removalGroup } from "../../../src/kernel/own-links.ts";
import { observeRouted } from "../../../src/kernel/routed.ts";
import { parseCidr } from "../../../src/net/cidr.ts";
import { expectNoLeftovers, ip } from "../../support/netns.ts";
import { mostMs, turnsOf } from "../../support/stall.ts";

describe("what the host routes", () => {
  let rtnetlink: Rtnetlink;
  expectNoLeftovers(() => {
    for (const words of removals.splice(0)) ip(words); // with a link go its routes
    rtnetlink.close();
  });
  beforeEach(() => {
    rtnetlink = new Rtnetlink();
  });

  const removals: string[] = [];
  const add = (words: string): void => {
    ip(words);
    removals.unshift(words.replace(" add ", " del "));
  };
  const tunnel = (): void => {
    add("link add tun0 type bridge");
    ip("link set tun0 up");
  };
  const around = (routed = observeRouted(rtnetlink)) =>
    obstacles({ routed, networks: [], docker: null, resolvConf: ["nameserver 10.9.3.1"], excluded: [] });
  const choose = async (base: string, prefix: number): Promise<string> => {
    const cidr = parseCidr(base);
    const search = new SubnetSearch([{ base: cidr, prefix }], { family: cidr.family, prefix: undefined });
    await search.avoid(around());
    return search.choose([]).text;
  };

  it("is a subnet's obstacle, in every table and of every kind, and so are addresses without a route", async () => {
    tunnel();
    add("rule add fwmark 7 table 52");
    ip("route add 10.9.0.0/24 dev tun0");
    ip("route add 10.9.1.0/24 dev tun0 table 52");
    add("route add blackhole 10.9.2.0/24 table 52");
    add("route add unreachable 10.9.4.0/24");
    add("route add prohibit 10.9.5.7/32");
    add("route add local 10.9.6.0/24 dev lo table 53");
    add("link add tun1 type bridge");
    ip("address add 10.9.7.1/24 dev tun1"); // the link is down
    ip("address add 10.9.9.1 peer 10.9.8.1/32 dev tun0");
    expect(await choose("10.9.0.0/16", 24)).to.equal("10.9.10.0/24"); // 10.9.3.0/24 has the name server
    const said = [...around()].map(({ cidr, by }) => `${cidr.text} ${by}`);
    expect(said).to.include.members([
      "10.9.0.0/24 route of tun0",
      "10.9.1.0/24 route of tun0 in table 52",
      "10.9.2.0/24 blackhole route in table 52",
      "10.9.3.1/32 name server",
      "10.9.4.0/24 unreachable route",
      "10.9.5.7/32 prohibit route",
      "10.9.6.0/24 local route of lo in table 53",
      "10.9.7.0/24 address of tun1",
      "10.9.8.1/32 route of tun0",
    ]);
  });

  it("is a subnet's obstacle in IPv6 as well", async () => {
    tunnel();
    ip("route add fd00:9::/64 dev tun0");
    ip("route add fd00:9:0:1::/64 dev tun0 table 52");
    add("route add blackhole fd00:9:0:2::/63 table 53");
    expect(await choose("fd00:9::/48", 64)).to.equal("fd00:9:0:4::/64");
  });

  it("is none any more of a link that waits for its deletion", async () => {
    tunnel();
    ip("address add 10.9.0.1/24 dev tun0");
    expect(await choose("10.9.0.0/16", 24)).to.equal("10.9.1.0/24");
    ip(`link set tun0 group ${removalGroup}`);
    expect(await choose("10.9.0.0/16", 24)).to.equal("10.9.0.0/24");
  });

  it("is none where a VPN has split the default route", async () => {
    tunnel();
    for (const half of ["default", "0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/5"]) {
      ip(`route add ${half} dev tun0`);
      ip(`route add ${half} dev tun0 table 52`);
    }
    for (const piece of ["::/1", "8000::/1", "2000::/3", "fc00::/6"]) ip(`route add ${piece} dev tun0`);
    add("route add throw 10.9.0.0/16 table 52"); // goes on to the next table
    expect(await choose("10.9.0.0/16", 24)).to.equal("10.9.0.0/24");
    expect(await choose("fd00:9::/48", 64)).to.equal("fd00:9::/64");
    ip("route add 10.0.0.0/8 dev tun0");
    ip("route add fc00::/7 dev tun0");
    for (const [base, prefix] of [
      ["10.9.0.0/16", 24],
      ["fd00:9::/48", 64],
    ] as const) {
      const error = await choose(base, prefix).then(String, (reason: Error) => reason.message);
      expect(error).to.match(/in the way, the largest first: (10\.0\.0\.0\/8|fc00::\/7) \(route of tun0\)/);
    }
  });

  it("is looked through in turns, were it 100,000 routes", async () => {
    tunnel();
    const routes = Array.from(
      { length: 100_000 },
      (_, n) => `route add 10.${n >> 16}.${(n >> 8) & 255}.${n & 255} dev tun0 table 52`,
    );
    execFileSync("ip", ["-batch", "-"], { input: routes.join("\n") });
    const cidr = parseCidr("10.0.0.0/14");
    const search = new SubnetSearch([{ base: cidr, prefix: 24 }], { family: 4, prefix: undefined });
    const client = await KernelClient.open({ mark: 0x01000000 });
    const routed = await client.observeRouted();
    await client.close();
    const { meanMs, value } = await turnsOf(async () => {
      await search.avoid(around(routed));
      return search.choose([]).text;
    });
    expect(value).to.equal("10.1.135.0/24");
    expect(meanMs).to.be.below(mostMs);
  });
});
