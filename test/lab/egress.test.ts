import { expect } from "chai";
import type { Container } from "../support/container.ts";
import { useLab } from "../support/lab-suite.ts";
import { listMappings } from "../support/mappings.ts";
import { client } from "../support/outside.ts";
import { answers, ask, everything, ping, reachable, reached } from "../support/probe.ts";

/** The names of a container's links, and the gateways of its default routes. */
async function waysOf(container: Container): Promise<{ links: string[]; gateways: string[] }> {
  const links: { ifname: string }[] = await container.ip("link");
  const routes: { gateway?: string }[] = [
    ...(await container.ip("route show default")),
    ...(await container.ip("-6 route show default")),
  ];
  const gateways = routes.flatMap(({ gateway = [] }) => gateway);
  return { links: links.map(({ ifname }) => ifname).sort(), gateways };
}

/** The links of a host that have an address of the network's gateway. */
async function gatewayLinks(container: Container): Promise<string[]> {
  const links: { ifname: string; addr_info: { local: string }[] }[] = await container.host.ip("addr");
  const isGateway = ({ local }: { local: string }) => local === "10.5.0.1" || local === "fd00:5::1";
  return links.filter(({ addr_info }) => addr_info.some(isGateway)).map(({ ifname }) => ifname);
}

describe("the way out of an overlay network", () => {
  const lab = useLab({ plane: "etcd" });
  const port = ["-p", "8080:80", "-p", "8080:80/udp"];

  /** Between the hosts, in both directions, over IPv4 and IPv6. */
  async function expectConnected([one, two]: readonly Container[]): Promise<void> {
    if (!one || !two) throw new Error("two containers are needed");
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      expect(await reached(from, await to.ipv4("mesh"))).to.deep.equal(everything);
      expect(await reached(from, await to.ipv6("mesh"))).to.deep.equal(everything);
      expect(await ask(from, "tcp", await to.ipv4("mesh"))).to.equal(await from.ipv4("mesh"));
    }
  }

  it("is the container's one interface, and its own host's address", async () => {
    await lab().network("mesh");
    const servers = await lab().servers("mesh", ...port);
    await expectConnected(servers);
    for (const server of servers) {
      expect(await waysOf(server)).to.deep.equal({ links: ["eth0", "lo"], gateways: ["10.5.0.1", "fd00:5::1"] });
      expect(await gatewayLinks(server)).to.have.length(1);
      expect(await ask(server, "tcp", client.ipv4)).to.equal(server.host.ipv4);
      expect(await ask(server, "tcp", client.ipv6)).to.equal(server.host.ipv6);
      expect(await ask(lab().outside.client, "udp", server.host.ipv4, 8080)).to.equal(client.ipv4);
      expect(await listMappings(server.host)).to.have.length(2);
    }
  });

  it("is Docker's with tsnet.egress=engine: docker_gwbridge leads out and publishes, docker ps shows it, the hosts are connected", async () => {
    await lab().network("mesh", "-o", "tsnet.egress=engine");
    const servers = await lab().servers("mesh", ...port);
    await expectConnected(servers);
    for (const server of servers) {
      const { host } = server;
      const { links, gateways } = await waysOf(server);
      expect(links).to.deep.equal(["eth0", "eth1", "lo"]);
      const [{ IPAM }] = JSON.parse(await host.docker("network", "inspect", "docker_gwbridge"));
      expect(gateways).to.deep.equal([IPAM.Config[0].Gateway]);
      const shown = await host.docker("ps", "--filter", `id=${server.id}`, "--format", "{{.Ports}}");
      expect(shown).to.include("0.0.0.0:8080->80/tcp").and.include("0.0.0.0:8080->80/udp");
      for (const protocol of ["tcp", "udp"] as const)
        expect(await ask(lab().outside.client, protocol, host.ipv4, 8080)).to.equal(client.ipv4);
      expect(await ask(server, "tcp", client.ipv4)).to.equal(host.ipv4);
      // nothing of it is tsnet's
      expect(await gatewayLinks(server)).to.deep.equal([]);
      expect(await listMappings(host)).to.deep.equal([]);
    }
  });

  it("does not exist with --internal, and the hosts are connected", async () => {
    await lab().network("mesh", "--internal");
    const servers = await lab().servers("mesh");
    await expectConnected(servers);
    for (const server of servers) {
      expect(await waysOf(server)).to.deep.equal({ links: ["eth0", "lo"], gateways: [] });
      expect(await gatewayLinks(server)).to.deep.equal([]);
      expect(await reachable(server, client.ipv4)).to.deep.equal([]);
    }
  });

  it("is open with tsnet.publish_from to these sources only, on each host", async () => {
    await lab().network("mesh", "-o", "tsnet.publish_from=203.0.113.0/24,10.5.0.0/24");
    const servers = await lab().servers("mesh", ...port);
    const [, , other] = servers;
    for (const { host } of servers) {
      expect(await ask(lab().outside.client, "tcp", host.ipv4, 8080)).to.equal(client.ipv4);
      expect(await ask(host, "tcp", "127.0.0.1", 8080)).to.equal("10.5.0.1");
      const strangers = [lab().outside.router, ...lab().hosts.filter((one) => one !== host)];
      const answered = strangers.map((stranger) => answers(stranger, "tcp", host.ipv4, 8080));
      expect(await Promise.all(answered)).to.deep.equal(strangers.map(() => false));
    }
    await ping(servers[0] as Container, await (other as Container).ipv4("mesh"));
  });

  it("passes the host's own rules with tsnet.publish_policy=host", async () => {
    await lab().network("mesh", "-o", "tsnet.publish_policy=host");
    const host = lab().host(1);
    await lab().run(1, { network: "mesh", serve: true }, ...port);
    expect(await ask(lab().outside.client, "udp", host.ipv4, 8080)).to.equal("10.5.0.1");
    await host.sh("iptables -w -I INPUT -p udp --dport 8080 -j DROP");
    try {
      expect(await answers(lab().outside.client, "udp", host.ipv4, 8080)).to.equal(false);
    } finally {
      await host.sh("iptables -w -D INPUT -p udp --dport 8080 -j DROP");
    }
  });
});
