import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { ask, everything, ping, reached } from "../support/probe.ts";

const families = [
  {
    family: "IPv4",
    server: client.ipv4,
    hostAddress: "ipv4",
    subnet: "10.72.0.0/24",
    second: "192.168.77.201/24",
    option: "host_ipv4",
  },
  {
    family: "IPv6",
    server: client.ipv6,
    hostAddress: "ipv6",
    subnet: "fd00:72::/64",
    second: "fd00:77::201/64",
    option: "host_ipv6",
  },
] as const;

describe("traffic of tsnet networks to the outside", () => {
  const host = useHost();
  before(() => host().outside.serve());
  const create = (name: string, ...args: string[]) =>
    host().docker(
      "network",
      "create",
      "-d",
      driver,
      "--ipv6",
      "--subnet",
      "10.72.0.0/24",
      "--subnet",
      "fd00:72::/64",
      ...args,
      name,
    );

  for (const { family, server, hostAddress, subnet, second, option } of families) {
    it(`leaves with the host's address: ${family}`, async () => {
      await create("web");
      const a = await Container.run(host(), { network: "web" });
      expect(await ask(a, "tcp", server)).to.equal(host()[hostAddress]);
      expect(await ask(a, "udp", server)).to.equal(host()[hostAddress]);
      await ping(a, server);
    });

    it(`keeps its own address with enable_ip_masquerade=false: ${family}`, async () => {
      await create("routed", "-o", "com.docker.network.bridge.enable_ip_masquerade=false");
      await host().outside.route(subnet, 1);
      const a = await Container.run(host(), { network: "routed" });
      const own = family === "IPv4" ? await a.ipv4("routed") : await a.ipv6("routed");
      expect(await ask(a, "tcp", server)).to.equal(own);
      expect(await ask(a, "udp", server)).to.equal(own);
    });

    it(`leaves with the address that ${option} names`, async () => {
      const address = second.slice(0, second.indexOf("/"));
      const command = (verb: string) =>
        host().exec(`ip addr ${verb} ${second} dev eth0 ${family === "IPv6" ? "nodad" : ""}`);
      await command("add");
      await create("snat", "-o", `com.docker.network.${option}=${address}`);
      const a = await Container.run(host(), { network: "snat" });
      expect(await ask(a, "tcp", server)).to.equal(address);
      expect(await ask(a, "udp", server)).to.equal(address);
      await command("del");
    });

    it(`reaches containers by published ports: ${family}`, async () => {
      await create("web");
      await Container.run(host(), { network: "web", serve: true }, "-p", "8080:80", "-p", "8080:80/udp");
      expect(await ask(host().outside.client, "tcp", host()[hostAddress], 8080)).to.equal(server);
      expect(await ask(host().outside.client, "udp", host()[hostAddress], 8080)).to.equal(server);
    });
  }

  it("reaches both families of a neighbor on the same network", async () => {
    await create("web");
    const a = await Container.run(host(), { network: "web", serve: true });
    const b = await Container.run(host(), { network: "web" });
    expect(await reached(b, await a.ipv4("web"))).to.deep.equal(everything);
    expect(await reached(b, await a.ipv6("web"))).to.deep.equal(everything);
    expect(await ask(b, "tcp", await a.ipv6("web"))).to.equal(await b.ipv6("web"));
  });
});
