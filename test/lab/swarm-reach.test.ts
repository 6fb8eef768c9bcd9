/** Networks of a swarm: who reaches whom by which name, and on which nodes they are. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { until } from "../support/poll.ts";
import { everything, reached } from "../support/probe.ts";
import { addressesOf, appears } from "../support/swarm-lab-names.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

/** A node removes the network with its last endpoint, and deletes are batched. */
const removalMs = 10_000;

/** As somebody makes it who leaves nothing to the plugin. */
const explicit = ["-o", "mode=overlay", "-o", "tsnet.vni=8388700"];

for (const isStatic of [true, false]) {
  describe(`a network of a swarm, ${isStatic ? "TSNET_PEERS" : "Docker's gossip"}`, () => {
    const lab = useSwarm({ isStatic });

    it("lets plain containers on different nodes reach each other, by name as well", async () => {
      await lab().network("mesh", ...(isStatic ? explicit : []));
      const containers: Container[] = [];
      for (const host of lab().hosts) {
        const words = ["--name", `plain${host.number}`];
        containers.push(await Container.run(host, { network: "mesh", serve: true }, ...words));
      }
      for (const from of containers) {
        for (const [index, to] of containers.entries()) {
          const address = await to.ipv4("mesh");
          await appears(from, `plain${index + 1}`, [address]);
          expect(await reached(from, address)).to.deep.equal(everything);
        }
      }
    });

    it("lets tasks reach each other, and containers tasks", async () => {
      await lab().network("mesh", ...(isStatic ? explicit : []));
      const service = await lab().service("web", "--mode", "global", "--network", "mesh");
      const tasks = await service.serving(3);
      const plain = await Container.run(lab().host(2), { network: "mesh", serve: true });
      const addresses = await Promise.all(tasks.map((task) => task.ipv4("mesh")));
      for (const from of [...tasks, plain]) {
        await appears(from, "tasks.web", addresses);
        for (const address of addresses) expect(await reached(from, address)).to.deep.equal(everything);
      }
      for (const from of tasks) expect(await reached(from, await plain.ipv4("mesh"))).to.deep.equal(everything);
    });
  });
}

describe("a network of a swarm", () => {
  const lab = useSwarm();

  it("is on the nodes that have endpoints on it, from the first to the last", async () => {
    await lab().network("mesh");
    expect(await lab().namespaces()).to.deep.equal({});
    const service = await lab().service("web", "--network", "mesh", "--constraint", "node.hostname==host2");
    await service.running(1);
    expect(Object.keys(await lab().namespaces())).to.deep.equal(["2"]);
    const plain = await Container.run(lab().host(3), { network: "mesh" });
    expect(Object.keys(await lab().namespaces())).to.deep.equal(["2", "3"]);
    await service.remove();
    const nodes = async (): Promise<string> => Object.keys(await lab().namespaces()).join();
    await until("the network is gone from node 2", removalMs, async () => (await nodes()) === "3");
    await plain.remove();
    await until("the network is gone from node 3", removalMs, async () => (await nodes()) === "");
  });

  it("has names for tasks of a service without a virtual IP, which come and go with them", async () => {
    await lab().network("mesh");
    const asker = await Container.run(lab().host(3), { network: "mesh" });
    const service = await lab().service("web", "--replicas", "2", "--network", "mesh", "--endpoint-mode", "dnsrr");
    const two = await addressesOf(await service.running(2), "mesh");
    await appears(asker, "web", two);
    await service.scale(1);
    const [one = ""] = await addressesOf(await service.running(1), "mesh");
    expect(two).to.include(one);
    await appears(asker, "web", [one]);
    expect(await service.vipNow("mesh")).to.equal(undefined);
  });

  it("is refused to be removed while something is on it", async () => {
    await lab().network("mesh");
    await Container.run(lab().host(2), { network: "mesh" });
    expect(await lab().manager.dockerError("network", "rm", "mesh")).to.match(/in use|active endpoints/);
  });
});
