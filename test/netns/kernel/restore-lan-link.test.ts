import { expect } from "chai";
import { observeSandboxLinks } from "../../../src/kernel/sandbox-links.ts";
import type { RestoreLanLink } from "../../../src/plan/op-links.ts";
import { lanLink, useLinks } from "../../support/links.ts";
import { ip, ipJson, linkJson, linksAt } from "../../support/netns.ts";

const sandbox = "/run/netns/box";
const restore = (changes: Partial<RestoreLanLink> = {}): RestoreLanLink => {
  const { up: _, ...link } = lanLink(7);
  return {
    ...{ ...link, op: "restore-lan-link", sandbox, interfacePrefix: "eth", addresses: ["10.9.0.7/24", "fd00:9::7/64"] },
    ...{ gateways: ["10.9.0.1", "fd00:9::1"], onLink: [], ...changes },
  };
};

describe("links in sandboxes", () => {
  // before the comparison of what is left
  afterEach(() => {
    ip("netns del box");
  });
  const { ensure, failure } = useLinks();
  // biome-ignore lint/suspicious/noExplicitAny: the output of ip has no type
  const inside = (words: string): any[] => ipJson(`-n box ${words}`);
  const namesInside = (): string[] => inside("link show").map(({ ifname }) => ifname);
  const routesInside = (): string[] =>
    [...inside("-4 route show"), ...inside("-6 route show")]
      .filter(({ dst }) => !String(dst).startsWith("fe80"))
      .map(({ dst, gateway, dev }) => [dst, ...(gateway ? ["via", gateway] : []), dev].join(" "));

  beforeEach(() => {
    ip("netns add box");
    ip("link add p0 type veth peer name p1");
    for (const name of ["p0", "p1"]) {
      ip(`link set ${name} addrgenmode none`);
      ip(`link set ${name} up`);
    }
  });

  describe("a link of ensure-lan-link that is moved as dockerd does", () => {
    beforeEach(async () => {
      await ensure(lanLink(7));
      ip("link set tsm-7 netns box");
      ip("-n box link set tsm-7 name eth0");
    });

    it("keeps its alias, and gets the link-local address that it had not on the host", async () => {
      ip("-n box link set eth0 up");
      const [link] = inside("addr show dev eth0");
      expect(link).to.include({ ifalias: "tsnet:lan:7", address: "02:42:0a:09:00:07" });
      const addresses: { local: string }[] = link.addr_info;
      expect(addresses.map(({ local }) => local)).to.deep.equal(["fe80::42:aff:fe09:7"]);
      ip("-n box link set eth0 down");
      ip("-n box link set eth0 name tsm-7 netns 1");
      expect(linkJson("tsm-7")).to.include({ ifalias: "tsnet:lan:7", link: "p0" });
    });

    it("goes with its parent", () => {
      ip("link del p0");
      expect(namesInside()).to.deep.equal(["lo"]);
    });

    it("is observed there, alone, without its parent", () => {
      ip("-n box link add other type veth peer name other2");
      const links = observeSandboxLinks(sandbox) ?? [];
      expect(links.map(({ name, alias, lower }) => ({ name, alias, lower }))).to.deep.equal([
        { name: "eth0", alias: "tsnet:lan:7", lower: 0 },
      ]);
      expect(observeSandboxLinks("/run/netns/nothing")).to.equal(null);
      expect(observeSandboxLinks("/etc/passwd")).to.equal(null);
    });

    it("gets another MTU, and takes it that link or sandbox is gone", async () => {
      const op = { op: "set-sandbox-mtu", sandbox, alias: "tsnet:lan:7", mtuBytes: 1400 } as const;
      await ensure(op, op, { ...op, alias: "tsnet:lan:8" }, { ...op, sandbox: "/run/netns/nothing" });
      expect(inside("link show dev eth0")[0].mtu).to.equal(1400);
      const error = await failure({ ...op, mtuBytes: 9000 });
      expect(error).to.include({ code: "kernel", errno: "EINVAL" });
      expect(error.message).to.match(/^set-sandbox-mtu tsnet:lan:7 in \/run\/netns\/box = 9000: /);
    });
  });

  describe("restore-lan-link", () => {
    it("makes it as dockerd had: name, MAC, MTU, addresses, routes and alias, up", async () => {
      await ensure(restore({ mtuBytes: 1400 }));
      expect(namesInside()).to.have.members(["lo", "eth0"]);
      const [link] = inside("addr show dev eth0");
      expect(link).to.include({ address: "02:42:0a:09:00:07", mtu: 1400, ifalias: "tsnet:lan:7", group: "default" });
      expect(link.flags).to.include.members(["UP", "LOWER_UP"]);
      // biome-ignore lint/suspicious/noExplicitAny: as above
      const addresses = link.addr_info.map((one: any) => [one.local, one.prefixlen, one.broadcast, one.tentative]);
      expect(addresses).to.deep.include.members([
        ["10.9.0.7", 24, "10.9.0.255", undefined],
        ["fd00:9::7", 64, undefined, undefined],
      ]);
      expect(routesInside()).to.have.members([
        "default via 10.9.0.1 eth0",
        "10.9.0.0/24 eth0",
        "default via fd00:9::1 eth0",
        "fd00:9::/64 eth0",
      ]);
      expect(ipJson("link show type macvlan")).to.deep.equal([]);
    });

    it("does nothing where the link is there", async () => {
      await ensure(restore());
      const before = linksAt("box");
      await ensure(restore());
      expect(linksAt("box")).to.deep.equal(before);
    });

    it("takes the lowest number that is free, and leaves the default route of another network alone", async () => {
      for (const name of ["eth0", "eth2"]) ip(`-n box link add ${name} type veth peer name of-${name}`);
      ip("-n box addr add 10.1.0.2/24 dev eth0");
      ip("-n box link set eth0 up");
      ip("-n box link set of-eth0 up");
      ip("-n box route add default via 10.1.0.1");
      await ensure(restore());
      expect(namesInside()).to.include("eth1");
      const routes = routesInside().filter((route) => route.startsWith("default"));
      expect(routes).to.have.members(["default via 10.1.0.1 eth0", "default via fd00:9::1 eth1"]);
    });

    it("takes the name that it had, unless somebody has it", async () => {
      await ensure(restore({ interfaceName: "eth3" }));
      const other = { name: "tsm-8", alias: "tsnet:lan:8", mac: "02:42:0a:09:00:08", addresses: ["10.9.0.8/24"] };
      await ensure(restore({ ...other, gateways: [], interfaceName: "eth3" }));
      expect(namesInside()).to.have.members(["lo", "eth3", "eth0"]);
      expect(inside("link show dev eth3")[0].ifalias).to.equal("tsnet:lan:7");
    });

    it("has the MAC that was asked for also in mode passthru, and its parent with it", async () => {
      await ensure(restore({ link: { kind: "macvlan", mode: "passthru" } }));
      expect(inside("link show dev eth0")[0].address).to.equal("02:42:0a:09:00:07");
      expect(linkJson("p0")?.address).to.equal("02:42:0a:09:00:07");
    });

    it("makes routes without a gateway", async () => {
      await ensure(restore({ addresses: ["10.9.0.7/24"], gateways: [], onLink: ["0.0.0.0/0", "10.8.0.0/24"] }));
      expect(routesInside()).to.have.members(["default eth0", "10.8.0.0/24 eth0", "10.9.0.0/24 eth0"]);
    });

    it("has IPv6 where dockerd had turned it off for the container's first networks", async () => {
      ip("netns exec box sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
      await ensure(restore());
      expect(routesInside()).to.include("default via fd00:9::1 eth0");
    });

    it("begins anew with what a crash left without its alias", async () => {
      ip("link add tsm-7 link p0 netns box group 1953721958 type macvlan mode vepa");
      await ensure(restore());
      expect(namesInside()).to.have.members(["lo", "eth0"]);
      expect(inside("link show dev eth0")[0].linkinfo.info_data.mode).to.equal("bridge");
    });

    it("leaves nothing when the kernel refuses a part of it", async () => {
      const error = await failure(restore({ gateways: ["10.77.0.1"] }));
      expect(error).to.include({ code: "kernel", errno: "ENETUNREACH" });
      expect(error.message).to.match(/^restore-lan-link tsm-7 in \/run\/netns\/box: RTM_NEWROUTE: ENETUNREACH /);
      expect(namesInside()).to.deep.equal(["lo"]);
      expect(linkJson("tsm-7")).to.equal(undefined);
    });

    it("says that its MAC is another's meanwhile", async () => {
      await ensure(lanLink(8, { mac: "02:42:0a:09:00:07", up: true }));
      const error = await failure(restore());
      expect(error).to.include({ code: "conflict", errno: "EADDRINUSE" });
      expect(namesInside()).to.deep.equal(["lo"]);
    });

    it("is not hindered by a link of the host's that has its later name", async () => {
      ip("link add eth0 type veth peer name eth0-peer");
      await ensure(restore());
      expect(namesInside()).to.include("eth0");
    });

    for (const path of ["/run/netns/nothing", "/etc/passwd"]) {
      it(`says that ${path} is no sandbox, or none any more`, async () => {
        const error = await failure(restore({ sandbox: path }));
        expect(error).to.include({ code: "not-found", errno: "ENOENT" });
        expect(error.message).to.equal(
          `restore-lan-link tsm-7 in ${path}: ${path} is no network namespace, or none any more`,
        );
      });
    }

    it("needs its parent", async () => {
      expect(await failure(restore({ parent: "p9" }))).to.include({ code: "kernel", errno: "ENODEV" });
    });
  });
});
