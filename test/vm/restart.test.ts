import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { hostSubnet, lanDriver, onParent } from "../support/lan.ts";
import { router } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { ping } from "../support/probe.ts";

/** Docker starts the containers one after another. */
const startedMs = 30_000;

describe("links that tsnet makes for networks, and a parent for ipvlan", () => {
  const host = useHost();
  const links = async (): Promise<string[]> => {
    const found: { ifname: string; operstate: string }[] = await host().ip("link");
    return found.map(({ ifname }) => ifname).filter((name) => /^(eth0\.10|tsp-.*)$/.test(name));
  };

  it("outlive restarts of the plugin and of the machine", async () => {
    const create = (...args: string[]) => host().docker("network", "create", ...args);
    await create(...lanDriver("macvlan"), ...onParent("eth0.10"), "--subnet", "10.10.0.0/24", "vlan");
    const island = await create(...lanDriver("macvlan"), "--subnet", "10.99.0.0/24", "island");
    await create(...lanDriver("ipvlan"), ...onParent("eth0"), ...hostSubnet(), "flat");
    const run = (network: string) => Container.run(host(), { network }, "--restart", "always");
    const [onVlan, neighbor, onIsland, castaway, flat] = [
      ...[await run("vlan"), await run("vlan"), await run("island"), await run("island")],
      await run("flat"),
    ] as const;
    const all = [onVlan, neighbor, onIsland, castaway, flat];
    const expectReachable = async (): Promise<void> => {
      await ping(onVlan, await neighbor.ipv4("vlan"));
      await ping(onIsland, await castaway.ipv4("island"));
      await ping(flat, router.ipv4);
    };
    const own = driver === "tsnet" ? ["eth0.10", `tsp-${island.slice(0, 11)}`] : ["eth0.10"];
    expect((await links()).toSorted()).to.deep.equal(own);
    if (driver === "tsnet") await host().plugin.restart();
    await expectReachable();
    await host().reboot();
    expect(await links()).to.deep.equal([]);
    if (driver === "tsnet") await host().plugin.start();
    await host().dockerd.start();
    for (const one of all) {
      await until("the container runs", startedMs, async () => (await one.inspect()).State.Running === true);
    }
    expect((await links()).toSorted()).to.deep.equal(own);
    await expectReachable();
  });
});
