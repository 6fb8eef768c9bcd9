/** A swarm with tsnet's IPAM whose leaders change. */
import { pluginName } from "../support/managed-plugin.ts";
import { away, type SwarmLab } from "../support/swarm-lab.ts";
import { changeLeaders } from "../support/swarm-lab-succession.ts";
import type { Figure } from "./figures.ts";
import { onSwarm, swarmNetworks } from "./swarm-networks.ts";

const tasks = 50;
const startMs = 120_000;

async function measure(lab: SwarmLab): Promise<Figure[]> {
  const network = swarmNetworks.tsnet;
  await lab.network(network, "--ipam-driver", pluginName);
  const words = ["--network", network, ...away, "--replicas", `${tasks}`, "--", "idle"];
  const service = await lab.service("web", ...words);
  await service.running(tasks, startMs);
  const changes = await changeLeaders(lab, { service, network });
  const name = `swarm: the leader changes, ${tasks} tasks, tsnet's IPAM`;
  const none = { of: "max", value: 0 } as const;
  return [
    {
      ...{ name: `${name}: the next task placed`, unit: "ms", tsnet: changes.map(({ placedMs }) => placedMs) },
      limit: { of: "max", value: 10_000 },
    },
    { name: `${name}: the next task running`, unit: "ms", tsnet: changes.map(({ runningMs }) => runningMs) },
    {
      ...{ name: `${name}: given twice`, unit: "addresses", limit: none },
      tsnet: changes.map(({ duplicates }) => duplicates.length),
    },
    {
      ...{ name: `${name}: started again`, unit: "tasks", limit: none },
      tsnet: changes.map(({ ended }) => ended.length),
    },
  ];
}

/** On a swarm of their own, of managers. */
export const leaderFigures = (): Promise<Figure[]> => onSwarm({ managers: 3 }, measure);
