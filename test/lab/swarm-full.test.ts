/** What a swarm refuses, and how somebody finds out why: addresses of a full subnet, and the removal of a network that is used. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { CheckAnswer, IpamAnswer } from "../../src/driver/ipam/answers.ts";
import { Container } from "../support/container.ts";
import { pluginName } from "../support/managed-plugin.ts";
import type { LogLine } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { everything, reached } from "../support/probe.ts";
import { addressesOf, appears } from "../support/swarm-lab-names.ts";
import { askOften, failures } from "../support/swarm-lab-requests.ts";
import type { Service, Task } from "../support/swarm-lab-service.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** A task is asked for, and an address is asked for it. */
const askedMs = 20_000;
/** A network goes from the nodes, and its names. */
const settleMs = 30_000;

describe("a network of a swarm", () => {
  const lab = useSwarm();

  describe("with more tasks than addresses", () => {
    const tsnet = async (words: string): Promise<unknown> => JSON.parse(await lab().manager.sh(`${program} ${words}`));
    const waiting = async (service: Service): Promise<Task[]> =>
      (await service.tasks()).filter(({ Status }) => Status.State === "new");

    /** Lines of a log that say that there is no address, and of which subnet. */
    const told = (lines: readonly string[]): string[] =>
      lines.filter((line) => line.includes("no available IPv4 addresses") && line.includes("10.6.0.0/29 (size 8)"));

    it("lets those wait that have none, as its leader's logs and pools say; they run once others have gone", async () => {
      // five besides the gateway's: one for a virtual IP, four for tasks
      await lab().network("small", "--ipam-driver", pluginName, "--subnet", "10.6.0.0/29");
      const first = await lab().service("first", "--network", "small", "--replicas", "3");
      await first.serving(3);
      const second = await lab().service("second", "--network", "small", "--replicas", "3", "--endpoint-mode", "dnsrr");
      await until("two tasks wait", askedMs, async () => {
        const running = await second.runningNow();
        return running.length === 1 && (await waiting(second)).length === 2;
      });
      expect((await waiting(second)).map(({ Status: { Err = "" } }) => Err)).to.deep.equal(["", ""]);
      await expectItIsSaid();
      await first.scale(1);
      const tasks = [...(await second.serving(3)), ...(await first.serving(1))];
      const addresses = await addressesOf(tasks, "small");
      expect(new Set([...addresses, await first.vip("small")]).size).to.equal(5);
      for (const from of tasks) {
        for (const address of addresses) expect(await reached(from, address)).to.deep.equal(everything);
      }
    });

    /** To each who looks: at the daemon's log, at the plugin's, at the pools, at their check. */
    async function expectItIsSaid(): Promise<void> {
      const { dockerd, plugin } = lab().manager;
      await until("the daemon's log says so", askedMs, () => {
        const lines = readFileSync(dockerd.logFile, "utf8").split("\n");
        const failed = lines.filter((line) => line.includes("level=error") && line.includes("task allocation failure"));
        return told(failed).length > 0;
      });
      const isTold = (line: LogLine): boolean => told([JSON.stringify(line)]).length > 0;
      const [refused] = await plugin.untilLogged(40, "so", isTold);
      expect(JSON.stringify(refused)).to.include("held by tasks and services of the swarm 5, gateway 1; remove");
      const { pools } = (await tsnet("ipam --json")) as IpamAnswer;
      const pool = pools.find(({ id }) => id === "tsnet-global/10.6.0.0/29");
      expect(pool).to.include({ used: "6", free: "0", usePercent: 100 });
      const { findings } = (await tsnet("ipam check --json")) as CheckAnswer;
      const texts = findings.filter(({ kind }) => kind === "nearly-full").map(({ text }) => text);
      expect(texts).to.have.length(1);
      expect(texts[0]).to.match(/^all of its 6 addresses are held: further tasks and services wait, .* as "New"/);
    }
  });

  describe("that is in use", () => {
    /** Nodes hear of each other some time after their containers have started. */
    const isReached = (from: Container, address: string): Promise<unknown> =>
      until(`${address} answers`, settleMs, async () => `${await reached(from, address)}` === `${everything}`);

    /** On the manager, Docker's words; a worker may not remove any, or does not know it. */
    async function isRefused(why: RegExp): Promise<void> {
      const [manager, ...workers] = await lab().each((host) => host.dockerError("network", "rm", "mesh"));
      expect(manager).to.match(why);
      for (const words of workers) expect(words).to.match(/This node is not a swarm manager|network mesh not found/);
    }

    /** Docker lets a network go when it lets its last task go, and each node then has nothing of it. */
    async function goes(): Promise<void> {
      const { manager } = lab();
      await until("the network is removed", settleMs, async () => {
        return (await manager.tryDocker("network", "rm", "mesh")).code === 0;
      });
      await lab().expectNothingLeft();
    }

    it("is not removed while a service has it, which goes on, and without a trace after the service", async () => {
      await lab().network("mesh");
      const service = await lab().service("web", "--network", "mesh", "--mode", "global");
      const tasks = await service.serving(3);
      const addresses = await addressesOf(tasks, "mesh");
      const vip = await service.vip("mesh");
      await isRefused(/network \S+ is in use by service/);
      const plain = await Container.run(lab().host(2), { network: "mesh" });
      for (const from of [...tasks, plain]) {
        await appears(from, "tasks.web", addresses);
        for (const address of addresses) await isReached(from, address);
        await until("the virtual IP answers", settleMs, async () => {
          return failures(await askOften(from, vip, 7, 20)).length === 0;
        });
      }
      await service.remove();
      await plain.remove();
      await goes();
    });

    it("is not removed while plain containers have it, which go on, and without a trace after the last", async () => {
      await lab().network("mesh");
      const [one, two] = await Promise.all(
        ([2, 3] as const).map((number) => Container.run(lab().host(number), { network: "mesh", serve: true })),
      );
      if (one === undefined || two === undefined) throw new Error("there are no containers");
      await isRefused(/network \S+ is in use by task/);
      await isReached(one, await two.ipv4("mesh"));
      await one.remove();
      await isRefused(/network \S+ is in use by task/);
      const third = await Container.run(lab().host(1), { network: "mesh" });
      await isReached(third, await two.ipv4("mesh"));
      await third.remove();
      await two.remove();
      await goes();
    });
  });
});
