import { readFileSync } from "node:fs";
import { expect } from "chai";
import { leaveNothing } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { LiveTraffic } from "../support/live-traffic.ts";
import { pluginName } from "../support/managed-plugin.ts";
import type { LogLine } from "../support/plugin.ts";

const debugLevel = 20;
const infoLevel = 30;
const interferenceMs = 300;

describe("the managed plugin with containers that hold connections", () => {
  let host: Host;
  let live: LiveTraffic;
  before("a host with dockerd and tsnet", async () => {
    host = await Host.start();
  });
  beforeEach("two containers", async () => {
    await host.docker("network", "create", "-d", "tsnet", "web");
    live = await LiveTraffic.start(host, "web");
  });
  afterEach("tsnet runs, whatever the test did", async () => {
    if (await isEnabled(host)) return;
    await set("TSNET_SCOPE=");
    await host.plugin.start();
  });
  leaveNothing(() => host);
  after(() => host[Symbol.asyncDispose]());

  const set = (...words: string[]) => host.docker("plugin", "set", pluginName, ...words);

  it("shows a packet that is lost, and a connection that is reset", async () => {
    const { lost } = await live.during(() => interfere(host, "numgen inc mod 20 == 0 drop"));
    expect(lost).to.be.greaterThan(0);
    const broken = await live.undisturbed(() => interfere(host, "reject with tcp reset")).catch(String);
    expect(broken).to.match(/ECONNRESET after message \d+$/);
  });

  it("is disabled without -f too, for networks of -d tsnet, and enabled", async () => {
    await live.undisturbed(async () => {
      await host.docker("plugin", "disable", pluginName);
      await host.plugin.start();
      await live.othersCome();
    });
  });

  it("is disabled only with -f, if a network was made under its own name", async () => {
    await host.docker("network", "create", "-d", pluginName, "own");
    expect(await host.dockerError("plugin", "disable", pluginName)).to.include(`plugin ${pluginName} is in use`);
    await live.undisturbed(async () => {
      await host.plugin.stop();
      await host.plugin.start();
      await live.othersCome();
    });
    await host.docker("network", "rm", "own");
  });

  it("cannot be enabled with a setting that it refuses, says why in Docker's log, and can with the right one", async () => {
    expect(await host.dockerError("plugin", "set", pluginName, "TSNET_SCOPE=local")).to.include(
      "cannot set on an active plugin, disable plugin before setting",
    );
    const isDetail = ({ level }: LogLine): boolean => level < infoLevel;
    expect(host.plugin.logged(debugLevel).some(isDetail)).to.equal(false);
    await live.undisturbed(async () => {
      await host.plugin.stop();
      expect(await host.dockerError("plugin", "set", pluginName, "TSNET_SKOPE=local")).to.include(
        'setting "TSNET_SKOPE" not found in the plugin configuration',
      );
      await set("TSNET_SCOPE=swarm");
      const startedAt = performance.now();
      expect(await host.dockerError("plugin", "enable", pluginName)).to.match(
        /dial unix .*\/tsnet\.sock: connect: no such file or directory$/,
      );
      console.log(`      enabling it fails after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
      expect(count(readFileSync(host.dockerd.logFile, "utf8"), refusal)).to.equal(1);
      expect(await isEnabled(host)).to.equal(false);
      await set("TSNET_SCOPE=", "TSNET_LOG_LEVEL=debug");
      await host.plugin.start();
      await live.othersCome();
      await host.plugin.untilLogged(debugLevel, "details", isDetail);
    });
  });

  it("is started again by Docker after a kill -9", async () => {
    const { pid } = host.plugin;
    await live.undisturbed(async () => {
      await host.plugin.kill();
      await host.plugin.start();
      expect(host.plugin.pid).to.not.equal(pid);
      await live.othersCome();
    });
  });
});

const refusal = "tsnet cannot start: TSNET_SCOPE=swarm: expected one of local, global";

const count = (text: string, part: string): number => text.split(part).length - 1;

const isEnabled = async (host: Host): Promise<boolean> =>
  (await host.dockerd.api("GET", `/plugins/${pluginName}/json`)).Enabled;

/** Lets a rule of nft have packets to the published port for a while. */
async function interfere(host: Host, verdict: string): Promise<void> {
  const chain = "add chain inet between c { type filter hook prerouting priority -300; }";
  const rule = `add rule inet between c tcp dport 7007 ${verdict}`;
  await host.exec(`nft 'add table inet between; ${chain}; ${rule}' && sleep ${interferenceMs / 1000}`);
  await host.exec("nft delete table inet between");
}
