/** The managed plugin under its two names: `-d tsnet`, and the name that it is installed under. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { client } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask, ping } from "../support/probe.ts";
import { installAs } from "../support/refusals.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** How long tsnet may take to have asked Docker again after a restart of dockerd. */
const askedMs = 15_000;

const names = ["tsnet", pluginName];

/** Each name for networks with each for addresses. */
const pairs = names.flatMap((driver) => names.map((ipam) => ({ driver, ipam })));

describe("the managed plugin's two names", () => {
  const host = useHost();
  /** Runs the command tsnet on the host, which prints JSON. */
  const tsnet = async (words: string) =>
    JSON.parse(await host().sh(`DOCKER_HOST=unix://${host().socket} ${program} ${words} --json || [ $? = 1 ]`));
  const create = (network: string, driver: string, ipam: string, ...args: string[]) =>
    host().docker("network", "create", "-d", driver, "--ipam-driver", ipam, ...args, network);
  const createAll = () => Promise.all(pairs.map(({ driver, ipam }, n) => create(`n${n}`, driver, ipam)));
  const networks = pairs.map((_, n) => `n${n}`);
  const portOf = (network: string): number => 8080 + networks.indexOf(network);
  const serve = (network: string, ...args: string[]) =>
    Container.run(host(), { network, serve: true }, "-p", `${portOf(network)}:80`, ...args);
  const published = (network: string) => ask(host().outside.client, "tcp", host().ipv4, portOf(network));
  const expectAgreement = () =>
    until("addresses agree", askedMs, async () => (await tsnet("ipam check")).findings.length === 0);
  /** All addresses that Docker has for these containers. */
  const addressesOf = async (containers: readonly Container[]): Promise<string[]> => {
    const ends = await Promise.all(
      containers.map(async (one) => Object.values((await one.inspect()).NetworkSettings.Networks) as Ends),
    );
    return ends.flat().map(({ IPAddress }) => IPAddress);
  };
  type Ends = { readonly IPAddress: string }[];
  /** The addresses of containers that tsnet has given out. */
  const held = () =>
    [...host().records("lease").values()].filter(({ role }) => role === "endpoint").map(({ address }) => address);

  it("make networks that are alike: addresses, published ports, a container on all of them, and what tsnet tells", async () => {
    await createAll();
    const servers = await Promise.all(networks.map((network) => serve(network)));
    const all = await Container.run(host(), { network: "n0" });
    for (const network of networks.slice(1)) await host().docker("network", "connect", network, all.id);
    for (const [n, network] of networks.entries()) {
      const server = servers[n] as Container;
      expect(await published(network)).to.equal(client.ipv4);
      expect(await ask(all, "tcp", await server.ipv4(network))).to.equal(await all.ipv4(network));
      await ping(server, await all.ipv4(network));
    }
    const shown: { name: string }[] = (await tsnet("networks")).networks;
    expect(shown.map(({ name }) => name)).to.deep.equal(networks);
    const pools: { networkName: string }[] = (await tsnet("ipam")).pools;
    expect(pools.map(({ networkName }) => networkName).toSorted()).to.deep.equal(networks);
    expect(held().toSorted()).to.deep.equal((await addressesOf([...servers, all])).toSorted());
    await expectAgreement();

    for (const network of ["n2", "n0", "n3", "n1"]) {
      await host().docker("network", "disconnect", "-f", network, all.id);
      await servers[networks.indexOf(network)]?.remove();
      await host().docker("network", "rm", network);
      const left: { name: string }[] = (await tsnet("networks")).networks;
      expect(left.map(({ name }) => name)).to.not.include(network);
    }
    expect(held()).to.deep.equal([]);
  });

  const events: [what: string, happen: () => Promise<unknown>][] = [
    ["after a restart of dockerd", () => host().dockerd.restart()],
    [
      "after dockerd was killed",
      async () => {
        await host().dockerd.kill();
        await host().dockerd.start();
      },
    ],
    ["after the plugin was disabled and enabled", () => host().plugin.restart()],
  ];
  for (const [what, happen] of events)
    it(`go on as before ${what}: addresses that are held stay held, and new ones are free`, async () => {
      await createAll();
      const servers = await Promise.all(networks.map((network) => serve(network, "--restart", "always")));
      const both = await Container.run(host(), { network: "n0" }, "--restart", "always");
      await host().docker("network", "connect", "n3", both.id);
      await happen();
      for (const server of servers) await server.listens();
      await until("both runs", askedMs, async () => (await both.inspect()).State.Running);
      const added = await Promise.all(networks.map((network) => Container.run(host(), { network })));
      const addresses = await addressesOf([...servers, both, ...added]);
      expect(new Set(addresses).size).to.equal(2 * networks.length + 2);
      expect(held().toSorted()).to.deep.equal(addresses.toSorted());
      for (const [n, network] of networks.entries()) {
        expect(await published(network)).to.equal(client.ipv4);
        await ping(added[n] as Container, await (servers[n] as Container).ipv4(network));
      }
      for (const name of names) expect(await refusal(name, name, await subnetOf("n1"))).to.include("overlaps");
      await expectAgreement();
    });

  const subnetOf = async (network: string): Promise<string> =>
    (await host().dockerd.api("GET", `/networks/${network}`)).IPAM.Config[0].Subnet;
  const refusal = (driver: string, ipam: string, subnet: string): Promise<string> =>
    host().dockerError("network", "create", "-d", driver, "--ipam-driver", ipam, "--subnet", subnet, "refused");

  for (const { driver, ipam } of pairs)
    it(`refuse a subnet that another network has: -d ${driver} --ipam-driver ${ipam}`, async () => {
      const id = await create("first", driver, ipam, "--subnet", "10.61.0.0/24");
      for (const other of pairs)
        expect(await refusal(other.driver, other.ipam, "10.61.0.0/25"))
          .to.include("10.61.0.0/24")
          .and.include("10.61.0.0/25");
      // with Docker's own addresses it is the network that is refused
      for (const name of names)
        expect(await refusal(name, "default", "10.61.0.0/25"))
          .to.include("10.61.0.0/24")
          .and.include(id.slice(0, 12));
      const server = await Container.run(host(), { network: "first", serve: true });
      expect(held()).to.deep.equal([await server.ipv4("first")]);
    });
});

describe("a managed plugin that is installed as tsnet", () => {
  let host: Host;
  const warning = () => host.plugin.logged(40).filter(({ msg }) => msg.includes("-d tsnet"));
  before("beside one that is installed as tsnet-plugin", async () => {
    host = await Host.start([], { packaging: "managed" });
    await host.plugin.stop();
    await installAs(host, "tsnet");
  });
  after(() => host[Symbol.asyncDispose]());

  it("keeps the other one, which is enabled, from its short name; the log of that says so", async () => {
    await host.plugin.start();
    await until("it warns", askedMs, () => warning().length > 0);
    expect(warning()).to.have.length(1);
    expect(warning()[0]?.msg).to.match(/^another plugin is installed as tsnet:latest: "-d tsnet" .* will not work/);
    expect(await host.dockerError("network", "create", "-d", "tsnet", "x")).to.match(/tsnet.* disabled/);
    await host.docker("network", "create", "-d", pluginName, "x");
    await host.docker("network", "rm", "x");
    await host.plugin.stop();
  });

  it("says once at each start what does not work and what does, which is so", async () => {
    const before = warning().length;
    await host.docker("plugin", "enable", "tsnet");
    await until("it warns", askedMs, () => warning().length > before);
    expect(warning()).to.have.length(before + 1);
    expect(warning().at(-1)?.msg)
      .to.match(/^this plugin is installed as tsnet:latest: "-d tsnet" and "--ipam-driver tsnet" will not work/)
      .and.include('use "-d tsnet:latest" and "--ipam-driver tsnet:latest"')
      .and.include("--alias tsnet-plugin");
    expect(await host.dockerError("network", "create", "-d", "tsnet", "x")).to.include(
      "could not resolve driver tsnet",
    );
    expect(await host.dockerError("network", "create", "--ipam-driver", "tsnet", "x")).to.include("tsnet");
    await host.docker("network", "create", "-d", "tsnet:latest", "--ipam-driver", "tsnet:latest", "x");
    expect(await host.docker("run", "--rm", "--network", "x", image, "hostname", "-i")).to.match(/^\d+\.\d+/);
    await host.docker("network", "rm", "x");

    await host.docker("plugin", "disable", "tsnet");
    await host.docker("plugin", "enable", "tsnet");
    await until("it warns again", askedMs, () => warning().length > before + 1);
    expect(warning()).to.have.length(before + 2);
  });
});
