/** The parts of the benchmarks. */
import type { Host } from "../support/host.ts";
import { dockerFigures } from "./docker-figures.ts";
import { driverFigures } from "./driver-figures.ts";
import type { Figure } from "./figures.ts";
import { ipamFigures } from "./ipam-figures.ts";
import { lanFigures } from "./lan-figures.ts";
import { overlayFigures } from "./overlay-figures.ts";
import { pluginFigures } from "./plugin-figures.ts";
import { portFigures } from "./port-figures.ts";
import type { StallMonitor } from "./stall.ts";
import { connectionFigures } from "./swarm-connections.ts";
import { leaderFigures } from "./swarm-leaders.ts";
import { programmingFigures } from "./swarm-programming.ts";
import { scaleFigures } from "./swarm-scale.ts";
import { taskFigures } from "./swarm-tasks.ts";

/** Those whose names begin with "swarm-" have hosts of their own, of whichever version of Docker. */
export const parts = {
  docker: dockerFigures,
  driver: driverFigures,
  ports: portFigures,
  ipam: ipamFigures,
  lan: lanFigures,
  overlay: overlayFigures,
  plugin: pluginFigures,
  "swarm-programming": programmingFigures,
  "swarm-connections": connectionFigures,
  "swarm-tasks": taskFigures,
  "swarm-leaders": leaderFigures,
  "swarm-scale": scaleFigures,
} satisfies Readonly<Record<string, (host: Host, stall: StallMonitor) => Promise<Figure[]>>>;

export type Part = keyof typeof parts;
export const allParts = Object.keys(parts) as Part[];

/**
 * Those that a word names: "swarm" all of the swarm's.
 * @throws Error if there are none
 */
export function partsNamed(name: string): Part[] {
  const found = allParts.filter((part) => part === name || part.startsWith(`${name}-`));
  if (found.length > 0) return found;
  throw new Error(`no part ${name}: there are ${allParts.join(", ")}, and swarm for all of these`);
}
