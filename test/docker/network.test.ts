import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { driver } from "../support/plugin.ts";
import { ask, echoes, everything, ping, reachable, reached } from "../support/probe.ts";

const bridgeOption = (key: string, value: string): string[] => ["-o", `com.docker.network.bridge.${key}=${value}`];

describe("docker network create -d tsnet", () => {
  const host = useHost();
  const create = (name: string, ...args: string[]) => host().docker("network", "create", "-d", driver, ...args, name);

  it("makes a bridge with the gateway's address, which docker network rm removes", async () => {
    const id = await create("web", "--subnet", "10.61.0.0/24");
    const [bridge] = await host().ip(`addr show dev tsb-${id.slice(0, 11)}`);
    expect(bridge).to.deep.include({ ifalias: `tsnet:bridge:${id}`, operstate: "DOWN" });
    expect(bridge.flags).to.include("UP");
    expect(bridge.linkinfo.info_kind).to.equal("bridge");
    expect(
      bridge.addr_info.map((address: { local: string; prefixlen: number }) => `${address.local}/${address.prefixlen}`),
    ).to.include("10.61.0.1/24");
    const [shown] = JSON.parse(await host().docker("network", "inspect", "web"));
    expect(shown).to.deep.include({ Name: "web", Id: id, Driver: driver, Scope: "local" });
    await host().docker("network", "rm", "web");
    expect((await host().exec(`ip link show dev tsb-${id.slice(0, 11)}`)).code).to.not.equal(0);
  });

  it("lets two containers reach each other by address and by name", async () => {
    await create("web");
    const [a, b] = await Promise.all([
      Container.run(host(), { network: "web", serve: true }, "--name", "alpha"),
      Container.run(host(), { network: "web", serve: true }, "--name", "beta"),
    ]);
    expect(await reached(a, await b.ipv4("web"))).to.deep.equal(everything);
    expect(await reached(b, await a.ipv4("web"))).to.deep.equal(everything);
    expect(await ask(a, "tcp", await b.ipv4("web"))).to.equal(await a.ipv4("web"));
    expect((await a.execInside("ping", "-c", "1", "-W", "2", "beta")).stdout).to.include("1 packets received");
    expect((await b.execInside("ping", "-c", "1", "-W", "2", "alpha")).stdout).to.include("1 packets received");
  });

  it("with enable_icc=false keeps containers apart, but not from each other's published ports", async () => {
    await create("quiet", ...bridgeOption("enable_icc", "false"));
    const a = await Container.run(host(), { network: "quiet", serve: true }, "-p", "8080:80", "-p", "8080:80/udp");
    const b = await Container.run(host(), { network: "quiet" });
    expect(await reachable(b, await a.ipv4("quiet"))).to.deep.equal([]);
    expect(await ask(b, "tcp", host().ipv4, 8080)).to.be.a("string");
    expect(await ask(b, "udp", host().ipv4, 8080)).to.be.a("string");
    await ping(b, "203.0.113.10");
  });

  it("sets the MTU of the bridge and of both ends of a container's link", async () => {
    const id = await create("jumbo", "-o", "com.docker.network.driver.mtu=1400");
    const a = await Container.run(host(), { network: "jumbo" });
    const { EndpointID } = await a.endpoint("jumbo");
    const [bridge] = await host().ip(`link show dev tsb-${id.slice(0, 11)}`);
    const [veth] = await host().ip(`link show dev tsv-${EndpointID.slice(0, 11)}`);
    const [eth0] = await a.ip("link show dev eth0");
    expect([bridge.mtu, veth.mtu, eth0.mtu]).to.deep.equal([1400, 1400, 1400]);
    expect(veth).to.deep.include({ master: bridge.ifname, ifalias: `tsnet:veth:${EndpointID}` });
  });

  it("names the container's link by container_iface_prefix", async () => {
    await create("prefixed", "-o", "com.docker.network.container_iface_prefix=lan");
    const a = await Container.run(host(), { network: "prefixed" });
    const names = (await a.ip("link")).map(({ ifname }: { ifname: string }) => ifname);
    expect(names).to.include("lan0").and.not.include("eth0");
  });

  it("gives the bridge no address with inhibit_ipv4, and the containers still talk", async () => {
    const id = await create("bare", ...bridgeOption("inhibit_ipv4", "true"), "--subnet", "10.62.0.0/24");
    const a = await Container.run(host(), { network: "bare", serve: true });
    const b = await Container.run(host(), { network: "bare" });
    expect(await host().ip(`-4 addr show dev tsb-${id.slice(0, 11)}`)).to.deep.equal([]);
    expect(await reached(b, await a.ipv4("bare"))).to.deep.equal(everything);
  });

  it("with --internal lets containers talk to each other only", async () => {
    await create("inner", "--internal");
    await create("open");
    const published = await Container.run(host(), { network: "open", serve: true }, "-p", "8080:80");
    const a = await Container.run(host(), { network: "inner", serve: true });
    const b = await Container.run(host(), { network: "inner" });
    expect(await reached(b, await a.ipv4("inner"))).to.deep.equal(everything);
    expect(await echoes(b, "203.0.113.10")).to.equal(false);
    expect(await reachable(b, await published.ipv4("open"))).to.deep.equal([]);
    expect(await reachable(b, host().ipv4, 8080)).to.not.include("tcp");
    expect((await b.ip("route")).filter(({ dst }: { dst: string }) => dst === "default")).to.deep.equal([]);
  });

  it("routes containers by the auxiliary address DefaultGatewayIPv4", async () => {
    await create(
      "aux",
      "--subnet",
      "10.63.0.0/24",
      "--gateway",
      "10.63.0.1",
      "--aux-address",
      "DefaultGatewayIPv4=10.63.0.9",
    );
    const a = await Container.run(host(), { network: "aux" });
    const routes = await a.ip("route");
    expect(routes.find(({ dst }: { dst: string }) => dst === "default")?.gateway).to.equal("10.63.0.9");
  });

  it("names the bridge as asked, and removes it with the network", async () => {
    await create("named", ...bridgeOption("name", "lab0"));
    const a = await Container.run(host(), { network: "named", serve: true });
    const b = await Container.run(host(), { network: "named" });
    expect((await host().ip("link show dev lab0"))[0].linkinfo.info_kind).to.equal("bridge");
    expect(await reached(b, await a.ipv4("named"))).to.deep.equal(everything);
    await Promise.all([a.remove(), b.remove()]);
    await host().docker("network", "rm", "named");
    expect((await host().exec("ip link show dev lab0")).code).to.not.equal(0);
  });

  it("uses a bridge that is there, and never deletes it", async () => {
    await host().exec("ip link add mine type bridge && ip link set mine up");
    const before = await host().ip("link show dev mine");
    await create("adopted", ...bridgeOption("name", "mine"), "--subnet", "10.64.0.0/24");
    const a = await Container.run(host(), { network: "adopted", serve: true });
    const b = await Container.run(host(), { network: "adopted" });
    expect(await reached(b, await a.ipv4("adopted"))).to.deep.equal(everything);
    await ping(b, "203.0.113.10");
    await Promise.all([a.remove(), b.remove()]);
    await host().docker("network", "rm", "adopted");
    const [now] = await host().ip("link show dev mine");
    expect([now.ifindex, now.ifalias]).to.deep.equal([before[0].ifindex, undefined]);
    expect(await host().ip("-4 addr show dev mine")).to.deep.equal([]);
    await host().exec("ip link del mine");
  });

  it("refuses what it does not know and what is in use, and names it", async () => {
    const unknown = await host().dockerError(
      "network",
      "create",
      "-d",
      driver,
      "-o",
      "com.dokcer.network.driver.mtu=9000",
      "x",
    );
    expect(unknown).to.include("com.dokcer.network.driver.mtu").and.include("com.docker.network.driver.mtu");
    const wrong = await host().dockerError(
      "network",
      "create",
      "-d",
      driver,
      "-o",
      "com.docker.network.driver.mtu=big",
      "x",
    );
    expect(wrong).to.include("com.docker.network.driver.mtu").and.include("big");
    const first = await create("first", ...bridgeOption("name", "shared0"));
    const taken = await host().dockerError("network", "create", "-d", driver, ...bridgeOption("name", "shared0"), "x");
    expect(taken).to.include("shared0").and.include(first.slice(0, 12));
  });
});
