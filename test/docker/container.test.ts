import { expect } from "chai";
import { attempt } from "../support/commands.ts";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { driver } from "../support/plugin.ts";
import { ask, echoes, everything, ping, reached } from "../support/probe.ts";

describe("containers on tsnet networks", () => {
  const host = useHost();
  const create = (name: string, ...args: string[]) => host().docker("network", "create", "-d", driver, ...args, name);

  it("are connected and disconnected while they run", async () => {
    await create("one");
    await create("two");
    const a = await Container.run(host(), { network: "one", serve: true });
    const b = await Container.run(host(), { network: "two", serve: true }, "--name", "beta");
    expect(await echoes(a, await b.ipv4("two"))).to.equal(false);

    await host().docker("network", "connect", "two", a.id);
    expect(await reached(a, await b.ipv4("two"))).to.deep.equal(everything);
    expect(await reached(b, await a.ipv4("two"))).to.deep.equal(everything);
    expect((await a.execInside("ping", "-c", "1", "-W", "2", "beta")).stdout).to.include("1 packets received");

    await host().docker("network", "disconnect", "two", a.id);
    expect(await echoes(a, await b.ipv4("two"))).to.equal(false);
    await ping(a, "203.0.113.10");
  });

  it("have a link in each of several networks, and talk over each", async () => {
    const networks = ["net1", "net2", "net3"];
    for (const name of networks) await create(name);
    const middle = await Container.run(host(), { network: "net1", serve: true }, "--name", "middle");
    for (const name of networks.slice(1)) await host().docker("network", "connect", name, middle.id);
    const others = await Promise.all(networks.map((network) => Container.run(host(), { network, serve: true })));
    for (const [index, other] of others.entries()) {
      const network = networks[index] ?? "";
      expect(await reached(other, await middle.ipv4(network))).to.deep.equal(everything);
      expect(await reached(middle, await other.ipv4(network))).to.deep.equal(everything);
    }
    await ping(middle, "203.0.113.10");
  });

  it("share the network of another with --network container:", async () => {
    await create("web");
    const a = await Container.run(host(), { network: "web", serve: true });
    const b = await Container.run(host(), { network: `container:${a.id}` });
    const [shared, own] = await Promise.all(
      [b, a].map((container) => container.execInside("ip", "-4", "-o", "addr", "show", "dev", "eth0")),
    );
    expect(shared?.stdout)
      .to.equal(own?.stdout)
      .and.include(await a.ipv4("web"));
    const answer = await b.execInside("sh", "-c", "echo | timeout 3 socat - TCP4:127.0.0.1:80");
    expect(answer.stdout.trim()).to.equal("127.0.0.1");
  });

  it("get the addresses, the MAC address and the aliases that were asked for", async () => {
    await create("fixed", "--subnet", "10.65.0.0/24", "--ipv6", "--subnet", "fd00:65::/64");
    const wanted = ["--ip", "10.65.0.77", "--ip6", "fd00:65::77", "--mac-address", "02:42:0a:00:00:77"];
    const a = await Container.run(host(), { network: "fixed" }, ...wanted, "--network-alias", "www");
    const b = await Container.run(host(), { network: "fixed" });
    const [eth0] = await a.ip("addr show dev eth0");
    const addresses = eth0.addr_info.map(({ local }: { local: string }) => local);
    expect(eth0.address).to.equal("02:42:0a:00:00:77");
    expect(addresses).to.include.members(["10.65.0.77", "fd00:65::77"]);
    expect((await b.execInside("ping", "-c", "1", "-W", "2", "www")).stdout).to.include("1 packets received");
    await ping(b, "10.65.0.77");
    await ping(b, "fd00:65::77");
  });

  it("have the link-local address that was asked for as well", async () => {
    await create("links");
    const a = await Container.run(host(), { network: "links" }, "--link-local-ip", "169.254.77.9");
    const [eth0] = await a.ip("-4 addr show dev eth0");
    const addresses = eth0.addr_info.map(({ local }: { local: string }) => local);
    expect(addresses).to.include.members(["169.254.77.9", await a.ipv4("links")]);
  });

  it("have a default route to the bridge and the MAC address that belongs to their address", async () => {
    await create("web", "--subnet", "10.66.0.0/24");
    const a = await Container.run(host(), { network: "web" });
    const routes = await a.ip("route");
    expect(routes.find(({ dst }: { dst: string }) => dst === "default")?.gateway).to.equal("10.66.0.1");
    expect((await a.ip("link show dev eth0"))[0].address).to.equal("02:42:0a:42:00:02");
  });

  it("are reached again after a restart, with published ports and names", async () => {
    await create("web");
    const a = await Container.run(host(), { network: "web", serve: true }, "--name", "alpha", "-p", "8080:80");
    const b = await Container.run(host(), { network: "web" });
    await host().docker("restart", a.id);
    await a.listens();
    expect(await reached(b, await a.ipv4("web"))).to.deep.equal(everything);
    expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal("203.0.113.10");
    expect((await b.execInside("ping", "-c", "1", "-W", "2", "alpha")).stdout).to.include("1 packets received");
  });

  it("come and go in great number at once", async () => {
    await create("crowd", "--subnet", "10.67.0.0/24");
    const all = await Promise.all(Array.from({ length: 20 }, () => Container.run(host(), { network: "crowd" })));
    const addresses = await Promise.all(all.map((container) => container.ipv4("crowd")));
    expect(new Set(addresses).size).to.equal(20);
    const [first] = all;
    for (const address of addresses) await ping(first as Container, address);
    await host().docker("rm", "-f", ...all.map(({ id }) => id));
  });

  it("leave nothing when their command does not exist", async () => {
    await create("web");
    const command = ["run", "--rm", "--network", "web", "-p", "8080:80", image, "/no/such/program"];
    expect(await host().dockerError(...command)).to.include("no such file or directory");
    expect((await attempt(host().enter(["ip", "-o", "link", "show", "type", "veth"]))).stdout).to.not.include("tsv-");
  });
});
