import { expect } from "chai";
import { leaveNothing } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { loadImage } from "../support/image.ts";
import { LiveTraffic } from "../support/live-traffic.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { build, installPlugin, otherBuild, publish, reference, startRegistry } from "../support/registry.ts";

const debugLevel = 20;
const infoLevel = 30;

const settable = [
  ...["TSNET_SOCKET", "TSNET_ADMIN_SOCKET", "TSNET_DOCKER_SOCKET", "TSNET_LOG_LEVEL", "TSNET_SCOPE", "TSNET_MARK"],
  ...["TSNET_ADDRESS_POOLS", "TSNET_ORPHAN_GRACE", "TSNET_REQUIRES_MAC_ADDRESS", "TSNET_HOST_ID"],
  ...["TSNET_NETNS_DIR", "TSNET_VXLAN_PORT", "TSNET_ADVERTISE_ADDRESS", "TSNET_PEERS", "TSNET_HOST_TTL"],
  ...["TSNET_ETCD_ENDPOINTS", "TSNET_ETCD_CACERT", "TSNET_ETCD_CERT", "TSNET_ETCD_KEY", "TSNET_ETCD_USER"],
  "TSNET_ETCD_PREFIX",
];

describe("the managed plugin from a registry", () => {
  let host: Host;
  before("a Docker that has nothing of it but from the registry", async () => {
    host = await Host.create();
    await host.dockerd.start();
    await loadImage(host);
    await host.docker("plugin", "rm", pluginName);
    await startRegistry(host);
    await publish(host, build(), "1");
    const startedAt = performance.now();
    await installPlugin(host, pluginName, "1", "TSNET_LOG_LEVEL=debug");
    await host.docker("network", "create", "-d", "tsnet", "web");
    console.log(`    from install to a network: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    await host.docker("network", "rm", "web");
  });
  leaveNothing(() => host);
  after(() => host?.[Symbol.asyncDispose]());

  it("is installed with the settings that were given, and only with those that it has", async () => {
    await host.plugin.untilLogged(debugLevel, "details", ({ level }) => level < infoLevel);
    const words = await refused(installPlugin(host, "other", "1", "TSNET_STATE_DIR=/tmp"));
    expect(words).to.include('"TSNET_STATE_DIR" is not settable');
    await host.docker("plugin", "rm", "other"); // Docker had it before it looked at the settings
    await refused(installPlugin(host, "other", "2"));
    await refused(host.docker("plugin", "rm", "other"));
  });

  it("connects containers", async () => {
    await host.docker("network", "create", "-d", "tsnet", "web");
    const live = await LiveTraffic.start(host, "web");
    await live.undisturbed(() => live.othersCome());
  });

  it("is upgraded to what the same tag names now, keeps its state, and no connection loses a packet", async () => {
    const subnet = ["--ipam-driver", "tsnet", "--subnet", "10.77.0.0/24"];
    await host.docker("network", "create", "-d", "tsnet", ...subnet, "web");
    const live = await LiveTraffic.start(host, "web");
    await publish(host, otherBuild(host, "a newer build"), "1");
    const upgrade = ["plugin", "upgrade", "--grant-all-permissions", pluginName];
    expect(await host.dockerError(...upgrade)).to.equal("the plugin must be disabled before upgrading");
    const before = state(host);
    await live.undisturbed(async () => {
      await host.docker("plugin", "disable", pluginName);
      await host.docker(...upgrade);
      await host.docker("plugin", "enable", pluginName);
      const plugin = await host.dockerd.api("GET", `/plugins/${pluginName}/json`);
      expect(plugin.Config.Description).to.equal("a newer build");
      expect(plugin.Settings.Env).to.include("TSNET_LOG_LEVEL=debug");
      expect(state(host)).to.deep.equal(before);
      await live.othersCome();
    });
  });

  it("says what it is, what it may and what can be set", async () => {
    const plugin = await host.dockerd.api("GET", `/plugins/${pluginName}/json`);
    expect(plugin).to.include({ Enabled: true, PluginReference: reference("1") });
    const { Interface, Linux, Mounts, Network, PropagatedMount, Env } = plugin.Config;
    expect(Interface.Types).to.have.members(["docker.networkdriver/1.0", "docker.ipamdriver/1.0"]);
    expect(Network.Type).to.equal("host");
    expect(PropagatedMount).to.equal("/var/lib/tsnet");
    const capabilities = ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_SYS_NICE"];
    expect(Linux).to.deep.include({ Capabilities: capabilities, AllowAllDevices: false, Devices: null });
    const mounts = Mounts.map(({ Name, Source, Destination, Settable }: Mount) => [
      Name,
      Source,
      Destination,
      Settable,
    ]);
    expect(mounts).to.deep.equal([
      ["run", "/run", "/host/run", null],
      ["etc", "/etc", "/host/etc", null],
    ]);
    expect(Env.filter(({ Settable }: Variable) => Settable !== null).map(({ Name }: Variable) => Name)).to.have.members(
      settable,
    );
    expect(plugin.Settings.Env).to.include("TSNET_LOG_LEVEL=debug");
  });
});

interface Mount {
  readonly Name: string;
  readonly Source: string;
  readonly Destination: string;
  readonly Settable: readonly string[] | null;
}

type Variable = Pick<Mount, "Name" | "Settable">;

/** All that tsnet has written down. */
const state = (host: Host) =>
  (["network", "endpoint", "pool", "lease"] as const).map((kind) => [...host.records(kind)].toSorted());

/** @returns its words. @throws AssertionError unless it fails */
async function refused(command: Promise<unknown>): Promise<string> {
  const words = await command.then(
    () => undefined,
    (reason: Error) => reason.message,
  );
  expect(words).to.not.equal(undefined);
  return words ?? "";
}
