/** New connections to the tasks of services, by virtual IP and directly: how many a second, and who gets them. */
import { fileURLToPath } from "node:url";
import { attempt, run } from "../support/commands.ts";
import { Container } from "../support/container.ts";
import { until } from "../support/poll.ts";
import type { SwarmLab } from "../support/swarm-lab.ts";
import { addressesOf } from "../support/swarm-lab-names.ts";
import { askOften, failures, Identities, identityPort, shares } from "../support/swarm-lab-requests.ts";
import type { Figure } from "./figures.ts";
import { samplesInTurn } from "./in-turn.ts";
import { serveOn } from "./overlay-hosts.ts";
import { createNetworks, onSwarm, swarmNetworks } from "./swarm-networks.ts";

const program = fileURLToPath(new URL("connect-loop.mjs", import.meta.url));
const port = 99;
const seconds = 1;
const rounds = 8;
const settleMs = 20_000;

/** How the client reaches the task; "own" is Docker's own overlay, to the task's address there. */
const ways = ["vip", "direct", "own"] as const;
type Way = (typeof ways)[number];

const places = [
  { what: "a task of the same node", host: 2 },
  { what: "a task of another node", host: 3 },
] as const;

const command = (address: string, duration: number): string[] => [
  ...[process.execPath, program, address],
  ...[`${port}`, `${duration}`],
];

async function perSecond(from: Container, address: string): Promise<number> {
  return Number(await run(await from.enter(command(address, seconds)), { env: process.env }));
}

/** The same client, the same server: only the address differs. */
async function rates(lab: SwarmLab, from: Container, host: number): Promise<Record<Way, number[]>> {
  const networks = Object.values(swarmNetworks).flatMap((network) => ["--network", network]);
  const name = `on${host}`;
  const service = await lab.service(name, ...networks, "--constraint", `node.hostname==host${host}`, "--", "idle");
  const [task] = await service.running(1);
  if (task === undefined) throw new Error("there is no task");
  await using _server = await serveOn(task, port, [process.execPath, program, "serve", `${port}`]);
  const addresses: Readonly<Record<Way, string>> = {
    vip: await service.vip(swarmNetworks.tsnet),
    direct: await task.ipv4(swarmNetworks.tsnet),
    own: await task.ipv4(swarmNetworks.bridge),
  };
  for (const address of Object.values(addresses))
    await until(`${address} answers`, settleMs, async () => {
      return (await attempt(await from.enter(command(address, 0.01)))).code === 0;
    });
  const [all] = await samplesInTurn(ways, { rounds, count: 1 }, async (way) => [await perSecond(from, addresses[way])]);
  if (all === undefined) throw new Error("nothing was measured");
  return all;
}

function rateFigures(what: string, { vip, direct, own }: Record<Way, number[]>): Figure[] {
  const name = `swarm: new TCP connections a second to ${what}`;
  return [
    {
      ...{ name: `${name}, by virtual IP over directly`, unit: "ratio" },
      tsnet: vip.map((one, round) => one / (direct[round] ?? Number.NaN)),
      limit: { of: "median", value: 0.9, atLeast: true },
    },
    { name: `${name}, by virtual IP; Docker's own overlay directly`, unit: "1/s", tsnet: vip, bridge: own },
    { name: `${name}, directly`, unit: "1/s", tsnet: direct, bridge: own },
  ];
}

const count = 10_000;

async function shareFigures(lab: SwarmLab, from: Container): Promise<Figure[]> {
  const network = swarmNetworks.tsnet;
  const service = await lab.service("five", "--network", network, "--replicas", "5", "--", "idle");
  const tasks = await service.running(5);
  const vip = await service.vip(network);
  await using _ = await Identities.start(tasks);
  await until("all are asked", settleMs, async () => shares(await askOften(from, vip, identityPort, 100)).size === 5);
  const answers = await askOften(from, vip, identityPort, count);
  const failed = failures(answers);
  if (failed.length > 0) throw new Error(`${failed.length} of ${count} connections failed: ${failed[0]}`);
  const counts = shares(answers);
  const percents = (await addressesOf(tasks, network)).map((one) => (100 * (counts.get(one) ?? 0)) / count);
  const figure = { unit: "%", tsnet: percents } as const;
  const name = `swarm: share of ${count} connections that a task of five gets`;
  return [
    { ...figure, name: `${name}, smallest`, limit: { of: "min", value: 17, atLeast: true } },
    { ...figure, name: `${name}, largest`, limit: { of: "max", value: 23 } },
  ];
}

/** On a swarm of their own. */
export const connectionFigures = (): Promise<Figure[]> =>
  onSwarm({}, async (lab) => {
    await createNetworks(lab);
    const from = await Container.run(lab.host(2), { network: swarmNetworks.tsnet });
    await lab.host(2).docker("network", "connect", swarmNetworks.bridge, from.id);
    const figures: Figure[] = [];
    for (const { what, host } of places) figures.push(...rateFigures(what, await rates(lab, from, host)));
    return [...figures, ...(await shareFigures(lab, from))];
  });
