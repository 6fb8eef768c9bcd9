/** How soon tasks are reached from another node when they run, and are left alone when they are killed. */
import type { Container } from "./container.ts";
import { until } from "./poll.ts";
import { away, type SwarmLab } from "./swarm-lab.ts";
import { type Answer, Asker, failures, shares } from "./swarm-lab-requests.ts";
import type { Service, TaskContainer } from "./swarm-lab-service.ts";
import { NameWatch } from "./swarm-lab-watch.ts";

/** Says which of its addresses was asked. */
const saysItself = ["--", "socat", "TCP4-LISTEN:7,reuseaddr,fork,backlog=64", "SYSTEM:read _; echo $SOCAT_SOCKADDR"];

const settleMs = 20_000;

/** Milliseconds from "running", as the task's node said it, to the first time that it was reached; of each task. */
export interface Arrivals {
  readonly byName: readonly number[];
  /** None where virtual IPs are not asked. */
  readonly byVip: readonly number[];
}

export interface ArrivalOptions {
  readonly network: string;
  readonly tasks: number;
  /** Whether its virtual IP is asked. */
  readonly hasVip: boolean;
}

/** When the first answer of each address was given, by address. */
const firsts = (answers: readonly Answer[]): Map<string, number> =>
  new Map(answers.toReversed().flatMap(({ at, ms, said }) => (said === undefined ? [] : [[said, at + ms] as const])));

const startOf = ({ task }: TaskContainer): number => Date.parse(task.Status.Timestamp);

/** Starts a service with so many tasks away from host 1, where the client is, and removes it when all were reached. */
export async function measureArrivals(lab: SwarmLab, from: Container, options: ArrivalOptions): Promise<Arrivals> {
  const { network, tasks: count, hasVip } = options;
  const service = await lab.service("web", "--network", network, ...away, "--replicas", "0", ...saysItself);
  await using names = await NameWatch.start(from, ["web", "tasks.web"]);
  await using asker = hasVip ? await Asker.steady(from, await service.vip(network), 50) : undefined;
  await service.scale(count);
  const tasks = await service.running(count);
  const all = await Promise.all(tasks.map(async (task) => ({ task, address: await task.ipv4(network) })));
  if (asker)
    await until("all have answered", settleMs, () => all.every(({ address }) => shares(asker.answers).has(address)));
  await until("the name is there", settleMs, () => all.every(({ address }) => names.since("tasks.web", address)));
  const answered = firsts(asker?.answers ?? []);
  const since = (find: (address: string) => number | undefined): number[] =>
    all.map(({ task, address }) => (find(address) ?? Number.NaN) - startOf(task));
  const arrivals = {
    byName: since((address) => names.since("tasks.web", address)),
    byVip: asker ? since((address) => answered.get(address)) : [],
  };
  await asker?.stop();
  await service.remove();
  await service.gone();
  return arrivals;
}

/** A task that was killed while its service was asked all the time. */
export interface Kill {
  /** Milliseconds of the clock that answers have. */
  readonly at: number;
  /** Requests that were begun since, and failed. */
  readonly failed: readonly Answer[];
}

/** Milliseconds from the kill to the begin of the last request that failed; 0 if none did. */
export const lastFailure = ({ at, failed }: Kill): number => Math.max(0, ...failed.map((answer) => answer.at - at));

/**
 * Kills a task of a service that is asked all the time, and waits until there is another.
 * @param count of its tasks
 */
export async function measureKill(service: Service, from: Container, vip: string, count: number): Promise<Kill> {
  const [victim] = await service.serving(count);
  if (victim === undefined) throw new Error("there is no task");
  await using asker = await Asker.steady(from, vip, 200);
  await until("it answers", settleMs, () => asker.answers.filter(({ said }) => said !== undefined).length > 100);
  await until("only answers come", settleMs, () => failures(asker.answers.slice(-100)).length === 0);
  const at = Date.now();
  await victim.host.docker("kill", "-s", "KILL", victim.id);
  await until("it is replaced", settleMs, async () => {
    return !(await service.runningNow()).some(({ ID }) => ID === victim.task.ID);
  });
  await service.serving(count);
  const failed = (await asker.stop()).filter((answer) => answer.error !== undefined && answer.at > at);
  return { at, failed };
}
