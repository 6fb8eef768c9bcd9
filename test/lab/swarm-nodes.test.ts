/** Nodes of a swarm that fail, that leave, and that lack the plugin. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { patience } from "../support/patience.ts";
import { until } from "../support/poll.ts";
import { everything, reached } from "../support/probe.ts";
import { swarmDeadlineMs } from "../support/swarm-lab.ts";
import { leftOf } from "../support/swarm-lab-left.ts";
import { addressesOf, appears } from "../support/swarm-lab-names.ts";
import { askOften, failures, Identities, identityPort, shares } from "../support/swarm-lab-requests.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

/** A manager hears nothing of a node for some heartbeats of 5 s, and places its tasks anew. */
const lossMs = 90_000;
const settleMs = 20_000;

describe("the nodes of a swarm", () => {
  const lab = useSwarm();

  /** Waits until exactly these are asked by the virtual IP, and all answer. */
  const askedAre = async (from: Container, vip: string, addresses: readonly string[]): Promise<void> => {
    await until("the virtual IP leads to the tasks that there are", settleMs, async () => {
      const answers = await askOften(from, vip, identityPort, 8 * addresses.length);
      const servers = [...shares(answers).keys()].sort();
      return failures(answers).length === 0 && servers.join() === addresses.toSorted().join();
    });
  };

  it("take over the tasks of one that is killed, and it takes part again when it is back", async () => {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", "--replicas", "6");
    await service.serving(6);
    const vip = await service.vip("mesh");
    const from = await Container.run(lab().host(1), { network: "mesh" });
    const third = lab().host(3);
    await third.reboot();
    await lab().ready(2);
    const tasks = await service.serving(6, lossMs);
    expect(tasks.every(({ host }) => host !== third)).to.equal(true);
    {
      await using _ = await Identities.start(tasks);
      await askedAre(from, vip, await addressesOf(tasks, "mesh"));
    }
    await third.dockerd.start();
    await lab().ready();
    await service.scale(9);
    const more = await service.serving(9);
    expect(more.some(({ host }) => host === third)).to.equal(true);
    await using _ = await Identities.start(more);
    const addresses = await addressesOf(more, "mesh");
    expect(new Set(addresses).size).to.equal(9);
    await askedAre(from, vip, addresses);
    const back = await Container.run(third, { network: "mesh", serve: true });
    await askedAre(back, vip, addresses);
    await appears(from, "tasks.web", addresses);
    for (const address of addresses) expect(await reached(back, address)).to.deep.equal(everything);
  }).timeout(3 * lossMs * patience);

  it("go on when the Docker of one is killed and started again", async () => {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", "--mode", "global");
    const before = (await service.serving(3)).find(({ host }) => host === lab().host(2));
    const vip = await service.vip("mesh");
    const from = await Container.run(lab().host(1), { network: "mesh" });
    const { dockerd } = lab().host(2);
    await dockerd.kill();
    await dockerd.start();
    await until("the manager knows that its task has ended", lossMs, async () => {
      return (await service.runningNow()).every(({ ID }) => ID !== before?.task.ID);
    });
    await lab().ready();
    const tasks = await service.serving(3, lossMs);
    await using _ = await Identities.start(tasks);
    await askedAre(from, vip, await addressesOf(tasks, "mesh"));
    for (const address of await addressesOf(tasks, "mesh")) {
      for (const task of tasks) expect(await reached(task, address)).to.deep.equal(everything);
    }
  }).timeout(2 * lossMs * patience);

  it("have nothing left when they leave with containers running, and can join again", async () => {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", "--mode", "global");
    await service.serving(3);
    const vip = await service.vip("mesh");
    const third = lab().host(3);
    const plain = await Container.run(third, { network: "mesh", serve: true });
    const from = await Container.run(lab().host(1), { network: "mesh" });
    const node = await lab().node(third);
    await third.docker("swarm", "leave");
    await plain.remove();
    let left: string[] = [];
    await until("nothing is left on the node", settleMs, async () => {
      left = await leftOf(third);
      return left.length === 0;
    }).catch((cause: Error) => {
      throw new Error(`left behind: ${left.join(", ")}`, { cause });
    });
    const others = await service.serving(2, lossMs);
    {
      await using _ = await Identities.start(others);
      await askedAre(from, vip, await addressesOf(others, "mesh"));
    }
    await until("the manager knows it", swarmDeadlineMs, async () => {
      const nodes = await lab().nodes();
      return nodes.find(({ ID }) => ID === node.ID)?.Status.State === "down";
    });
    await lab().docker("node", "rm", node.ID);
    await lab().join(third);
    await lab().ready();
    const tasks = await service.serving(3);
    await using _ = await Identities.start(tasks);
    await askedAre(from, vip, await addressesOf(tasks, "mesh"));
  }).timeout(2 * lossMs * patience);
});

describe("a node without the plugin", () => {
  const lab = useSwarm({ without: [3] });

  it("gets no tasks, until it has it", async () => {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", "--replicas", "4");
    const placed = new Set((await service.serving(4)).map(({ host }) => host.number));
    expect([...placed].sort()).to.deep.equal([1, 2]);
    const third = lab().host(3);
    const only = await lab().service("only", "--network", "mesh", "--constraint", "node.hostname==host3");
    expect(await only.failing(/no suitable node/)).to.include("missing plugin on 1 node");
    await third.plugin.start(lab().settingsOf(third));
    const [task] = await only.serving(1);
    expect(task?.host).to.equal(third);
    const vip = await service.vip("mesh");
    if (task === undefined) throw new Error("there is no task");
    await until(
      "the virtual IP answers",
      settleMs,
      async () => failures(await askOften(task, vip, 7, 10)).length === 0,
    );
  });
});
