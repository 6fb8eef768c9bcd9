/** What the clients of a service notice while its tasks are replaced. */
import type { Container } from "./container.ts";
import { until } from "./poll.ts";
import { type Answer, Asker } from "./swarm-lab-requests.ts";
import { healthCheck, type Service } from "./swarm-lab-service.ts";

/** Two for each task that is stopped, and those that come before. */
export const updateMs = 120_000;
const settleMs = 10_000;

/** What the service is created with: its tasks are replaced one by one, and each new one is healthy before an old one is stopped. */
export const replacedInTurn: readonly string[] = [
  ...healthCheck("500ms"),
  ...["--update-order", "start-first", "--update-delay", "500ms", "--update-parallelism", "1"],
];

/** Who asks, whom, and how often. */
export interface Client {
  readonly from: Container;
  readonly vip: string;
  readonly perSecond: number;
}

/** Replaces all tasks, of which there are so many. @returns what a client was answered meanwhile */
export async function answersDuringUpdate(service: Service, count: number, client: Client): Promise<Answer[]> {
  const before = await service.serving(count);
  await using asker = await Asker.steady(client.from, client.vip, client.perSecond);
  await until("it answers", settleMs, () => asker.answers.some(({ said }) => said !== undefined));
  const begin = asker.answers.length;
  await service.update("--force");
  await until("all tasks are others", updateMs, async () => {
    const tasks = await service.tasks();
    const old = new Set(before.map(({ task }) => task.ID));
    const running = await service.runningNow();
    const ended = tasks.filter(({ ID, Status }) => old.has(ID) && Status.State !== "running").length;
    return running.length === count && ended === old.size && running.every(({ ID }) => !old.has(ID));
  });
  return (await asker.stop()).slice(begin);
}
