/** Many tasks at once, on tsnet's network and on Docker's own overlay. */
import { setTimeout as sleep } from "node:timers/promises";
import type { SwarmLab } from "../support/swarm-lab.ts";
import type { Service } from "../support/swarm-lab-service.ts";
import type { Figure } from "./figures.ts";
import { type Driver, drivers } from "./in-turn.ts";
import { timed } from "./statistics.ts";
import { createNetworks, onSwarm, swarmNetworks } from "./swarm-networks.ts";

const tasks = 50;
const rounds = 3;

/** The manager has other work than to be asked. */
const lookMs = 100;
const deadlineMs = 120_000;

/** Waits until so many run and no more. */
async function has(service: Service, count: number): Promise<void> {
  for (const end = performance.now() + deadlineMs; performance.now() < end; await sleep(lookMs)) {
    const states = (await service.tasks()).map(({ Status }) => Status.State);
    if (states.filter((state) => state === "running").length === count) return;
  }
  throw new Error(`service ${service.name} has not ${count} tasks within ${deadlineMs} ms`);
}

/** Tasks a second that are started, and that are ended. */
async function rates(lab: SwarmLab, driver: Driver): Promise<[up: number, down: number]> {
  const name = `many-${driver}`;
  const service = await lab.service(name, "--network", swarmNetworks[driver], "--replicas", "1", "--", "idle");
  await service.running(1);
  const perSecond = (ms: number): number => ((tasks - 1) / ms) * 1000;
  const change = async (count: number): Promise<number> => {
    return perSecond(
      await timed(async () => {
        await service.scale(count);
        await has(service, count);
      }),
    );
  };
  const both: [number, number] = [await change(tasks), await change(1)];
  await service.remove();
  await service.gone();
  return both;
}

async function measure(lab: SwarmLab): Promise<Figure[]> {
  await createNetworks(lab);
  const up: Record<Driver, number[]> = { tsnet: [], bridge: [] };
  const down: Record<Driver, number[]> = { tsnet: [], bridge: [] };
  for (let round = 0; round < rounds; round++) {
    for (const driver of round % 2 === 0 ? drivers : drivers.toReversed()) {
      const [started, ended] = await rates(lab, driver);
      up[driver].push(started);
      down[driver].push(ended);
    }
  }
  return [
    { name: `swarm: tasks a second, service scale 1 to ${tasks}`, unit: "1/s", ...up },
    { name: `swarm: tasks a second, service scale ${tasks} to 1`, unit: "1/s", ...down },
  ];
}

/** On a swarm of their own. */
export const scaleFigures = (): Promise<Figure[]> => onSwarm({}, measure);
