import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { everything, reachable, reached } from "../support/probe.ts";

describe("networks of tsnet and of Docker on one host", () => {
  const host = useHost();

  it("are kept apart in both directions, for tcp, udp and icmp, in both families", async () => {
    const subnets = (n: number) => ["--ipv6", "--subnet", `10.73.${n}.0/24`, "--subnet", `fd00:73:${n}::/64`];
    await host().docker("network", "create", "-d", driver, ...subnets(1), "ours1");
    await host().docker("network", "create", "-d", driver, ...subnets(2), "ours2");
    await host().docker("network", "create", "-d", "bridge", ...subnets(3), "dockers");
    const networks = ["ours1", "ours2", "dockers", "bridge"];
    const containers = await Promise.all(networks.map((network) => Container.run(host(), { network, serve: true })));
    const addresses = await Promise.all(containers.map((container, n) => addressesOf(container, networks[n] ?? "")));

    const seen: string[] = [];
    for (const [from, client] of containers.entries()) {
      const targets = addresses.flatMap((list, to) => (concernsTsnet(from, to) ? list : []));
      const results = await Promise.all(
        targets.map(async (target) => [target, await reachable(client, target)] as const),
      );
      seen.push(
        ...results.filter(([, got]) => got.length > 0).map(([target, got]) => `${networks[from]} to ${target}: ${got}`),
      );
    }
    expect(seen).to.deep.equal([]);
  });

  const ownName = ["-o", "com.docker.network.bridge.name=mydocker"];

  it("are kept apart where Docker's bridge has a name of the user's, made before tsnet's network", async () => {
    await host().docker("network", "create", "-d", "bridge", ...ownName, "dockers");
    await host().docker("network", "create", "-d", driver, "ours");
    await expectApart("ours", "dockers");
  });

  it("are kept apart where Docker's bridge has a name of the user's, made after tsnet's network, until it goes", async () => {
    await host().docker("network", "create", "-d", driver, "ours");
    await host().docker("network", "create", "-d", "bridge", ...ownName, "dockers");
    const containers = await expectApart("ours", "dockers");
    await host().plugin.restart();
    expect(await dockerLinks()).to.include("mydocker");
    for (const container of containers) await container.remove();
    await host().docker("network", "rm", "dockers");
    await until("the bridge is forgotten", 5_000, async () => !(await dockerLinks()).includes("mydocker"));
  });

  it("know the bridge of an internal network of Docker's, from where no answer would come, by a name of the user's", async () => {
    await host().docker("network", "create", "-d", "bridge", "--internal", ...ownName, "dockers");
    await until("the bridge is known", 5_000, async () => (await dockerLinks()).includes("mydocker"));
    await host().docker("network", "rm", "dockers");
    await until("the bridge is forgotten", 5_000, async () => !(await dockerLinks()).includes("mydocker"));
  });

  async function expectApart(...networks: [string, string]): Promise<Container[]> {
    const run = (network: string) => Container.run(host(), { network, serve: true });
    const [a, b] = await Promise.all([run(networks[0]), run(networks[1])]);
    expect(await reachable(a, await b.ipv4(networks[1]))).to.deep.equal([]);
    expect(await reachable(b, await a.ipv4(networks[0]))).to.deep.equal([]);
    return [a, b];
  }

  async function dockerLinks(): Promise<string[]> {
    const objects = await host().nft("list set inet tsnet docker_links");
    return objects.flatMap((object) => object.set?.elem ?? []);
  }

  it("stay apart when a network is made after the others, and when Docker restarts", async () => {
    await host().docker("network", "create", "-d", driver, "early");
    const a = await Container.run(host(), { network: "early", serve: true }, "--restart", "always");
    await host().docker("network", "create", "-d", "bridge", "late");
    const b = await Container.run(host(), { network: "late", serve: true }, "--restart", "always");
    const c = await Container.run(host(), { network: "early" }, "--restart", "always");
    const check = async () => {
      expect(await reachable(b, await a.ipv4("early"))).to.deep.equal([]);
      expect(await reachable(a, await b.ipv4("late"))).to.deep.equal([]);
      expect(await reached(c, await a.ipv4("early"))).to.deep.equal(everything);
    };
    await check();
    await host().dockerd.restart();
    await Promise.all([a.listens(), b.listens()]);
    await check();
  });
});

/** Pairs between Docker's own networks are Docker's affair. */
const concernsTsnet = (from: number, to: number): boolean => from !== to && (from < 2 || to < 2);

async function addressesOf(container: Container, network: string): Promise<string[]> {
  return [await container.ipv4(network), await container.ipv6(network)].filter(Boolean);
}
