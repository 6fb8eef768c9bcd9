/** What the clients of a service notice while the plugin of a node, or its Docker, fails: nothing; and that all is right afterwards. */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { DoctorAnswer } from "../../src/driver/overlay/doctor-answers.ts";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { until } from "../support/poll.ts";
import { SlowDocker, slowDockerSetting } from "../support/slow-docker.ts";
import { streamDuring } from "../support/stream.ts";
import { addressesOf } from "../support/swarm-lab-names.ts";
import { Asker, askOften, failures, Identities, identityPort, shares } from "../support/swarm-lab-requests.ts";
import { healthCheck, type Service } from "../support/swarm-lab-service.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

const perSecond = 200;
/** A plugin is started, a node is heard of again, tasks are told of. */
const settleMs = 30_000;
/** Docker is asked each two seconds at least, and has 5 s to answer. */
const noticedMs = 7_500;
/** Docker tells of the tasks of a node that it had lost sight of within its rounds of 30 s. */
const backMs = 90_000;
/** Longer than tsnet waits for Docker to say that a node is gone (lost-nodes.ts). */
const goneMs = 4_000;

describe("a node of a swarm", () => {
  const lab = useSwarm({ heartbeat: "1m" });
  const node = (): Host => lab().host(2);

  const doctor = async (): Promise<DoctorAnswer> =>
    JSON.parse(await node().sh(`${program} doctor --json || [ $? = 1 ]`));

  const kinds = async (): Promise<string[]> => (await doctor()).findings.map(({ kind }) => kind).sort();

  /** Two tasks a node, and a client on the node, and on another one. */
  async function start(): Promise<{ service: Service; vip: string; clients: [Container, Container] }> {
    await lab().network("mesh");
    const words = ["--replicas", "6", "--replicas-max-per-node", "3"];
    const service = await lab().service("web", "--network", "mesh", ...words, ...healthCheck("2s"));
    await service.serving(6);
    const vip = await service.vip("mesh");
    const clients = [
      await Container.run(node(), { network: "mesh" }),
      await Container.run(lab().host(1), { network: "mesh" }),
    ];
    for (const client of clients) {
      await until(
        "all tasks are served",
        settleMs,
        async () => failures(await askOften(client, vip, 7, 60)).length === 0,
      );
    }
    return { service, vip, clients: clients as [Container, Container] };
  }

  /** Requests by the virtual IP from both clients all the time, of which none may fail. */
  async function undisturbed(clients: readonly Container[], vip: string, work: () => Promise<unknown>): Promise<void> {
    await using stack = new AsyncDisposableStack();
    const askers: Asker[] = [];
    for (const client of clients) askers.push(stack.use(await Asker.steady(client, vip, perSecond)));
    await until("all are answered", settleMs, () => askers.every(({ answers }) => answers.length > perSecond / 2));
    const begin = performance.now();
    await work();
    const seconds = (performance.now() - begin) / 1000;
    const answers = await Promise.all(askers.map((asker) => asker.stop()));
    for (const each of answers) {
      expect(failures(each).join("\n")).to.equal("");
      expect(each.length).to.be.greaterThan(seconds * perSecond * 0.8);
    }
  }

  /** Waits until exactly so many tasks, and no others, are asked by the virtual IP from the clients, without a failure. */
  async function isRight(service: Service, count: number, vip: string, clients: readonly Container[]): Promise<void> {
    const tasks = await service.serving(count, backMs);
    await using _ = await Identities.start(tasks);
    const wanted = (await addressesOf(tasks, "mesh")).sort().join();
    for (const client of clients) {
      await until("exactly the tasks are asked", settleMs, async () => {
        const answers = await askOften(client, vip, identityPort, 10 * count);
        return failures(answers).length === 0 && [...shares(answers).keys()].sort().join() === wanted;
      });
    }
  }

  /** Docker gives a plugin up that ends again within the half second after which it looks whether it listens. */
  async function killPlugin(): Promise<void> {
    const { pid } = node().plugin;
    await node().plugin.kill();
    await until("Docker has started the plugin again", settleMs, async () => {
      if (node().plugin.pid === pid) return false;
      await node().plugin.call("Plugin.Activate");
      return true;
    });
  }

  it("whose plugin is killed serves all requests, and knows the tasks that come and go meanwhile", async () => {
    const { service, vip, clients } = await start();
    await undisturbed(clients, vip, async () => {
      await Promise.all([killPlugin(), service.scale(8)]);
      await service.serving(8);
    });
    await isRight(service, 8, vip, clients);
    await Promise.all([killPlugin(), service.scale(3)]);
    await isRight(service, 3, vip, clients);
  });

  it("whose Docker is stopped for a while serves all requests, says what is old, and hears of all again", async () => {
    const { service, vip, clients } = await start();
    const { dockerd } = node();
    await undisturbed(clients, vip, async () => {
      dockerd.pause();
      try {
        await sleep(noticedMs);
        expect(await kinds()).to.include.members(["docker-socket", "gossip"]);
      } finally {
        dockerd.resume();
      }
      await until("Docker tells again", settleMs, async () => (await kinds()).length === 0);
    });
    await lab().ready();
    await service.scale(8);
    await isRight(service, 8, vip, clients);
  });

  it("whose Docker is stopped keeps the connections that others have to its tasks by virtual IPs", async () => {
    await lab().network("mesh");
    const there = ["--replicas", "2", "--constraint", `node.id==${(await lab().node(node())).ID}`];
    const service = await lab().service("web", "--network", "mesh", ...there, ...healthCheck("2s"));
    await service.serving(2);
    const vip = await service.vip("mesh");
    const client = await Container.run(lab().host(1), { network: "mesh" });
    const isServed = async (): Promise<boolean> => failures(await askOften(client, vip, 7, 10)).length === 0;
    await until("the tasks are served", settleMs, isServed);
    const { dockerd } = node();
    await streamDuring(client, vip, async () => {
      dockerd.pause();
      try {
        await until("the others give it up", settleMs, async () => !(await isServed()));
        await sleep(goneMs);
      } finally {
        dockerd.resume();
      }
      await until("the tasks are served again", backMs, isServed);
    });
  });

  it("whose Docker does not answer the plugin does the same", async () => {
    await using docker = await SlowDocker.listen(node());
    try {
      await node().plugin.stop();
      await node().plugin.start({ ...lab().settingsOf(node()), ...slowDockerSetting });
      await until("the node has the plugin", settleMs, async () => (await kinds()).length === 0);
      const { service, vip, clients } = await start();
      await undisturbed(clients, vip, async () => {
        docker.fallSilent();
        await sleep(noticedMs);
        expect(await kinds()).to.deep.equal(["docker-socket", "gossip"]);
        await service.scale(7);
        await service.serving(7);
        docker.delayMs = 1_000;
        docker.speak();
        await until("Docker tells again", settleMs, async () => (await kinds()).length === 0);
      });
      await isRight(service, 7, vip, clients);
      docker.delayMs = 0;
      await service.scale(3);
      await isRight(service, 3, vip, clients);
      const said = node()
        .plugin.logged(30)
        .map(({ msg }) => msg);
      expect(said).to.include("Docker does not tell what the swarm's nodes have: what was known stays");
      expect(said).to.include("Docker tells again what the swarm's nodes have");
      await lab().clear();
    } finally {
      docker.speak();
      await node().plugin.stop();
      await node().plugin.start(lab().settingsOf(node()));
    }
  });
});
