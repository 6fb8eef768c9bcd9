/**
 * `npm run bench`: tsnet and Docker's own drivers in turn, on one dockerd; prints the table and writes docs/benchmarks.md.
 * `npm run bench -- docker`, `driver`, `ports`, `ipam`, `lan`, `overlay`, `plugin` or `swarm` measures one part, and prints it only; so does
 * a part of swarm, as `swarm-leaders`. Those of swarm take `--engine 28.5` for another Docker than the machine's.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exitOf } from "../support/commands.ts";
import { type Engine, engines, enterEngine, isMachines, makeEngine } from "../support/engine.ts";
import { sweep } from "../support/scratch.ts";
import { setUp } from "../support/setup.ts";
import { providePlugin } from "./installed-plugin.ts";
import { type Part, partsNamed } from "./parts.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Chosen {
  /** All if there are none. */
  readonly parts: readonly Part[];
  readonly engine: Engine | undefined;
}

/** @throws Error that names a word that is none */
function chosen(args: string[]): Chosen {
  const { values, positionals } = parseArgs({ args, options: { engine: { type: "string" } }, allowPositionals: true });
  const parts = positionals.flatMap(partsNamed);
  if (values.engine === undefined) return { parts, engine: undefined };
  const engine = engines.find((one) => one === values.engine);
  if (engine === undefined) throw new Error(`--engine ${values.engine}: expected one of ${engines.join(", ")}`);
  // the others need programs that the root of a newer Docker does not have
  const others = parts.filter((part) => !part.startsWith("swarm-"));
  if (parts.length === 0 || others.length > 0)
    throw new Error(`--engine ${engine}: only the part swarm takes it, and not ${others.join(", ") || "all parts"}`);
  return { parts, engine };
}

/** Comes before the command line that measures. */
async function wrapperFor(engine: Engine | undefined): Promise<string[]> {
  if (engine === undefined || (await isMachines(engine))) return [];
  console.log(await makeEngine(engine));
  return enterEngine(engine, root);
}

/** Measures in a process that ends with all that it has started, also when it is interrupted. @returns its exit code */
async function measure({ parts, engine }: Chosen): Promise<number> {
  await setUp();
  const wrapper = await wrapperFor(engine);
  // built with the machine's own Docker
  using _plugin = engine === undefined ? undefined : await providePlugin();
  const [file = "", ...args] = [...wrapper, process.execPath, "test/bench/measure.ts", ...parts];
  const child = spawn(file, args, { cwd: root, stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => child.kill("SIGTERM"));
  return await exitOf(child);
}

await sweep();
const code = await measure(chosen(process.argv.slice(2)));
await sweep();
process.exit(code === 0 ? 0 : 1);
