import { existsSync } from "node:fs";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { Host } from "../support/host.ts";
import { loadImage } from "../support/image.ts";
import { LiveTraffic } from "../support/live-traffic.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { until } from "../support/poll.ts";
import { build } from "../support/registry.ts";

const settleMs = 5_000;

/** What the guide says for those who want nothing of it to stay. */
const cleanUp = `
  nft delete table inet tsnet
  iptables -D FORWARD -m mark --mark 0x1000000/0x1000000 -m comment --comment tsnet -j ACCEPT
  rmdir /run/docker/tsnet`;

describe("the managed plugin, uninstalled", () => {
  it("leaves its tables without a network, a rule that nothing matches, an empty directory and no state", async () => {
    await using host = await Host.create();
    await host.dockerd.start();
    await loadImage(host);
    const before = await things(host);
    await host.plugin.start();
    await host.docker("network", "create", "-d", "tsnet", "web");
    const container = await Container.run(host, { network: "web" }, "-p", "8080:80");
    const { stateDirectory } = host.plugin;
    expect(existsSync(`${stateDirectory}/tsnet.db`)).to.equal(true);
    await container.remove();
    await host.docker("network", "rm", "web");
    expect(await host.dockerError("plugin", "rm", pluginName)).to.include(`plugin ${pluginName} is enabled`);
    await host.docker("plugin", "disable", pluginName);
    await host.docker("plugin", "rm", pluginName);
    const left = (await things(host)).filter((thing) => !before.includes(thing));
    expect(left).to.deep.equal([
      "-A FORWARD -m mark --mark 0x1000000/0x1000000 -m comment --comment tsnet -j ACCEPT",
      "/run/docker/tsnet",
      "table inet tsnet",
    ]);
    const elements = (await host.nft("list table inet tsnet")).flatMap(({ set, map }) => (set ?? map)?.elem ?? []);
    expect(elements).to.deep.equal(["docker0"]);
    expect(existsSync(stateDirectory)).to.equal(false);
    await host.sh(`set -e\n${cleanUp}`);
    expect(await things(host)).to.deep.equal(before);
  });

  it("with networks left lets containers talk on, and takes their links away when it is installed again", async () => {
    await using host = await Host.start();
    await host.docker("network", "create", "-d", "tsnet", "web");
    const live = await LiveTraffic.start(host, "web");
    const before = await links(host);
    await live.undisturbed(async () => {
      await host.docker("plugin", "rm", "-f", pluginName);
      expect(await links(host)).to.deep.equal(before);
    });
    await host.docker("plugin", "create", pluginName, build());
    await host.docker("plugin", "enable", pluginName);
    await until("the links are gone", settleMs, async () => (await links(host)).length === 0);
    const [network] = JSON.parse(await host.docker("network", "inspect", "web"));
    expect(await host.dockerError("run", "--network", "web", "tsnet-test")).to.include(
      `network ${network.Id} is unknown to tsnet`,
    );
    await Promise.all([live.server.remove(), live.neighbor.remove()]);
    await host.docker("container", "prune", "-f");
    await host.docker("network", "rm", "web");
    await host.docker("network", "create", "-d", "tsnet", "web");
    const next = await LiveTraffic.start(host, "web");
    await next.undisturbed(() => next.othersCome());
  });
});

/** What a plugin may leave on a host, one a line: links, tables, rules, settings of the kernel, files of /run. */
async function things(host: Host): Promise<string[]> {
  const script = `
    ip -br link | cut -d ' ' -f 1
    nft list tables
    iptables-save | grep '^-A'
    ip6tables-save | grep '^-A'
    sysctl -a -r '^net[.](ipv4|ipv6|bridge)[.]' 2>/dev/null
    find /run/docker -maxdepth 1 -name 'tsnet*'
    find /run/docker/plugins`;
  return (await host.sh(script)).split("\n").toSorted();
}

const links = async (host: Host): Promise<string[]> =>
  (await host.ip("link")).flatMap(({ ifname = "" }) => (/^ts[bvcd]-/.test(ifname) ? [ifname] : [])).toSorted();
