/** How long a task takes to be reached from another node after it runs, and to be left alone after it is killed. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { until } from "../support/poll.ts";
import { type Answer, Asker, failures, shares } from "../support/swarm-lab-requests.ts";
import type { TaskContainer } from "../support/swarm-lab-service.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";
import { NameWatch } from "../support/swarm-lab-watch.ts";

const isPatient = process.env["TEST_TSNET_PATIENCE"] !== undefined;
/** What it must reach; several times as much where other tests run at the same time. */
const targets = isPatient
  ? { median: 3_000, most: 9_000, killed: 3_000 }
  : { median: 1_000, most: 3_000, killed: 1_000 };

/** Says which of its addresses was asked. */
const saysItself = ["--", "socat", "TCP4-LISTEN:7,reuseaddr,fork,backlog=64", "SYSTEM:read _; echo $SOCAT_SOCKADDR"];
const rounds = 3;
const tasksOfRound = 10;
const settleMs = 20_000;

describe("a service seen from another node", () => {
  const lab = useSwarm();

  const away = ["--constraint", "node.hostname!=host1"];

  /** When the first answer of each address was given, by address. */
  const firsts = (answers: readonly Answer[]): Map<string, number> =>
    new Map(answers.toReversed().flatMap(({ at, ms, said }) => (said === undefined ? [] : [[said, at + ms] as const])));

  const startOf = ({ task }: TaskContainer): number => Date.parse(task.Status.Timestamp);

  it("is reached by its name and its virtual IP when it runs", async () => {
    await lab().network("mesh");
    const from = await Container.run(lab().host(1), { network: "mesh" });
    const byVip: number[] = [];
    const byName: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const service = await lab().service("web", "--network", "mesh", ...away, "--replicas", "0", ...saysItself);
      await using names = await NameWatch.start(from, ["web", "tasks.web"]);
      await using asker = await Asker.steady(from, await service.vip("mesh"), 50);
      await service.scale(tasksOfRound);
      const tasks = await service.running(tasksOfRound);
      const addresses = await Promise.all(tasks.map((task) => task.ipv4("mesh")));
      await until("all have answered", settleMs, () =>
        addresses.every((address) => shares(asker.answers).has(address)),
      );
      await until("the name is there", settleMs, () => addresses.every((one) => names.since("tasks.web", one)));
      const answered = firsts(asker.answers);
      for (const [index, task] of tasks.entries()) {
        byVip.push((answered.get(addresses[index] ?? "") ?? Number.NaN) - startOf(task));
        byName.push((names.since("tasks.web", addresses[index] ?? "") ?? Number.NaN) - startOf(task));
      }
      await asker.stop();
      await service.remove();
      await service.gone();
    }
    const figures = { vip: quantiles(byVip), name: quantiles(byName) };
    console.log(`      task running to reached, ms: ${JSON.stringify(figures)}`);
    for (const { median, most } of Object.values(figures)) {
      expect(median).to.be.at.most(targets.median);
      expect(most).to.be.at.most(targets.most);
    }
  });

  it("gets no new connection to a task that was killed", async () => {
    await lab().network("mesh");
    const from = await Container.run(lab().host(1), { network: "mesh" });
    const worst: number[] = [];
    const service = await lab().service("web", "--network", "mesh", ...away, "--replicas", "5");
    const vip = await service.vip("mesh");
    for (let round = 0; round < rounds; round++) {
      const tasks = await service.serving(5);
      await using asker = await Asker.steady(from, vip, 200);
      await until("it answers", settleMs, () => asker.answers.filter(({ said }) => said !== undefined).length > 100);
      await until("only answers come", settleMs, () => failures(asker.answers.slice(-100)).length === 0);
      const [victim] = tasks;
      if (victim === undefined) throw new Error("there is no task");
      const at = Date.now();
      await victim.host.docker("kill", "-s", "KILL", victim.id);
      await until(
        "it is replaced",
        settleMs,
        async () => !(await service.runningNow()).some(({ ID }) => ID === victim.task.ID),
      );
      await service.serving(5);
      const failed = (await asker.stop()).filter((answer) => answer.error !== undefined && answer.at > at);
      worst.push(Math.max(0, ...failed.map((answer) => answer.at - at)));
    }
    console.log(`      task killed to the last connection that failed, ms: ${worst.map(Math.round).join(", ")}`);
    expect(Math.max(...worst)).to.be.at.most(targets.killed);
  });
});

interface Quantiles {
  readonly median: number;
  /** As p99 is, of so few. */
  readonly most: number;
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = values.map(Math.round).toSorted((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN };
}
