/** Overlay networks on one host, whose peer nobody is: what of them is not between hosts. test/lab has the rest. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { namespacesOf, overlay } from "../support/lab.ts";
import { LiveTraffic } from "../support/live-traffic.ts";
import { client } from "../support/outside.ts";
import { packaging } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { ask, everything, ping, reached } from "../support/probe.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** An address of the hosts' network that no host has. */
const nobody = "192.168.77.200";

const repairedMs = 1_000;
const comparedMs = 35_000;
const restoredMs = 5_000;
const always = ["--restart", "always"];
const dual = ["--ipv6", "--subnet", "10.5.0.0/24", "--subnet", "fd00:5::/64"];

describe("an overlay network on one host", () => {
  const host = useHost([], { settings: { TSNET_PEERS: nobody } });
  const create = (...words: string[]) => host().docker("network", "create", ...overlay, ...words, "mesh");
  const outside = () => host().outside.client;

  /** The only namespace of an overlay network. */
  async function namespace(): Promise<string> {
    const names = await namespacesOf(host());
    expect(names).to.have.lengthOf(1);
    return names[0] ?? "";
  }
  /** The links in it, and the gateway's, by name and index: another index is another link. */
  async function links(): Promise<string[]> {
    const inside = JSON.parse(await host().sh(`ip -n ${await namespace()} -j link`));
    const all: { ifname: string; ifindex: number }[] = [...inside, ...(await host().ip("link"))];
    return all.filter(({ ifname }) => /^ts[a-z]-/.test(ifname)).map(({ ifname, ifindex }) => `${ifname} ${ifindex}`);
  }
  /** From outside to the server's port, between the two, and out. */
  async function everythingWorks(server: Container, neighbor: Container): Promise<void> {
    const address = await server.ipv4("mesh");
    expect(await ask(outside(), "tcp", host().ipv4, 7007 + 1)).to.equal(client.ipv4);
    expect(await reached(neighbor, address)).to.deep.equal(everything);
    expect(await reached(neighbor, await server.ipv6("mesh"))).to.deep.equal(everything);
    await ping(neighbor, client.ipv4);
    await ping(neighbor, client.ipv6);
  }
  const servers = async (...words: string[]): Promise<[Container, Container]> => [
    await Container.run(host(), { network: "mesh", serve: true }, "-p", `${7007 + 1}:80`, ...words),
    await Container.run(host(), { network: "mesh" }, ...words),
  ];

  it("is in the kernel from its first container to its last", async () => {
    await create(...dual);
    expect(await namespacesOf(host())).to.deep.equal([]);
    const [server, neighbor] = await servers();
    await everythingWorks(server, neighbor);
    const roles = (await links()).map((link) => link.slice(0, 3)).sort();
    expect(roles).to.deep.equal(["tsb", "tsg", "tsu", "tsv", "tsv", "tsx"]);
    await neighbor.remove();
    await server.remove();
    expect(await namespacesOf(host())).to.deep.equal([]);
    await everythingWorks(...(await servers()));
  });

  it("has one link and one default route in a container, and the gateway's address is nobody else's", async () => {
    await create(...dual);
    const [server, neighbor] = await servers();
    const found: { ifname: string }[] = await server.ip("link");
    expect(found.map(({ ifname }) => ifname)).to.deep.equal(["lo", "eth0"]);
    expect(await neighbor.ip("route show default")).to.have.lengthOf(1);
    const [gateway] = await host().ip(`addr show to 10.5.0.1`);
    expect(gateway.ifname).to.match(/^tsg-/);
  });

  it("is shown by the command, with what goes by it", async () => {
    const tsnet = (words: string) => host().sh(`DOCKER_HOST=unix://${host().socket} ${program} ${words} --json`);
    await create("--subnet", "10.5.0.0/24");
    await servers();
    const { networks } = JSON.parse(await tsnet("networks"));
    const parent = await namespace();
    const [{ linkinfo }] = JSON.parse(await host().sh(`ip -n ${parent} -j -d link show tsx-${parent.slice(6)}`));
    const mtuBytes = 1450;
    expect(networks[0]).to.deep.include({ name: "mesh", parent, vni: linkinfo.info_data.id, mtuBytes, state: "up" });
    const { endpoints } = JSON.parse(await tsnet("endpoints mesh"));
    expect(endpoints.map(({ state, link }: Record<string, string>) => [state, link])).to.deep.equal([
      ["up", "eth0"],
      ["up", "eth0"],
    ]);
    expect(await ask(outside(), "tcp", host().ipv4, 7007 + 1)).to.equal(client.ipv4);
    const { ports } = JSON.parse(await tsnet("ports"));
    expect(ports[0]).to.deep.include({ networkName: "mesh", connections: 1 });
    const { answers } = JSON.parse(await tsnet("firewall explain 7008"));
    expect(answers[0].verdict).to.deep.equal({ result: "reaches", why: "the container, at 10.5.0.2:80" });
  });

  it("that is internal has no way out, and its containers reach each other", async () => {
    await create("--internal", ...dual);
    const [server, neighbor] = await Promise.all([
      Container.run(host(), { network: "mesh", serve: true }),
      Container.run(host(), { network: "mesh" }),
    ]);
    expect(await reached(neighbor, await server.ipv4("mesh"))).to.deep.equal(everything);
    expect(await neighbor.ip("route show default")).to.deep.equal([]);
    expect(await ping(neighbor, client.ipv4).catch(() => "none")).to.equal("none");
    expect((await links()).filter((link) => /^ts[gu]/.test(link))).to.deep.equal([]);
  });

  it("is not touched by a restart of the plugin, nor by its death", async () => {
    await create();
    const live = await LiveTraffic.start(host(), "mesh");
    const before = await links();
    for (const end of [() => host().plugin.stop(), () => host().plugin.kill()]) {
      await live.undisturbed(async () => {
        await end();
        await host().plugin.start();
        await live.othersCome();
      });
      expect(await links()).to.include.members(before);
    }
  });

  it("comes back with dockerd's containers", async () => {
    await create(...dual);
    const [server, neighbor] = await servers(...always);
    await host().dockerd.restart();
    await server.listens();
    await everythingWorks(server, neighbor);
    await host().dockerd.kill();
    await host().dockerd.start();
    await server.listens();
    await everythingWorks(server, neighbor);
    // of the containers that died with dockerd
    await until("dead links are gone", comparedMs, async () => (await links()).length === 6);
  });

  it("outlives dockerd with its containers, with --live-restore", async () => {
    await host().dockerd.stop();
    await host().dockerd.start(["--live-restore"]);
    await create();
    const live = await LiveTraffic.start(host(), "mesh");
    const before = await links();
    await live.undisturbed(async () => {
      await host().dockerd.kill();
      await host().dockerd.start();
      if (packaging === "socket") await host().plugin.restart();
      await live.othersCome();
    });
    expect(await links()).to.include.members(before);
    await host().dockerd.stop();
    await host().dockerd.start([]);
  });

  it("is made anew after a reboot, with its containers", async () => {
    await create(...dual);
    const [server, neighbor] = await servers(...always);
    await host().reboot();
    await host().plugin.start();
    await host().dockerd.start([]);
    await server.listens();
    await until("it works again", restoredMs, () => everythingWorks(server, neighbor).then(() => true));
    expect(await links()).to.have.lengthOf(6);
  });

  const damages: [what: string, script: (namespace: string) => string][] = [
    ["the VXLAN link", (name) => `ip -n ${name} link del tsx-${name.slice(6)}`],
    ["the bridge", (name) => `ip -n ${name} link del tsb-${name.slice(6)}`],
    ["the gateway", (name) => `ip link del tsg-${name.slice(6)}`],
    ["the gateway's address", (name) => `ip addr flush dev tsg-${name.slice(6)}`],
    ["the gateway's route", (name) => `ip route del 10.5.0.0/24 dev tsg-${name.slice(6)}`],
  ];
  for (const [what, script] of damages) {
    it(`has ${what} again within a second after somebody removed it`, async () => {
      await create(...dual);
      const [server, neighbor] = await servers();
      const gateway = `tsg-${(await namespace()).slice(6)}`;
      const shown = async (): Promise<string> => {
        const names = (await links()).map((link) => link.replace(/ .*/, ""));
        const addresses = await host().sh(`ip -o addr show dev ${gateway} | awk '{ print $4 }'`);
        return [...names.sort(), addresses, await host().sh(`ip route show dev ${gateway}`)].join();
      };
      const before = await shown();
      await host().sh(script(await namespace()));
      await until("it is mended", repairedMs, async () => (await shown()) === before);
      await until("it works again", restoredMs, () => everythingWorks(server, neighbor).then(() => true));
      await host().plugin.untilLogged(40, "what was repaired", ({ kind }) => kind === "overlays");
    });
  }

  it("is pinned again after somebody has deleted its namespace", async () => {
    await create(...dual);
    const [server, neighbor] = await servers();
    const name = await namespace();
    const pinned = await host().sh(`stat -fc %T /run/netns/${name}`);
    expect(pinned.trim()).to.equal("nsfs");
    await host().sh(`ip netns delete ${name}`);
    await until("it is pinned", comparedMs, async () => {
      const type = await host().sh(`stat -fc %T /run/netns/${name} || true`);
      return type.trim() === "nsfs";
    });
    await everythingWorks(server, neighbor);
    await host().plugin.restart();
    await everythingWorks(server, neighbor);
  });
});
