import { expect } from "chai";
import { Container } from "../support/container.ts";
import { expectNothingLeft, useHost } from "../support/docker-suite.ts";
import { answersToArp, createWithAccess, hasLink, hasTable, repairMs } from "../support/host-access.ts";
import { image } from "../support/image.ts";
import { hostSubnet6, Stranger } from "../support/lan.ts";
import { hostNetwork } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { everything, ping, reached } from "../support/probe.ts";

const address = "192.168.77.250";
const address6 = "fd00:77::250";
const withAddress = (...addresses: string[]): string[] => ["-o", `tsnet.host_address=${addresses.join(",")}`];

/** Until the state is restored, after it listens. */
const restoredMs = 5_000;

describe("the host's own address in a network with host access", () => {
  const host = useHost();
  const run = (...args: string[]) => Container.run(host(), { network: "lan", serve: true }, ...args);
  const refusal = (...args: string[]) =>
    createWithAccess(host(), "macvlan", "lan", ...args).then(
      () => "",
      (error: Error) => error.message,
    );
  const addressesOf = async (link: string): Promise<string[]> =>
    (await host().ip(`addr show dev ${link}`))[0].addr_info.map(
      (one: { local: string; prefixlen: number }) => `${one.local}/${one.prefixlen}`,
    );

  it("is on the shim alone, and containers reach it, and others on the LAN, in both families", async () => {
    const shim = await createWithAccess(host(), "macvlan", "lan", ...hostSubnet6(), ...withAddress(address, address6));
    expect(await addressesOf(shim)).to.deep.equal([`${address}/32`, `${address6}/128`]);
    const a = await run();
    for (const own of [address, address6]) {
      await ping(a, own);
      await ping(host().outside.router, own);
    }
    expect(await reached(host(), await a.ipv4("lan"))).to.deep.equal(everything);
    expect(await reached(host(), await a.ipv6("lan"))).to.deep.equal(everything);
    await ping(a, host().ipv4);
    const routes = await host().ip(`route show ${await a.ipv4("lan")}`);
    expect(routes).to.have.length(1);
    expect(routes[0]).to.deep.include({ dev: shim, prefsrc: address });
    const lan = await host().ip("route show 192.168.77.0/24");
    expect(lan.map(({ dev }: { dev: string }) => dev)).to.deep.equal(["eth0"]);
  });

  it("is answered for by the shim alone, also where links answer for their own addresses only", async () => {
    const shim = await createWithAccess(host(), "macvlan", "lan", ...withAddress(address));
    const a = await run();
    const [{ address: mac }] = await host().ip(`link show dev ${shim}`);
    await using stranger = await Stranger.connect(host().outside, 99);
    for (const [ignore, filter] of [
      ["0", "0"],
      ["1", "1"],
    ]) {
      await host().sh(`sysctl -qw net.ipv4.conf.all.arp_ignore=${ignore} net.ipv4.conf.all.rp_filter=${filter}`);
      expect(new Set(await answersToArp(stranger, "eth0", address))).to.deep.equal(new Set([mac]));
      await stranger.exec("ip neigh flush all");
      await ping(stranger, address);
      await a.exec("ip neigh flush all");
      await ping(a, address);
      await ping(host(), await a.ipv4("lan"));
    }
    await host().sh("sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.all.rp_filter=0");
  });

  it("is held in tsnet's IPAM, and no container gets it", async () => {
    const ipam = ["--ipam-driver", "tsnet", ...withAddress(address)];
    await createWithAccess(host(), "macvlan", "lan", ...ipam);
    const roles = [...host().records("lease").values()].filter((lease) => lease.address === address);
    expect(roles.map(({ role }) => role)).to.deep.equal(["host"]);
    const error = await host().dockerError("run", "-d", "--network", "lan", "--ip", address, image);
    expect(error).to.include(`${address} is held by the host itself`);
    await host().docker("network", "rm", "lan");
    expect(host().records("lease").size).to.equal(0);
  });

  it("is refused to containers where Docker's IPAM gives the addresses", async () => {
    await createWithAccess(host(), "macvlan", "lan", ...withAddress(address));
    const error = await host().dockerError("run", "-d", "--network", "lan", "--ip", address, image);
    expect(error).to.include("tsnet.host_address").and.to.include(address);
  });

  it("may be kept from containers by --aux-address", async () => {
    for (const ipam of [[], ["--ipam-driver", "tsnet"]]) {
      const shim = await createWithAccess(
        host(),
        "macvlan",
        "lan",
        ...ipam,
        "--aux-address",
        `host=${address}`,
        ...withAddress(address),
      );
      expect(await addressesOf(shim)).to.deep.equal([`${address}/32`]);
      await host().docker("network", "rm", "lan");
    }
  });

  it("cannot be one that somebody has: a stranger, the host, a container; then nothing is left", async () => {
    await using stranger = await Stranger.connect(host().outside, 99);
    const strangers = hostNetwork.ipv4(99);
    expect(await refusal(...withAddress(strangers))).to.include(
      `tsnet.host_address=${strangers}: ${stranger.mac} has it on eth0`,
    );
    await expectNothingLeft(host());
    expect(await hasTable(host())).to.equal(false);
    expect(await refusal(...withAddress(host().ipv4))).to.include("the host has it already");
    await expectNothingLeft(host());
    await createWithAccess(host(), "macvlan", "first");
    await Container.run(host(), { network: "first" }, "--ip", "192.168.77.50");
    const options = [
      "-o",
      "tsnet.duplicate_check=false",
      ...withAddress("192.168.77.50"),
      "--ip-range",
      "192.168.77.128/27",
    ];
    const range = [
      "-d",
      "tsnet",
      "-o",
      "mode=macvlan",
      "-o",
      "parent=eth0",
      "-o",
      "tsnet.host_access=true",
      "--subnet",
      "192.168.77.0/24",
    ];
    const error = await host().dockerError("network", "create", ...range, ...options, "lan");
    expect(error).to.match(/tsnet\.host_address=192\.168\.77\.50: endpoint [0-9a-f]+ of network [0-9a-f]+ has it/);
    expect(
      (await host().ip("link")).filter(({ ifname }: { ifname: string }) => ifname.startsWith("tsh-")),
    ).to.have.length(1);
  });

  it("is back after a reboot, and when it is taken away", async () => {
    const shim = await createWithAccess(host(), "macvlan", "lan", ...hostSubnet6(), ...withAddress(address, address6));
    for (const own of [`${address}/32`, `${address6}/128`]) {
      await host().sh(`ip addr del ${own} dev ${shim}`);
      await until(`${own} is back`, repairMs, async () => (await addressesOf(shim)).includes(own));
    }
    await host().plugin.kill();
    await host().reboot();
    await host().plugin.start();
    await host().dockerd.start([]);
    const wanted = [`${address}/32`, `${address6}/128`];
    await until("it has its addresses", restoredMs, async () => {
      return (await hasLink(host(), shim)) && `${(await addressesOf(shim)).toSorted()}` === `${wanted.toSorted()}`;
    });
  });
});
