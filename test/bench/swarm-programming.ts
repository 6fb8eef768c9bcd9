/** How soon a node has the virtual IPs of many services in its kernel. */
import { fileURLToPath } from "node:url";
import { run } from "../support/commands.ts";
import { isolated } from "../support/rings.ts";
import type { Figure } from "./figures.ts";
import type { Programming } from "./vip-programming.ts";

const program = fileURLToPath(new URL("vip-programming.ts", import.meta.url));

/** Each has a first time of its own. */
const processes = 5;

export async function programmingFigures(): Promise<Figure[]> {
  const all: Programming[] = [];
  while (all.length < processes) all.push(JSON.parse(await run([...isolated, process.execPath, program])));
  const name = "swarm: 200 services of 5 tasks into the kernel of a node";
  const limit = { of: "max", value: 2000 } as const;
  const change = (what: string, times: (one: Programming) => readonly number[]): Figure => ({
    ...{ name: `swarm: ${what}, where there are 200 services of 5`, unit: "ms", tsnet: all.flatMap(times) },
  });
  return [
    { name: `${name}, first time of a process`, unit: "ms", tsnet: all.map(({ first }) => first), limit },
    { name: `${name}, later`, unit: "ms", tsnet: all.flatMap(({ later }) => later), limit },
    { ...change("one task more", ({ more }) => more), limit: { of: "median", value: 10 } },
    change("one task less, and the flows that led to it", ({ less }) => less),
  ];
}
