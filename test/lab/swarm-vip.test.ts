/** Virtual IPs of services: every node's containers reach every node's tasks by them. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { until } from "../support/poll.ts";
import { ask, SteadySender } from "../support/probe.ts";
import { streamDuring } from "../support/stream.ts";
import { addressesOf, appears } from "../support/swarm-lab-names.ts";
import { askOften, failures, Identities, identityPort, shares } from "../support/swarm-lab-requests.ts";
import type { Service, TaskContainer } from "../support/swarm-lab-service.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

/** A node learns of a task, and of its end, within a second; a machine that is busy, later. */
const gossipMs = 5_000;

describe("virtual IPs", () => {
  const lab = useSwarm();

  /** A service with its virtual IP, and so many tasks that all serve. */
  async function start(
    count: number,
    ...args: string[]
  ): Promise<{ service: Service; vip: string; tasks: TaskContainer[] }> {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", ...args, "--replicas", `${count}`);
    const tasks = await service.serving(count);
    return { service, vip: await service.vip("mesh"), tasks };
  }

  /** Waits until exactly these addresses answer. */
  async function answeredBy(from: Container, vip: string, addresses: readonly string[]): Promise<void> {
    const wanted = addresses.toSorted().join();
    let seen = "";
    const all = until(`${vip} is answered by all`, gossipMs, async () => {
      seen = [...shares(await askOften(from, vip, identityPort, 8 * addresses.length)).keys()].sort().join();
      return seen === wanted;
    });
    await all.catch((cause: Error) => {
      throw new Error(`${cause.message}: by ${seen}, and not by ${wanted}`, { cause });
    });
  }

  it("lead from each node to the tasks on each, which see who asks", async () => {
    const { vip, tasks } = await start(3, "--replicas-max-per-node", "1");
    const addresses = await addressesOf(tasks, "mesh");
    await using _ = await Identities.start(tasks);
    for (const host of lab().hosts) {
      const from = await Container.run(host, { network: "mesh" });
      await appears(from, "web", [vip]);
      await answeredBy(from, vip, addresses);
      const own = await from.ipv4("mesh");
      const said = (await askOften(from, vip, identityPort, 60)).map(({ said = "" }) => said.split(" ")[1]);
      expect([...new Set(said)]).to.deep.equal([own]);
      expect(await ask(from, "udp", vip)).to.equal(own);
    }
  });

  it("lead tasks to each other, and to themselves", async () => {
    const { vip, tasks } = await start(3, "--replicas-max-per-node", "1");
    const addresses = await addressesOf(tasks, "mesh");
    await using _ = await Identities.start(tasks);
    for (const [index, from] of tasks.entries()) {
      await answeredBy(from, vip, addresses);
      const own = addresses[index] ?? "";
      const answers = await askOften(from, vip, identityPort, 90);
      expect(failures(answers)).to.deep.equal([]);
      for (const { said = "" } of answers) {
        const [server, client] = said.split(" ");
        expect(client, said).to.equal(server === own ? vip : own);
      }
    }
  });

  it("give each of five tasks a fifth of 10,000 connections", async () => {
    const { vip, tasks } = await start(5);
    await using _ = await Identities.start(tasks);
    const from = await Container.run(lab().host(2), { network: "mesh" });
    const addresses = await addressesOf(tasks, "mesh");
    await answeredBy(from, vip, addresses);
    const answers = await askOften(from, vip, identityPort, 10_000);
    expect(failures(answers)).to.deep.equal([]);
    const counts = shares(answers);
    for (const address of addresses) expect(counts.get(address), address).to.be.within(1_700, 2_300);
  });

  it("leave connections where they are when tasks come", async () => {
    const { service, vip } = await start(2);
    const from = await Container.run(lab().host(3), { network: "mesh" });
    await until("the virtual IP answers", gossipMs, async () => failures(await askOften(from, vip, 7, 1)).length === 0);
    const messages = await streamDuring(from, vip, async () => {
      await service.scale(6);
      const tasks = await service.serving(6);
      await using _ = await Identities.start(tasks);
      await answeredBy(from, vip, await addressesOf(tasks, "mesh"));
    });
    expect(messages).to.be.greaterThan(0);
  });

  it("lead a sender of datagrams on to another task, when its own goes", async () => {
    const { service, vip } = await start(2);
    const from = await Container.run(lab().host(1), { network: "mesh" });
    await until("the virtual IP answers", gossipMs, async () => failures(await askOften(from, vip, 7, 1)).length === 0);
    // of several senders some are with the task that goes, whichever that is
    const others = await Promise.all(
      lab().hosts.flatMap((host) => [1, 2, 3].map(() => Container.run(host, { network: "mesh" }))),
    );
    await using senders = new AsyncDisposableStack();
    const all: SteadySender[] = [];
    for (const other of others) all.push(senders.use(await SteadySender.start(other, vip, 80)));
    await Promise.all(all.map((sender) => sender.isAnswered()));
    await service.scale(1);
    await service.serving(1);
    await Promise.all(all.map((sender) => sender.isAnswered()));
  });

  it("refuse at once while there is no task, and answer when there is one again", async () => {
    const { service, vip } = await start(1);
    const from = await Container.run(lab().host(3), { network: "mesh" });
    await until("the virtual IP answers", gossipMs, async () => failures(await askOften(from, vip, 7, 1)).length === 0);
    await service.scale(0);
    await service.running(0);
    await until("the virtual IP refuses", gossipMs, async () => {
      const [answer] = await askOften(from, vip, 7, 1);
      if (answer?.error !== "ECONNREFUSED") throw new Error(JSON.stringify(answer));
      return answer.ms < 500;
    });
    await service.scale(1);
    await service.serving(1);
    await until("the virtual IP answers", gossipMs, async () => failures(await askOften(from, vip, 7, 1)).length === 0);
  });

  it("are of each network of a service", async () => {
    await lab().network("mesh");
    await lab().network("other");
    const service = await lab().service("web", "--network", "mesh", "--network", "other");
    await service.serving(1);
    for (const network of ["mesh", "other"]) {
      const from = await Container.run(lab().host(2), { network });
      const vip = await service.vip(network);
      await appears(from, "web", [vip]);
      await until("it answers", gossipMs, async () => failures(await askOften(from, vip, 7, 1)).length === 0);
    }
  });
});
