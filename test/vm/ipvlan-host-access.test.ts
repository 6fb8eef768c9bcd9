import { expect } from "chai";
import { useCommonHost } from "../support/common-host.ts";
import { Container } from "../support/container.ts";
import { createWithAccess, expectBothWays, hasLink, hasTable, wayTo } from "../support/host-access.ts";
import { hostSubnet6 } from "../support/lan.ts";
import { hostNetwork, router } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { echoes, ping } from "../support/probe.ts";

const own = hostNetwork.ipv4(1);
const address = "192.168.77.250";
const address6 = "fd00:77::250";

describe("host access to networks of mode ipvlan", () => {
  const host = useCommonHost();
  const run = (...args: string[]) => Container.run(host(), { network: "lan", serve: true }, ...args);

  it("works both ways, and goes with the container and the network", async () => {
    const shim = await createWithAccess(host(), "ipvlan", "lan");
    const [{ linkinfo, address: mac }] = await host().ip(`link show dev ${shim}`);
    expect([linkinfo.info_kind, linkinfo.info_data.mode]).to.deep.equal(["ipvlan", "l2"]);
    const a = await run("--ip", "192.168.77.40");
    await expectBothWays(host(), a);
    await ping(a, router.ipv4);
    await ping(host().outside.router, "192.168.77.40");
    const way = [`route ${shim} ${own}`, `neighbor ${shim} ${mac}`, "element"];
    expect(await wayTo(host(), "192.168.77.40")).to.deep.equal(way);
    await host().sh(`ip link del ${shim}`);
    await until("all is back", 1000, async () => `${await wayTo(host(), "192.168.77.40")}` === `${way}`);
    await expectBothWays(host(), a);
    await a.remove();
    expect(await wayTo(host(), "192.168.77.40")).to.deep.equal([]);
    await host().docker("network", "rm", "lan");
    expect([await hasLink(host(), shim), await hasTable(host())]).to.deep.equal([false, false]);
  });

  it("has an address of its own, in both families, which others on the LAN reach", async () => {
    const both = ["-o", `tsnet.host_address=${address},${address6}`];
    await createWithAccess(host(), "ipvlan", "lan", ...hostSubnet6(), ...both);
    const a = await run();
    for (const one of [address, address6]) {
      await ping(a, one);
      await ping(host().outside.router, one);
    }
    await ping(host(), await a.ipv4("lan"));
    await ping(host(), await a.ipv6("lan"));
    await ping(a, own);
    const taken = await host().dockerError(
      "network",
      "create",
      "-d",
      "tsnet",
      "-o",
      "mode=ipvlan",
      "-o",
      "parent=eth0",
      "x",
    );
    expect(taken).to.include("is already using parent interface eth0");
  });

  it("of a strict parent (rp_filter=1) reaches the host at its own address in the network", async () => {
    await createWithAccess(host(), "ipvlan", "lan", "-o", `tsnet.host_address=${address}`);
    const a = await run();
    await host().sh("sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1");
    try {
      await ping(a, address);
      await ping(host(), await a.ipv4("lan"));
      expect(await echoes(a, own), "what comes in by the parent has its way back by the shim").to.equal(false);
    } finally {
      await host().sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0");
    }
  });

  it("is possible in mode l2 with the flag bridge only", async () => {
    for (const other of ["ipvlan_mode=l3", "ipvlan_mode=l3s", "ipvlan_flag=private", "ipvlan_flag=vepa"]) {
      const refused = await createWithAccess(host(), "ipvlan", "lan", "-o", other).catch(
        (error: Error) => error.message,
      );
      expect(refused).to.include("tsnet.host_access=true is not possible with").and.to.include(other);
    }
  });
});
