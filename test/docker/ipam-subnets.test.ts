import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { ask, everything, ping, reachable, reached } from "../support/probe.ts";

const ipams = { "Docker's own IPAM": [], "tsnet's IPAM": ["--ipam-driver", "tsnet"] };

/** Next to each other, so that a mistake of one address shows. */
const subnets4 = ["10.70.0.0/29", "10.70.0.8/29"] as const;
const subnets6 = ["fd00:70::/126", "fd00:70::4/126"] as const;

/** Containers that a /29 has room for: 8 addresses less the network, the gateway and the broadcast address. */
const perSubnet = 5;

const subnetOf = (ip: string): string =>
  subnets4[Number(ip.split(".").at(-1)) < 8 ? 0 : 1] ?? expect.fail(`no subnet for ${ip}`);

describe("a network with several subnets of a family", () => {
  const host = useHost();
  before("which Docker's own driver does not have", function () {
    if (driver === "bridge") this.skip();
  });
  const create = (...args: string[]) => host().docker("network", "create", "-d", driver, ...args, "n");
  const run = (...args: string[]) => Container.run(host(), { network: "n", serve: true }, ...args);
  const runSome = (count: number) =>
    Promise.all(Array.from({ length: count }, () => Container.run(host(), { network: "n" })));
  const withSubnets = (...subnets: string[]) => subnets.flatMap((subnet) => ["--subnet", subnet]);
  const oneInEach = ["10.70.0.2", "10.70.0.10"] as const;
  const inBoth = () => Promise.all([run("--ip", oneInEach[0]), run("--ip", oneInEach[1])]);
  const expectNoRepairs = () =>
    expect(
      host()
        .plugin.logged(40)
        .filter(({ msg, kind }) => msg.startsWith("repaired") && kind !== "forward"), // dockerd changes FORWARD when it starts
    ).to.deep.equal([]);

  for (const [ipam, ipamArgs] of Object.entries(ipams)) {
    describe(`from ${ipam}`, () => {
      it("goes on in the second when the first is full, and says so when both are", async () => {
        await create(...ipamArgs, ...withSubnets(...subnets4));
        const first = await run();
        const others = await runSome(perSubnet - 1);
        const second = await run("-p", "8080:80");
        const [a, b] = [await first.ipv4("n"), await second.ipv4("n")];
        expect(subnetOf(b)).to.not.equal(subnetOf(a));
        const inFirst = await Promise.all(others.map((container) => container.ipv4("n")));
        expect(inFirst.map(subnetOf)).to.deep.equal(inFirst.map(() => subnetOf(a)));
        expect((await second.endpoint("n")).IPPrefixLen).to.equal(29);

        await expectTogether(first, second, [a, b]);
        await ping(second, client.ipv4);
        const outside = await ask(host().outside.client, "tcp", host().ipv4, 8080);
        expect(outside).to.equal(client.ipv4);
        await ask(first, "tcp", host().ipv4, 8080); // by way of the host

        const more = await runSome(perSubnet - 1);
        expect(new Set(await Promise.all(more.map((container) => container.ipv4("n"))))).to.have.property("size", 4);
        const full = await host().dockerError("run", "-d", "--network", "n", image);
        expect(full).to.include("no available IPv4 addresses on this network's address pools");
        if (ipamArgs.length > 0) expect(full).to.include(subnets4[0]).and.include(subnets4[1]);

        await host().plugin.restart();
        await more[0]?.remove();
        const again = await Container.run(host(), { network: "n" });
        expect(await again.ipv4("n")).to.equal(await givenBack(b, more));
        expectNoRepairs();
      });

      it("goes on in the second of IPv6 while the one of IPv4 has room", async () => {
        await create(...ipamArgs, "--ipv6", ...withSubnets("10.70.1.0/24", ...subnets6));
        const first = await run();
        const prefixOf = (ip: string) => (Number.parseInt(ip.split("::")[1] ?? "", 16) < 4 ? 0 : 4);
        const wanted = prefixOf(await first.ipv6("n"));
        let last = await run();
        for (let tries = 0; tries < 3 && prefixOf(await last.ipv6("n")) === wanted; tries++) last = await run();
        const [a, b] = [await first.ipv6("n"), await last.ipv6("n")];
        expect(prefixOf(b)).to.not.equal(wanted);
        await expectTogether(first, last, [a, b]);
        await ping(last, client.ipv6);
        await ping(last, await first.ipv4("n"));
      });
    });
  }

  /** What is left of the second subnet: its one address that is neither the first container's nor one of these. */
  async function givenBack(b: string, more: readonly Container[]): Promise<string> {
    const held = [b, ...(await Promise.all(more.slice(1).map((container) => container.ipv4("n"))))];
    const base = subnetOf(b) === subnets4[0] ? 0 : 8;
    const all = Array.from({ length: perSubnet }, (_, n) => `10.70.0.${base + 2 + n}`);
    return all.find((address) => !held.includes(address)) ?? expect.fail(`none of ${all} is left`);
  }

  /** Each reaches the other, directly: under its own address, and without a gateway. */
  async function expectTogether(a: Container, b: Container, addresses: readonly [string, string]): Promise<void> {
    expect(await reached(a, addresses[1])).to.deep.equal(everything);
    expect(await reached(b, addresses[0])).to.deep.equal(everything);
    const [route] = await a.ip(`route get ${addresses[1]}`);
    expect(route).to.not.have.property("gateway");
    expect(await ask(a, "tcp", addresses[1])).to.equal(addresses[0]);
    const neighbors: { dst: string; lladdr?: string }[] = await a.ip("neigh");
    const [link] = await b.ip("link show eth0");
    expect(neighbors.find(({ dst }) => dst === addresses[1])?.lladdr).to.equal(link.address);
  }

  it("keeps its containers from each other with icc=false, by way of the host too, and from other networks", async () => {
    await create("-o", "com.docker.network.bridge.enable_icc=false", ...withSubnets(...subnets4));
    await host().docker("network", "create", "-d", driver, "--subnet", "10.71.0.0/24", "other");
    const [a, b] = await inBoth();
    const other = await Container.run(host(), { network: "other", serve: true });
    expect(await reachable(a, "10.70.0.10")).to.deep.equal([]);
    expect(await reachable(b, "10.70.0.2")).to.deep.equal([]);
    expect(await reachable(other, "10.70.0.10")).to.deep.equal([]);
    expect(await reachable(b, await other.ipv4("other"))).to.deep.equal([]);
    await ping(a, client.ipv4);
    await ping(b, client.ipv4);
    for (const [container, gateway, target] of [
      [a, "10.70.0.1", subnets4[1]],
      [b, "10.70.0.9", subnets4[0]],
    ] as const) {
      expect(await container.exec(`ip route replace ${target} via ${gateway}`)).to.have.property("code", 0);
    }
    expect(await reachable(a, "10.70.0.10")).to.deep.equal([]);
    expect(await reachable(b, "10.70.0.2")).to.deep.equal([]);
  });

  it("lets its containers talk by way of the host as well, should they want to", async () => {
    await create(...withSubnets(...subnets4));
    const [a] = await inBoth();
    expect(await a.exec(`ip route replace ${subnets4[1]} via 10.70.0.1`)).to.have.property("code", 0);
    expect(await reached(a, "10.70.0.10")).to.deep.equal(everything);
  });

  it("is internal in all of them, and together", async () => {
    await create("--internal", ...withSubnets(...subnets4));
    const [a, b] = await inBoth();
    await expectTogether(a, b, oneInEach);
    for (const container of [a, b]) {
      expect((await container.ip("route")).map(({ dst }: { dst: string }) => dst)).to.have.members([...subnets4]);
      expect(await reachable(container, client.ipv4, 7)).to.deep.equal([]);
    }
  });

  it("is routed in all of them: the ports that are published answer under the containers' own addresses", async () => {
    await create("-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", ...withSubnets(...subnets4));
    const containers = await Promise.all(oneInEach.map((ip) => run("--ip", ip, "-p", "80", "--expose", "7")));
    for (const subnet of subnets4) await host().outside.route(subnet, 1);
    for (const container of containers) {
      const address = await container.ipv4("n");
      expect(await ask(host().outside.client, "tcp", address)).to.equal(client.ipv4);
      expect(await reachable(host().outside.client, address, 7)).to.deep.equal(["icmp"]);
    }
  });

  it("sends each container to the router of its own subnet, where there is one", async () => {
    await create(...withSubnets(...subnets4), "--aux-address", "DefaultGatewayIPv4=10.70.0.13");
    const gateways = await Promise.all(
      (await inBoth()).map(async (container) => {
        const routes: { dst: string; gateway: string }[] = await container.ip("route");
        return routes.find(({ dst }) => dst === "default")?.gateway;
      }),
    );
    expect(gateways).to.deep.equal(["10.70.0.1", "10.70.0.13"]);
  });

  it("is there as before when the plugin and dockerd restart, and its containers start again", async () => {
    await create(...withSubnets(...subnets4));
    const [a, b] = await inBoth();
    await host().plugin.restart();
    await expectTogether(a, b, oneInEach);
    await host().dockerd.restart();
    for (const container of [a, b]) {
      await host().docker("start", container.id);
      await container.listens();
    }
    await expectTogether(a, b, oneInEach);
    expectNoRepairs();
  });

  for (const [n, [ipam, [, ipamDriver = "default"]]] of Object.entries(ipams).entries()) {
    it(`cannot have two subnets that overlap, which ${ipam} refuses`, async () => {
      const Config = [`10.${80 + n}.0.0/24`, `10.${80 + n}.0.128/25`].map((Subnet) => ({ Subnet }));
      const body = { Name: "n", Driver: driver, IPAM: { Driver: ipamDriver, Config } };
      const error = await host().dockerd.api("POST", "/networks/create", body).then(String, String);
      expect(error).to.include("overlap");
      // Docker 28 forgets the pools that it had for a network when it does not get the last of them.
      await host().plugin.call("IpamDriver.ReleasePool", { PoolID: `tsnet-local/${Config[0]?.Subnet}` });
    });
  }
});
