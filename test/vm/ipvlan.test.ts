import { expect } from "chai";
import { useCommonHost } from "../support/common-host.ts";
import { Container } from "../support/container.ts";
import { expectNothingLeft } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { defaultRoutes, hostSubnet, hostSubnet6, lanDriver, onParent, Stranger } from "../support/lan.ts";
import { client, hostNetwork, router } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { echoes, ping } from "../support/probe.ts";

describe("networks of mode ipvlan", () => {
  const host = useCommonHost();
  const segment = () => host().outside.router;
  const create = (name: string, ...args: string[]) =>
    host().docker("network", "create", ...lanDriver("ipvlan"), ...onParent("eth0"), ...args, name);
  const run = (...args: string[]) => Container.run(host(), { network: "lan" }, ...args);
  const hostMac = async (): Promise<string> => (await host().ip("link show dev eth0"))[0].address;
  const flag = (name: string): string[] => ["-o", `ipvlan_flag=${name}`];

  it("l2, also by default: containers are on the segment, with the parent's MAC", async () => {
    await create("lan", ...hostSubnet(), ...hostSubnet6());
    const [a, b] = [await run(), await run()];
    for (const family of ["ipv4", "ipv6"] as const) {
      const [own, other] = [await a[family]("lan"), await b[family]("lan")];
      await ping(a, other);
      await ping(a, router[family]);
      await ping(a, client[family]);
      await ping(host().outside.client, own);
      expect((await segment().ip(`neigh show ${own}`))[0].lladdr).to.equal(await hostMac());
    }
    expect(await defaultRoutes(a)).to.deep.equal([`via ${router.ipv4}`, `via ${router.ipv6}`]);
    expect((await a.ip("link show dev eth0"))[0]).to.deep.include({ address: await hostMac() });
    expect((await a.endpoint("lan")).MacAddress).to.equal("");
    const [{ linkinfo }] = await a.ip("link show dev eth0");
    expect(linkinfo).to.deep.include({ info_kind: "ipvlan" });
    expect(linkinfo.info_data).to.deep.include({ mode: "l2", bridge: true });
  });

  for (const mode of ["l3", "l3s"]) {
    it(`${mode}: the host routes for containers, of several subnets, which need no gateway`, async () => {
      const subnets = ["--subnet", "10.90.0.0/24", "--subnet", "10.91.0.0/24", "--ipv6", "--subnet", "fd00:90::/64"];
      await create("lan", "-o", `ipvlan_mode=${mode}`, ...subnets);
      const a = await run("--ip", "10.90.0.10");
      const b = await run("--ip", "10.91.0.10");
      expect(await defaultRoutes(a)).to.deep.equal(["on the link", "on the link"]);
      for (const subnet of ["10.90.0.0/24", "10.91.0.0/24", "fd00:90::/64"]) await host().outside.route(subnet, 1);
      await ping(a, "10.91.0.10");
      await ping(b, client.ipv4);
      await ping(a, client.ipv6);
      await ping(host().outside.client, "10.90.0.10");
      await ping(host().outside.client, await b.ipv6("lan"));
      expect((await a.ip("link show dev eth0"))[0].linkinfo.info_data).to.deep.include({ mode });
    });
  }

  it("ipvlan_flag=private keeps containers of a host apart, and vepa leaves them to the switch", async () => {
    for (const name of ["private", "vepa"]) {
      await create("lan", ...hostSubnet(), ...flag(name));
      const [a, b] = [await run(), await run()];
      await ping(a, router.ipv4);
      expect(await echoes(a, await b.ipv4("lan")), name).to.equal(false);
      expect((await a.ip("link show dev eth0"))[0].linkinfo.info_data[name]).to.equal(true);
      await Promise.all([a.remove(), b.remove()]);
      await host().docker("network", "rm", "lan");
    }
  });

  it("have no MAC of their own: one that is given is refused in Docker's words", async () => {
    const words = "ipvlan interfaces do not support custom mac address assignment";
    await create("lan", ...hostSubnet());
    const mac = ["--mac-address", "02:00:5e:00:53:01"];
    expect(await host().dockerError("run", "-d", "--network", "lan", ...mac, image)).to.include(words);
    await ping(await run(), router.ipv4);
  });

  it("have a parent for themselves", async () => {
    const id = await create("lan", ...hostSubnet());
    const second = [...onParent("eth0"), "--subnet", "10.99.0.0/24", "x"];
    const error = await host().dockerError("network", "create", ...lanDriver("ipvlan"), ...second);
    expect(error).to.include("is already using parent interface eth0");
    if (driver !== "tsnet") return;
    expect(error).to.include(id);
    const other = await host().dockerError("network", "create", ...lanDriver("macvlan"), ...second);
    expect(other).to.include("eth0").and.include(id.slice(0, 12)).and.include("ipvlan");
    await host().docker("network", "rm", "lan");
    await expectNothingLeft(host());
    const first = await host().docker(
      "network",
      "create",
      ...lanDriver("macvlan"),
      ...onParent("eth0"),
      ...hostSubnet(),
      "lan",
    );
    const third = await host().dockerError("network", "create", ...lanDriver("ipvlan"), ...second);
    expect(third).to.include("eth0").and.include(first.slice(0, 12)).and.include("macvlan");
  });

  it("in l2 ask the segment before they give an address", async function () {
    if (driver !== "tsnet") this.skip();
    await create("lan", ...hostSubnet());
    const stranger = await Stranger.connect(host().outside, 70);
    const error = await host().dockerError("run", "-d", "--network", "lan", "--ip", hostNetwork.ipv4(70), image);
    await stranger[Symbol.asyncDispose]();
    expect(error).to.include(stranger.mac).and.include(hostNetwork.ipv4(70)).and.include("eth0");
    expect([...host().records("endpoint").keys()]).to.deep.equal([]);
    await ping(await run("--ip", hostNetwork.ipv4(70)), router.ipv4);
  });

  /** What Docker says, and what more tsnet does. */
  const refused: readonly (readonly [options: string, words: string])[] = [
    ["parent=eth0 ipvlan_mode=l4", "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default"],
    ["parent=eth0 ipvlan_flag=shy", "requested ipvlan flag 'shy' is not valid, 'bridge' is the ipvlan driver default"],
    ["parent=lo", "loopback interface is not a valid ipvlan parent link"],
    ["parent=missing0", "invalid subinterface vlan name missing0, example formatting is eth0.10"],
    ["parent=eth0.0", "vlan id must be between 1-4094, received: 0"],
    ["parent=missing0.10", "-o parent interface was not found on the host: missing0"],
  ];
  it("are refused as Docker does it", async () => {
    for (const [text, words] of refused) {
      const options = text.split(" ").flatMap((option) => ["-o", option]);
      for (const own of [["-d", "ipvlan"], lanDriver("ipvlan")]) {
        expect(await host().dockerError("network", "create", ...own, ...options, "x")).to.include(words);
      }
    }
    if (driver !== "tsnet") return;
    const ofMacvlan = ["-o", "macvlan_mode=bridge", ...onParent("eth0")];
    const error = await host().dockerError("network", "create", ...lanDriver("ipvlan"), ...ofMacvlan, "x");
    expect(error).to.include("macvlan_mode").and.include("ipvlan");
  });
});
