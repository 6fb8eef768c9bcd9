/** What the clients of a service notice when its tasks begin, are killed, and are replaced. */
import { Container } from "../support/container.ts";
import { away, type SwarmLab } from "../support/swarm-lab.ts";
import { type Kill, lastFailure, measureArrivals, measureKill } from "../support/swarm-lab-arrival.ts";
import { failures } from "../support/swarm-lab-requests.ts";
import { answersDuringUpdate, replacedInTurn } from "../support/swarm-lab-update.ts";
import type { Figure } from "./figures.ts";
import { type Driver, drivers } from "./in-turn.ts";
import { createNetworks, onSwarm, swarmNetworks } from "./swarm-networks.ts";

const rounds = 3;
const tasksOfRound = 10;
const kills = 5;
const tasks = 5;
const perSecond = 200;

const client = (lab: SwarmLab, driver: Driver): Promise<Container> =>
  Container.run(lab.host(1), { network: swarmNetworks[driver] });

async function arrivalFigures(lab: SwarmLab, clients: Readonly<Record<Driver, Container>>): Promise<Figure[]> {
  const byName: Record<Driver, number[]> = { tsnet: [], bridge: [] };
  const byVip: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const driver of round % 2 === 0 ? drivers : drivers.toReversed()) {
      const options = { network: swarmNetworks[driver], tasks: tasksOfRound, hasVip: driver === "tsnet" };
      const times = await measureArrivals(lab, clients[driver], options);
      byName[driver].push(...times.byName);
      byVip.push(...times.byVip);
    }
  }
  const name = "swarm: task running to reached from another node";
  return [
    ...[
      { name: `${name} by name`, unit: "ms", ...byName } as const,
      { name: `${name} by virtual IP`, unit: "ms", tsnet: byVip } as const,
    ].flatMap((figure): Figure[] => [
      { ...figure, name: `${figure.name}, p50`, limit: { of: "median", value: 1000 } },
      { ...figure, name: `${figure.name}, the slowest`, limit: { of: "max", value: 3000 } },
    ]),
  ];
}

async function killFigures(lab: SwarmLab, from: Container): Promise<Figure[]> {
  const network = swarmNetworks.tsnet;
  const service = await lab.service("killed", "--network", network, ...away, "--replicas", `${tasks}`);
  const vip = await service.vip(network);
  const all: Kill[] = [];
  while (all.length < kills) all.push(await measureKill(service, from, vip, tasks));
  for (const { at, failed } of all)
    console.log(`killed at ${new Date(at).toISOString()}: ${failures(failed).join("; ") || "nothing fails"}`);
  await service.remove();
  await service.gone();
  const name = "swarm: task killed to the last new connection that it gets";
  return [{ name, unit: "ms", tsnet: all.map(lastFailure), limit: { of: "max", value: 1000 } }];
}

async function updateFigures(lab: SwarmLab, from: Container): Promise<Figure[]> {
  const network = swarmNetworks.tsnet;
  const service = await lab.service("updated", "--network", network, ...replacedInTurn, "--replicas", `${tasks}`);
  const vip = await service.vip(network);
  const answers = await answersDuringUpdate(service, tasks, { from, vip, perSecond });
  const failed = failures(answers);
  for (const line of failed) console.log(`rolling update: ${line}`);
  const name = `swarm: requests that fail while ${tasks} tasks are replaced, new ones first`;
  return [
    {
      name: `${name}, ${perSecond} a second`,
      unit: "requests",
      tsnet: [failed.length],
      limit: { of: "max", value: 0 },
    },
    { name: "swarm: requests that were asked meanwhile", unit: "requests", tsnet: [answers.length] },
  ];
}

/** On a swarm of their own. */
export const taskFigures = (): Promise<Figure[]> =>
  onSwarm({}, async (lab) => {
    await createNetworks(lab);
    const clients = { tsnet: await client(lab, "tsnet"), bridge: await client(lab, "bridge") };
    return [
      ...(await arrivalFigures(lab, clients)),
      ...(await killFigures(lab, clients.tsnet)),
      ...(await updateFigures(lab, clients.tsnet)),
    ];
  });
