/** TSNET_SCOPE=local: `--scope swarm --config-from`, for each mode. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { onParent } from "../support/lan.ts";
import { client } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask, everything, reached } from "../support/probe.ts";
import { globalDriver } from "../support/swarm-lab.ts";
import { addressesOf, appears } from "../support/swarm-lab-names.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const settleMs = 10_000;

describe("networks of a swarm with options of each node, TSNET_SCOPE=local", () => {
  const lab = useSwarm({ isStatic: true, settings: { TSNET_SCOPE: "local" } });

  /** Makes the options on each host, and then the network on the manager. */
  async function network(name: string, options: (number: number) => readonly string[]): Promise<void> {
    await lab().each(({ docker, number }) =>
      docker("network", "create", "--config-only", ...options(number), `${name}-config`),
    );
    const words = ["--scope", "swarm", "--config-from", `${name}-config`, "--attachable"];
    await lab().docker("network", "create", ...globalDriver, ...words, name);
  }

  /** Subnet, gateway, and what each host gives out by itself. */
  const ranges = (subnet: string, gateway: string) => (number: number) => [
    ...["--subnet", `${subnet}.0/24`, "--gateway", gateway, "--ip-range", `${subnet}.${64 * number}/26`],
  ];

  it("of mode bridge: each node has its own, publishes ports, and knows the names of all", async () => {
    await network("web", (number) => ["--subnet", `10.20.${number}.0/24`]);
    const publish = ["--publish", "mode=host,published=8080,target=80"];
    const service = await lab().service("web", "--network", "web", "--mode", "global", ...publish);
    const tasks = await service.serving(3);
    const addresses = await addressesOf(tasks, "web");
    expect(addresses.map((address) => address.replace(/\.\d+$/, "")).sort()).to.deep.equal([
      "10.20.1",
      "10.20.2",
      "10.20.3",
    ]);
    for (const task of tasks) {
      expect(await ask(lab().outside.client, "tcp", task.host.ipv4, 8080)).to.equal(client.ipv4);
      await appears(task, "web", addresses);
      const neighbor = await Container.run(task.host, { network: "web" });
      expect(await reached(neighbor, await task.ipv4("web"))).to.deep.equal(everything);
      await neighbor.remove();
    }
    expect(await service.vipNow("web")).to.equal(undefined);
  });

  it("of mode macvlan: tasks are on the hosts' own network, and reach each other", async () => {
    const mode = ["-o", "mode=macvlan", ...onParent("eth0")];
    await network("lan", (number) => [...mode, ...ranges("192.168.77", "192.168.77.254")(number)]);
    const service = await lab().service("web", "--network", "lan", "--mode", "global");
    const tasks = await service.serving(3);
    const addresses = await addressesOf(tasks, "lan");
    expect(new Set(addresses).size).to.equal(3);
    for (const task of tasks) {
      await appears(task, "web", addresses);
      for (const address of addresses) expect(await reached(task, address)).to.deep.equal(everything);
    }
    for (const address of addresses) expect(await ask(lab().outside.client, "tcp", address)).to.equal(client.ipv4);
  });

  it("of mode overlay: tasks reach each other over all nodes", async () => {
    await network("mesh", (number) => ["-o", "mode=overlay", ...ranges("10.5.0", "10.5.0.1")(number)]);
    const service = await lab().service("web", "--network", "mesh", "--mode", "global");
    const tasks = await service.serving(3);
    const addresses = await addressesOf(tasks, "mesh");
    expect(new Set(addresses).size).to.equal(3);
    const plain = await Container.run(lab().host(2), { network: "mesh" });
    for (const from of [...tasks, plain]) {
      await appears(from, "web", addresses);
      for (const address of addresses) {
        await until(
          `${address} answers`,
          settleMs,
          async () => (await reached(from, address)).length === everything.length,
        );
      }
    }
  });

  it("of mode ipvlan: where the kernel lacks it, the task says so", async () => {
    const { code } = await lab().host(1).exec("ip link add name probe link eth0 type ipvlan && ip link del probe");
    await network("lan", (number) => [
      "-o",
      "mode=ipvlan",
      ...onParent("eth0"),
      ...ranges("192.168.77", "192.168.77.254")(number),
    ]);
    const service = await lab().service("web", "--network", "lan", "--mode", "global");
    if (code !== 0) {
      expect(await service.failing("ipvlan")).to.include("ipvlan");
      return;
    }
    const tasks = await service.serving(3);
    const addresses = await addressesOf(tasks, "lan");
    for (const from of tasks) {
      for (const to of addresses) expect(await reached(from, to)).to.deep.equal(everything);
    }
  });
});
