/** A swarm whose nodes have an etcd besides: it says where tasks are, and no task that runs needs it. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { allAgree, namesOf } from "../support/lab-places.ts";
import { until } from "../support/poll.ts";
import { everything, reached } from "../support/probe.ts";
import { addressesOf, appears } from "../support/swarm-lab-names.ts";
import { Asker, askOften, failures, Identities, identityPort, shares } from "../support/swarm-lab-requests.ts";
import type { Service, TaskContainer } from "../support/swarm-lab-service.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const settleMs = 20_000;
/** Swarm starts a task that has failed again after five seconds. */
const againMs = 60_000;

describe("a swarm with etcd", () => {
  const lab = useSwarm({ hasEtcd: true });

  /** A task on each node. */
  async function start(...args: string[]): Promise<{ service: Service; vip: string; tasks: TaskContainer[] }> {
    await lab().network("mesh", ...args);
    const service = await lab().service("web", "--network", "mesh", "--mode", "global");
    const tasks = await service.serving(3);
    return { service, vip: await service.vip("mesh"), tasks };
  }

  /** From all of them, to all tasks: by name, by address, and by the virtual IP. */
  async function expectAnswers(
    from: readonly Container[],
    vip: string,
    tasks: readonly TaskContainer[],
  ): Promise<void> {
    const addresses = await addressesOf(tasks, "mesh");
    await using _ = await Identities.start(tasks);
    for (const one of from) {
      await appears(one, "tasks.web", addresses);
      for (const address of addresses) expect(await reached(one, address)).to.deep.equal(everything);
      await until("the virtual IP leads to all", settleMs, async () => {
        const answers = await askOften(one, vip, identityPort, 10 * tasks.length);
        return failures(answers).length === 0 && shares(answers).size === tasks.length;
      });
    }
  }

  it("has the places of tasks and containers in etcd and in each kernel, and virtual IPs that lead to them", async () => {
    const { vip, tasks } = await start();
    const plain = await Container.run(lab().host(2), { network: "mesh", serve: true });
    await allAgree(lab(), "mesh");
    const keys = await lab().etcd.keys("/tsnet/place/");
    const addresses = await addressesOf([...tasks, plain], "mesh");
    expect(keys.map((key) => key.split("/").at(-1)).sort()).to.deep.equal(addresses.sort());
    await expectAnswers([...tasks, plain], vip, tasks);
    for (const task of tasks) expect(await reached(task, await plain.ipv4("mesh"))).to.deep.equal(everything);
  });

  it("takes tsnet.flood=false: nothing goes to all nodes, and all is reached", async () => {
    const { vip, tasks } = await start("-o", "tsnet.flood=false");
    const plain = await Container.run(lab().host(3), { network: "mesh", serve: true });
    await expectAnswers([...tasks, plain], vip, tasks);
    for (const task of tasks) expect(await reached(task, await plain.ipv4("mesh"))).to.deep.equal(everything);
    for (const host of lab().hosts) {
      const { namespace, vxlan } = await namesOf(host, "mesh");
      const entries = await host.sh(`bridge -n ${namespace} fdb show dev ${vxlan}`);
      expect(entries).to.include(" dst ").and.not.include("00:00:00:00:00:00");
    }
  });

  it("loses no request while etcd is away; tasks that come then say so, and run when it is back", async () => {
    const { service, vip, tasks } = await start();
    const from = await Container.run(lab().host(1), { network: "mesh" });
    await expectAnswers([from], vip, tasks);
    await using asker = await Asker.steady(from, vip, 200);
    for (const host of lab().hosts) await lab().etcd.kill(host);
    const late = await lab().service("late", "--network", "mesh", "--constraint", "node.hostname==host2");
    expect(await late.failing(/etcd cannot be reached/)).to.include("see whether etcd runs there");
    expect(failures(await asker.stop())).to.deep.equal([]);
    expect((await service.running(3)).map(({ id }) => id).sort()).to.deep.equal(tasks.map(({ id }) => id).sort());
    await lab().etcd.heal();
    const [newcomer] = await late.serving(1, againMs);
    if (newcomer === undefined) throw new Error("there is no task");
    await expectAnswers([from, newcomer], vip, tasks);
    expect(await reached(from, await newcomer.ipv4("mesh"))).to.deep.equal(everything);
    await allAgree(lab(), "mesh");
  });
});
