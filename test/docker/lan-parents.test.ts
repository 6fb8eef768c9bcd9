import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { addUplink, defaultRoutes, hostSubnet, hostSubnet6, lanDriver, onParent } from "../support/lan.ts";
import { client, router } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask, ping } from "../support/probe.ts";

/** The kernel's event, and what is done about it. */
const noticedMs = 3_000;

describe("the parent of a macvlan network", () => {
  const host = useHost();
  let container: Container;
  const plug = () => addUplink(host().outside, host(), "nic1");
  const unplug = () => host().sh("ip link del nic1");
  const create = (...args: string[]) =>
    host().docker(
      "network",
      "create",
      ...lanDriver(),
      ...onParent("nic1"),
      ...hostSubnet(),
      ...hostSubnet6(),
      ...args,
      "lan",
    );
  beforeEach(plug);
  afterEach(() => host().exec("ip link del nic1"));

  const link = async () => (await container.ip("link show dev eth0"))[0];
  const said = (words: RegExp) =>
    host()
      .plugin.logged(30)
      .filter(({ msg }) => words.test(msg));
  const works = async () => {
    // not `reachable`, which has no patience with a busy machine
    for (const address of [await container.ipv4("lan"), await container.ipv6("lan")]) {
      for (const protocol of ["tcp", "udp"] as const) await ask(host().outside.router, protocol, address);
      await ping(host().outside.router, address);
    }
    await ping(container, client.ipv4);
    await ping(container, client.ipv6);
  };

  it("gives its MTU to the containers' links, also when it changes", async () => {
    await host().sh("ip link set nic1 mtu 1400");
    await create();
    container = await Container.run(host(), { network: "lan" });
    expect((await link()).mtu).to.equal(1400);
    for (const mtu of [1300, 1500]) {
      await host().sh(`ip link set nic1 mtu ${mtu}`);
      await until(`the container's link has ${mtu}`, noticedMs, async () => (await link()).mtu === mtu);
    }
  });

  it("leaves alone an MTU that was asked for", async () => {
    await create("-o", "com.docker.network.driver.mtu=1280");
    container = await Container.run(host(), { network: "lan" });
    expect((await link()).mtu).to.equal(1280);
    await host().sh("ip link set nic1 mtu 1400");
    container = await Container.run(host(), { network: "lan" });
    expect((await link()).mtu).to.equal(1280);
  });

  it("may go and come back: running containers work again, with their addresses and MACs", async () => {
    await create();
    container = await Container.run(host(), { network: "lan", serve: true });
    await works();
    const { address } = await link();
    const routes = await defaultRoutes(container);
    await unplug();
    await until("the container has no link", noticedMs, async () => (await container.ip("link")).length === 1);
    await until("the log tells", noticedMs, () =>
      said(/parent/).some((entry) => JSON.stringify(entry).includes("nic1")),
    );
    await plug();
    await until("the container has its link", noticedMs, async () => (await link())?.operstate === "UP");
    await works();
    expect([(await link()).address, await defaultRoutes(container)]).to.deep.equal([address, routes]);
    expect(routes).to.deep.equal([`via ${router.ipv4}`, `via ${router.ipv6}`]);
    await container.remove();
    container = await Container.run(host(), { network: "lan", serve: true });
    await works();
  });

  it("may go and come back while the plugin is away", async () => {
    await create();
    container = await Container.run(host(), { network: "lan", serve: true });
    await host().plugin.stop();
    await unplug();
    await plug();
    expect((await container.ip("link")).length).to.equal(1);
    await host().plugin.start();
    await until("the container has its link", noticedMs, async () => (await link())?.operstate === "UP");
    await works();
  });

  it("may go and come back: a link has its name again, by which Docker takes it out of the container", async () => {
    await host().sh("ip link set nic1 mtu 1400");
    await create();
    const other = ["--subnet", "192.168.79.0/24", "other"];
    await host().docker("network", "create", ...lanDriver(), ...onParent("nic1"), ...other);
    container = await Container.run(host(), { network: "lan" });
    await host().docker("network", "connect", "other", container.id);
    await host().docker("network", "disconnect", "lan", container.id);
    const second = async () => (await container.ip("link")).find(({ ifname }: { ifname: string }) => ifname === "eth1");
    await host().sh("ip link set nic1 mtu 1500"); // the kernel itself would lower it only
    await until("tsnet has looked into the container", noticedMs, async () => (await second())?.mtu === 1500);
    await unplug();
    await until("the container has no link", noticedMs, async () => (await container.ip("link")).length === 1);
    await plug();
    await until("the container has its link", noticedMs, async () => (await second())?.operstate === "UP");
    await host().docker("network", "disconnect", "other", container.id);
    expect((await container.ip("link")).map(({ ifname }: { ifname: string }) => ifname)).to.deep.equal(["lo"]);
  });

  it("may stay away: containers are removed all the same, and none is started", async () => {
    await create();
    container = await Container.run(host(), { network: "lan" });
    await unplug();
    const error = await host().dockerError("run", "-d", "--network", "lan", image);
    expect(error).to.include("the requested parent interface nic1 was not found on the Docker host");
    await container.remove();
    expect([...host().records("endpoint").keys()]).to.deep.equal([]);
    await plug();
    container = await Container.run(host(), { network: "lan", serve: true });
    expect(await ask(host().outside.client, "tcp", await container.ipv4("lan"))).to.equal(client.ipv4);
  });
});
