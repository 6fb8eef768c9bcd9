import { expect } from "chai";
import { parseIp } from "../../../src/net/cidr.ts";
import { macOf, parseMac } from "../../../src/net/mac.ts";
import {
  bridgeName,
  containerVethName,
  hostVethName,
  isLinkName,
  linkAlias,
  parseLinkAlias,
} from "../../../src/net/names.ts";
import { nearest } from "../../../src/net/nearest.ts";

const id = "4f2a9c1b7d3e8a6f5c4b3a2918273645546372819a0b1c2d3e4f5a6b7c8d9e0f";

describe("names of links", () => {
  it("are a function of the ID, differ by role, and fit IFNAMSIZ - 1", () => {
    const names = [bridgeName(id), hostVethName(id), containerVethName(id)];
    expect(names).to.deep.equal(["tsb-4f2a9c1b7d3", "tsv-4f2a9c1b7d3", "tsc-4f2a9c1b7d3"]);
    expect(names.every((name) => name.length === 15 && isLinkName(name))).to.equal(true);
  });

  it("are recognised by the alias, in full", () => {
    for (const role of ["bridge", "veth", "peer"] as const) {
      expect(parseLinkAlias(linkAlias(role, id))).to.deep.equal({ role, id });
    }
    const foreign = [
      "",
      "tsnet",
      "tsnet:bridge:",
      "tsnet:tunnel:4f2a",
      "x tsnet:veth:4f2a",
      "tsnet:veth:4f2a x",
      "tsnet:veth:../x",
    ];
    expect(foreign.map(parseLinkAlias)).to.deep.equal(foreign.map(() => undefined));
  });

  it("are what the kernel, a shell and nft all take", () => {
    const good = ["a", "br-lan", "eth0.100", "veth_1@x", "exactly15bytes-"];
    const bad = [
      "",
      ".",
      "..",
      "sixteen-bytes-16",
      "a b",
      'a"b',
      "a/b",
      "a:b",
      "a;b",
      "ä",
      "a\nb",
      "a*",
      "a$b",
      "all",
      "default",
    ];
    expect(good.filter(isLinkName)).to.deep.equal(good);
    expect(bad.filter(isLinkName)).to.deep.equal([]);
  });
});

describe("MAC addresses", () => {
  it("hold the IPv4 address", () => {
    expect(macOf(id, parseIp("172.18.0.2"))).to.equal("02:42:ac:12:00:02");
    expect(macOf(id, parseIp("1.2.3.4"))).to.equal("02:42:01:02:03:04");
  });

  it("are a hash of network and address for IPv6: the same again, another in another network", () => {
    const mac = macOf(id, parseIp("fd00::2"));
    expect(parseMac(mac)).to.equal(mac);
    expect(mac).to.match(/^02:42:/);
    expect(macOf(id, parseIp("fd00::2"))).to.equal(mac);
    expect(macOf("other", parseIp("fd00::2"))).to.not.equal(mac);
  });

  it("are parsed if they are unicast", () => {
    expect(parseMac("02:42:AC:12:00:02")).to.equal("02:42:ac:12:00:02");
    const bad = [
      "",
      "00:00:00:00:00:00",
      "01:00:5e:00:00:01",
      "ff:ff:ff:ff:ff:ff",
      "02:42:ac:12:00",
      "02:42:ac:12:00:02:03",
      "02-42-ac-12-00-02",
      "02:42:ac:12:00:0g",
      "02:42:ac:12:00:02\n",
    ];
    expect(bad.map(parseMac)).to.deep.equal(bad.map(() => undefined));
  });
});

describe("the nearest word", () => {
  it("has the fewest letters to change", () => {
    expect(nearest("enable_ic", ["enable_icc", "enable_ip", "mode"])).to.equal("enable_icc");
    expect(nearest("mdoe", ["node", "mode"])).to.equal("mode");
    expect(nearest("mode", [])).to.equal(undefined);
  });
});
