/** A swarm of three hosts that has a network of each driver. */
import { SwarmLab, type SwarmOptions } from "../support/swarm-lab.ts";
import type { Driver } from "./in-turn.ts";
import { providePlugin } from "./installed-plugin.ts";

/** Docker's own overlay stands where other parts have the bridge. */
export const swarmNetworks: Readonly<Record<Driver, string>> = { bridge: "own", tsnet: "mesh" };

/** Both take containers as well. Docker's own has virtual IPs only where the kernel has IPVS. */
export async function createNetworks(lab: SwarmLab): Promise<void> {
  await lab.network(swarmNetworks.tsnet);
  await lab.docker("network", "create", "-d", "overlay", "--attachable", swarmNetworks.bridge);
}

/** Lets them measure on a swarm of their own; shows what its daemons said if something fails. */
export async function onSwarm<T>(options: SwarmOptions, measure: (lab: SwarmLab) => Promise<T>): Promise<T> {
  using _plugin = await providePlugin();
  await using lab = await SwarmLab.create(options);
  try {
    return await measure(lab);
  } catch (error) {
    lab.showLogs();
    throw error;
  }
}
