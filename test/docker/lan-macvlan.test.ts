import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import type { Host } from "../support/host.ts";
import { defaultRoutes, hostSubnet, hostSubnet6, isSince, lanDriver, onParent } from "../support/lan.ts";
import { client, router } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { answers, ask, echoes, everything, ping, reached } from "../support/probe.ts";

describe("networks of mode macvlan", () => {
  const one = useHost();
  const two = useHost([], () => ({ outside: one().outside, number: 2 }));
  const create = (host: Host, name: string, ...args: string[]) =>
    host.docker("network", "create", ...lanDriver(), ...onParent("eth0"), ...args, name);
  const serve = (host: Host, ...args: string[]) => Container.run(host, { network: "lan", serve: true }, ...args);

  it("put containers of several hosts on one segment, in both families", async () => {
    await create(one(), "lan", ...hostSubnet(1), ...hostSubnet6(1));
    await create(two(), "lan", ...hostSubnet(2), ...hostSubnet6(2));
    const [a, b, c] = await Promise.all([serve(one()), serve(one()), serve(two())]);
    for (const [from, to] of [
      [a, b],
      [a, c],
      [c, b],
    ] as const) {
      for (const [address, own] of [
        [await to.ipv4("lan"), await from.ipv4("lan")],
        [await to.ipv6("lan"), await from.ipv6("lan")],
      ] as const) {
        expect(await reached(from, address)).to.deep.equal(everything);
        expect(await ask(from, "tcp", address)).to.equal(own);
      }
    }
    for (const address of [router.ipv4, router.ipv6, client.ipv4, client.ipv6]) await ping(a, address);
    for (const address of [await a.ipv4("lan"), await a.ipv6("lan")]) {
      expect(await reached(one().outside.router, address)).to.deep.equal(everything);
      expect(await ask(one().outside.client, "tcp", address)).to.equal(
        address.includes(":") ? client.ipv6 : client.ipv4,
      );
    }
    expect(await defaultRoutes(a)).to.deep.equal([`via ${router.ipv4}`, `via ${router.ipv6}`]);
    // nobody but the parent's own host is kept from the containers: the kernel gives them nothing of what it sends itself
    expect(await echoes(one(), await a.ipv4("lan"))).to.equal(false);
    expect(await echoes(two(), await a.ipv4("lan"))).to.equal(true);
  });

  it("know each other by name, and have MACs of their own or those that are given", async () => {
    await create(one(), "lan", ...hostSubnet());
    const a = await Container.run(one(), { network: "lan" }, "--ip", "192.168.77.40");
    const mac = "02:00:5e:00:53:01";
    await Container.run(one(), { network: "lan" }, "--name", "beta", "--ip", "192.168.77.41", "--mac-address", mac);
    expect((await a.execInside("ping", "-c", "1", "-W", "2", "beta")).stdout).to.include("1 packets received");
    for (const [ip, wanted] of [
      ["192.168.77.40", (await a.endpoint("lan")).MacAddress],
      ["192.168.77.41", mac],
    ]) {
      await ping(one().outside.router, ip);
      const [neighbor] = await one().outside.router.ip(`neigh show ${ip}`);
      expect(neighbor.lladdr).to.equal(wanted);
    }
    if (driver === "tsnet") expect((await a.endpoint("lan")).MacAddress).to.equal("02:42:c0:a8:4d:28");
  });

  it("with --internal reach their segment, and nothing else", async () => {
    await create(one(), "lan", ...hostSubnet(), "--internal");
    const a = await serve(one());
    await ping(a, router.ipv4);
    expect(await defaultRoutes(a)).to.deep.equal([]);
    expect(await echoes(a, client.ipv4)).to.equal(false);
  });

  it("share a parent", async function () {
    if (driver !== "tsnet" && !(await isSince(one(), 27))) this.skip();
    await create(one(), "lan", ...hostSubnet(1));
    await create(one(), "other", "--subnet", "192.168.78.0/24", "--gateway", "192.168.78.254");
    const a = await serve(one());
    const b = await Container.run(one(), { network: "other", serve: true });
    await one().outside.router.sh("ip addr add 192.168.78.254/24 dev br0");
    try {
      expect(await reached(a, await b.ipv4("other"))).to.deep.equal(everything); // by way of the router
      expect(await ask(one().outside.client, "tcp", await b.ipv4("other"))).to.equal(client.ipv4);
    } finally {
      await one().outside.router.sh("ip addr del 192.168.78.254/24 dev br0");
    }
    await b.remove();
    await one().docker("network", "rm", "other");
    await ping(a, router.ipv4);
  });

  it("have several subnets, each with its gateway", async () => {
    const second = ["--subnet", "192.168.78.0/24", "--gateway", "192.168.78.254"];
    await create(one(), "lan", ...hostSubnet(), ...second);
    const a = await serve(one(), "--ip", "192.168.77.40"); // the docker command keeps no order of subnets
    const b = await serve(one(), "--ip", "192.168.78.10");
    expect(await defaultRoutes(a)).to.deep.equal([`via ${router.ipv4}`]);
    expect(await defaultRoutes(b)).to.deep.equal(["via 192.168.78.254"]);
    await one().outside.router.sh("ip addr add 192.168.78.254/24 dev br0");
    try {
      await ping(b, client.ipv4);
      expect(await reached(a, "192.168.78.10")).to.deep.equal(everything);
    } finally {
      await one().outside.router.sh("ip addr del 192.168.78.254/24 dev br0");
    }
  });

  it("are one of several that a container is in", async () => {
    await create(one(), "lan", ...hostSubnet());
    await one().docker("network", "create", "inner");
    const a = await Container.run(one(), { network: "inner", serve: true });
    await one().docker("network", "connect", "--ip", "192.168.77.50", "lan", a.id);
    expect(await reached(one().outside.router, "192.168.77.50")).to.deep.equal(everything);
    await one().docker("network", "disconnect", "lan", a.id);
    expect(await echoes(one().outside.router, "192.168.77.50")).to.equal(false);
    await one().docker("network", "connect", "--ip", "192.168.77.51", "lan", a.id);
    expect(await reached(one().outside.router, "192.168.77.51")).to.deep.equal(everything);
  });

  it("ignore -p, and the log says so", async () => {
    await create(one(), "lan", ...hostSubnet());
    const a = await serve(one(), "-p", "8080:80");
    expect(await ask(one().outside.client, "tcp", await a.ipv4("lan"))).to.equal(client.ipv4);
    expect(await answers(one().outside.client, "tcp", one().ipv4, 8080)).to.equal(false);
    if (driver !== "tsnet") return;
    const warned = await one().plugin.untilLogged(40, "so", ({ msg }) => msg.startsWith("-p has no effect"));
    expect(warned.map(({ level }) => level)).to.deep.equal([40]);
  });

  it("name the container's link by container_iface_prefix", async () => {
    await create(one(), "lan", ...hostSubnet(), "-o", "com.docker.network.container_iface_prefix=lan");
    const a = await Container.run(one(), { network: "lan" });
    const names = (await a.ip("link")).map(({ ifname }: { ifname: string }) => ifname);
    expect(names).to.deep.equal(["lo", "lan0"]);
  });

  it("without --gateway take no address for one, from Docker 28 on", async () => {
    await create(one(), "lan", "--subnet", "192.168.79.0/29");
    const a = await Container.run(one(), { network: "lan" });
    const hasNone = driver === "tsnet" && (await isSince(one(), 28));
    expect(await defaultRoutes(a)).to.deep.equal(hasNone ? [] : ["via 192.168.79.1"]);
    expect(await a.ipv4("lan")).to.equal(hasNone ? "192.168.79.1" : "192.168.79.2");
  });
});
