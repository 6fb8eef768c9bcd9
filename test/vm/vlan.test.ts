import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { lanDriver, onParent } from "../support/lan.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { echoes, ping } from "../support/probe.ts";

/** The kernel's event, and what is done about it. */
const noticedMs = 5_000;

const router10 = "10.10.0.254";

describe("networks on a VLAN", () => {
  const host = useHost();
  const create = (name: string, parent: string, addresses: string, ...args: string[]) => {
    const subnet = ["--subnet", "10.10.0.0/24", "--ip-range", addresses];
    return host().docker("network", "create", ...lanDriver(), ...onParent(parent), ...subnet, ...args, name);
  };
  const run = (network: string, ...args: string[]) => Container.run(host(), { network }, ...args);
  const vlan = async (name: string) => {
    const links = await host().ip("link");
    return links.find(({ ifname }: { ifname: string }) => ifname === name);
  };
  before("the router is on VLAN 10 of the switch, and takes part in no other", () =>
    host().outside.router.sh(`
      ip link add link br0 name br0.10 type vlan id 10
      ip addr add ${router10}/24 dev br0.10
      ip link set br0.10 up`),
  );

  it("make it, share it, and the last one removes it", async () => {
    await create("first", "eth0.10", "10.10.0.32/27");
    const link = await vlan("eth0.10");
    expect(link).to.deep.include({ link: "eth0" });
    expect(link.flags).to.include("UP");
    expect(link.linkinfo.info_data).to.deep.include({ protocol: "802.1Q", id: 10 });
    await create("second", "eth0.10", "10.10.0.64/27");
    const [a, b] = [await run("first"), await run("second")];
    await ping(a, await b.ipv4("second"));
    await ping(a, router10);
    await ping(b, router10);
    await a.remove();
    await host().docker("network", "rm", "first");
    await ping(b, router10);
    await b.remove();
    await host().docker("network", "rm", "second");
    expect(await vlan("eth0.10")).to.equal(undefined);
  });

  it("leave it, if it was there before", async () => {
    await host().sh("ip link add link eth0 name eth0.10 type vlan id 10 && ip link set eth0.10 up");
    const { ifindex } = await vlan("eth0.10");
    await create("lan", "eth0.10", "10.10.0.32/27");
    const a = await run("lan");
    await ping(a, router10);
    await a.remove();
    await host().docker("network", "rm", "lan");
    expect((await vlan("eth0.10"))?.ifindex).to.equal(ifindex);
    await host().sh("ip link del eth0.10");
  });

  it("are apart from those on other VLANs of the same trunk", async () => {
    await create("ten", "eth0.10", "10.10.0.32/27");
    await create("twenty", "eth0.20", "10.10.0.64/27");
    const [a, b] = [await run("ten"), await run("twenty")];
    await ping(a, router10);
    for (const to of [await a.ipv4("ten"), router10]) expect(await echoes(b, to)).to.equal(false);
    const c = await run("twenty");
    await ping(b, await c.ipv4("twenty"));
  });

  for (const id of [1, 4094]) {
    it(`have any ID: ${id}`, async () => {
      await create("lan", `eth0.${id}`, "10.10.0.32/27");
      expect((await vlan(`eth0.${id}`)).linkinfo.info_data.id).to.equal(id);
    });
  }

  for (const [parent, words] of [
    ["eth0.0", "vlan id must be between 1-4094, received: 0"],
    ["eth0.4095", "vlan id must be between 1-4094, received: 4095"],
    ["eth0.ten", "unable to parse a valid vlan id from: ten (ex. eth0.10 for vlan 10)"],
    ["eth9.10", "-o parent interface was not found on the host: eth9"],
    ["lo.10", "lo"],
  ] as const) {
    it(`are refused on ${parent}`, async () => {
      const error = await host().dockerError("network", "create", ...lanDriver(), ...onParent(parent), "lan");
      expect(error).to.include(words).and.include(parent);
      expect(await vlan(parent)).to.equal(undefined);
    });
  }

  it("have it again after someone has deleted it, and so have their containers", async function () {
    if (driver !== "tsnet") this.skip();
    await create("lan", "eth0.10", "10.10.0.32/27");
    const a = await run("lan");
    await ping(a, router10);
    const { ifindex } = await vlan("eth0.10");
    await host().sh("ip link del eth0.10");
    await until(
      "the container has its link again",
      noticedMs,
      async () => (await a.ip("link show dev eth0")).length === 1,
    );
    expect((await vlan("eth0.10")).ifindex).to.not.equal(ifindex);
    await until("the container reaches the router", noticedMs, async () => (await echoes(a, router10)) || undefined);
  });
});
