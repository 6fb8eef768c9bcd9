import { writeFileSync } from "node:fs";
import { expect } from "chai";
import { TsnetError } from "../../../src/errors.ts";
import { DirectRoutes } from "../../../src/kernel/direct/direct-routes.ts";
import { Rtnetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import { makeNeighbor } from "../../support/direct-neighbor.ts";
import { expectNoLeftovers, ip, ipJson } from "../../support/netns.ts";
import { until } from "../../support/poll.ts";

const table = 7631726;
const via = "192.168.77.2";
const from = "tsg-1";
const v4 = (n: number) => ({ destination: `10.5.0.${n}`, via, link: "up0" });
const v6 = { destination: "fd00:5::20", via: "fe80::2", link: "up0" };

describe("routes of the short way", () => {
  let rtnetlink: Rtnetlink;
  let direct: DirectRoutes;
  expectNoLeftovers(async () => {
    direct.close();
    rtnetlink.close();
    for (const family of ["-4", "-6"]) ip(`${family} route flush table ${table}`);
    ip("netns delete peer");
    await until("links are gone", 2_000, () => !ip("link show").includes("up0"));
  });
  beforeEach(() => {
    makeNeighbor();
    rtnetlink = new Rtnetlink();
    direct = new DirectRoutes(rtnetlink);
  });

  const put = (...routes: (typeof v6)[]): void => direct.put({ op: "put-direct-routes", from, routes });
  const remove = (...destinations: string[]): void => direct.remove({ op: "remove-direct-routes", destinations });
  const failure = (...routes: (typeof v6)[]): TsnetError => {
    try {
      put(...routes);
    } catch (error) {
      if (error instanceof TsnetError) return error;
      throw error;
    }
    return expect.fail("nothing failed");
  };
  const routes = (): string[] =>
    [...ipJson(`route show table ${table}`), ...ipJson(`-6 route show table ${table}`)].map(({ dst }) => dst);
  const rules = (): string[] =>
    ["-4", "-6"].flatMap((family) =>
      ipJson(`${family} rule show priority 116`)
        .map(({ iif }) => `${family} ${iif}`)
        .sort(),
    );

  it("are put but for those that cannot be, which are named, and of which nothing stays", () => {
    disableIpv6();
    const gone = { destination: "10.5.0.9", via, link: "gone0" };
    const { errno, message } = failure(v4(20), v6, gone, v4(21));
    expect(errno).to.equal("EACCES");
    expect(message).to.match(
      /^2 of 4 routes could not be put: fd00:5::20 via fe80::2 dev up0: RTM_NEWROUTE: EACCES .*; 10\.5\.0\.9 via 192\.168\.77\.2 dev gone0: RTM_GETLINK: ENODEV No such device: gone0$/,
    );
    expect(routes()).to.deep.equal(["10.5.0.20", "10.5.0.21"]);
    expect(rules()).to.deep.equal(["-4 lo", `-4 ${from}`]);
    expect(direct.repair(true)).to.deep.equal([]);
  });

  it("that cannot be put any more are gone, with their rules", () => {
    put(v4(20));
    expect(failure({ ...v4(20), via: "10.99.0.1" }).errno).to.equal("ENETUNREACH");
    expect([routes(), rules()]).to.deep.equal([[], []]);
    expect(direct.repair(true)).to.deep.equal([]);
  });

  it("that were put, and cannot be any more, keep no other from being repaired", () => {
    put(v6, v4(20));
    disableIpv6();
    ip(`route flush table ${table}`);
    expect(direct.repair(true)).to.deep.equal(["route to 10.5.0.20 is gone"]);
    expect(routes()).to.deep.equal(["10.5.0.20"]);
  });

  it("have the rules that one of them needs, until the last is gone", () => {
    put(v4(20), v4(21), v6);
    direct.put({ op: "put-direct-routes", from: "tsg-2", routes: [v4(30)] });
    put(v4(20));
    const all = ["-4 lo", `-4 ${from}`, "-4 tsg-2", "-6 lo", `-6 ${from}`];
    expect(rules()).to.deep.equal(all);
    remove("10.5.0.20", "10.5.0.99");
    expect(rules()).to.deep.equal(all);
    remove("10.5.0.21", v6.destination);
    expect(rules()).to.deep.equal(["-4 lo", "-4 tsg-2"]);
    direct.put({ op: "put-direct-routes", from: "tsg-3", routes: [v4(30)] });
    expect(rules()).to.deep.equal(["-4 lo", "-4 tsg-3"]);
    remove("10.5.0.30");
    expect([routes(), rules()]).to.deep.equal([[], []]);
  });
});

/** As it is for a link for which `net.ipv6.conf.LINK.disable_ipv6` is set. */
const disableIpv6 = (): void => writeFileSync("/proc/sys/net/ipv6/conf/up0/disable_ipv6", "1");
