/** The namespaces of overlay networks outlive the managed plugin that has made them: they are pinned on the host. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { removeAll } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { namespacesOf, overlay } from "../support/lab.ts";
import { LiveTraffic } from "../support/live-traffic.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { client } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask, ping } from "../support/probe.ts";
import { build, otherBuild, publish, reference, startRegistry } from "../support/registry.ts";

const settings = { TSNET_PEERS: "192.168.77.200" };
const settleMs = 5_000;

/** Namespaces and their mounts, files of the directory, and links. */
async function things(host: Host): Promise<string[]> {
  const script = "ls -A /run/netns 2>/dev/null; grep -o ' /run/netns/tsnet[^ ]*' /proc/self/mountinfo; ip -br link";
  return (await host.sh(`${script}; true`)).split("\n").filter((line) => /tsnet-|ts[a-z]-/.test(line));
}

describe("the managed plugin with an overlay network", () => {
  it("is upgraded under traffic", async () => {
    await using host = await Host.start([], { settings });
    await startRegistry(host);
    const upgraded = reference("next");
    await publish(host, otherBuild(host, "the next one"), "next");
    await host.docker("network", "create", ...overlay, "mesh");
    const live = await LiveTraffic.start(host, "mesh");
    const before = await things(host);
    await live.undisturbed(async () => {
      await host.docker("plugin", "disable", "-f", pluginName);
      const words = ["--grant-all-permissions", "--skip-remote-check", pluginName, upgraded];
      await host.docker("plugin", "upgrade", ...words);
      await host.docker("plugin", "enable", pluginName);
      await live.othersCome();
    });
    const { Config } = await host.dockerd.api("GET", `/plugins/${pluginName}/json`);
    expect(Config.Description).to.equal("the next one");
    expect(await things(host)).to.include.members(before);
    await removeAll(host);
    expect(await namespacesOf(host)).to.deep.equal([]);
  });

  it("leaves no namespace when it is uninstalled", async () => {
    await using host = await Host.start([], { settings });
    await host.docker("network", "create", ...overlay, "mesh");
    await Container.run(host, { network: "mesh", serve: true }, "-p", "8080:80");
    expect(await things(host)).to.not.deep.equal([]);
    await removeAll(host);
    await host.docker("plugin", "disable", pluginName);
    await host.docker("plugin", "rm", pluginName);
    expect(await things(host)).to.deep.equal([]);
  });

  it("uninstalled with networks left lets containers talk on, and takes all away when it is installed again", async () => {
    await using host = await Host.start([], { settings });
    await host.docker("network", "create", ...overlay, "mesh");
    const live = await LiveTraffic.start(host, "mesh");
    const [before] = await namespacesOf(host);
    await live.undisturbed(async () => {
      await host.docker("plugin", "rm", "-f", pluginName);
      expect(await namespacesOf(host)).to.deep.equal([before]);
    });
    await host.docker("plugin", "create", pluginName, build());
    await host.docker("plugin", "set", pluginName, `TSNET_PEERS=${settings.TSNET_PEERS}`);
    await host.docker("plugin", "enable", pluginName);
    await until("nothing is left", settleMs, async () => (await namespacesOf(host)).length === 0);
  });

  it("serves bridges where the host's mounts are private, which it is told not to be", async () => {
    await using host = await Host.start([], { settings, prepare: "mount --make-rprivate /" });
    await host.docker("network", "create", "-d", "tsnet", "web");
    const server = await Container.run(host, { network: "web", serve: true }, "-p", "8080:80");
    const neighbor = await Container.run(host, { network: "web" });
    expect(await ask(host.outside.client, "tcp", host.ipv4, 8080)).to.equal(client.ipv4);
    await ping(neighbor, await server.ipv4("web"));
    await host.plugin.restart();
    expect(await ask(host.outside.client, "tcp", host.ipv4, 8080)).to.equal(client.ipv4);
    await Promise.all([server.remove(), neighbor.remove()]);
    await host.docker("network", "rm", "web");
  });
});
