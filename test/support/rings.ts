/** The rings of tests: where each has its files, and what its mocha runs in. */
import { spawn } from "node:child_process";
import { closeSync, cpSync, globSync, openSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { exitOf } from "./commands.ts";
import { record } from "./compatibility.ts";
import { type Engine, engines, enterEngine, isMachines, makeEngine } from "./engine.ts";
import { makePlugin } from "./managed.ts";
import { installedVariable } from "./managed-plugin.ts";
import { type Packaging, packagings } from "./plugin.ts";
import type { Totals } from "./reporter.ts";
import { makeDirectory, newName, removeDirectory } from "./scratch.ts";
import { makeVm } from "./vm.ts";

/** How a ring's mocha is started. */
interface Ring {
  readonly needsRoot: boolean;
  readonly timeoutMs: number;
  /** So many mochas share the files of a run; each has namespaces of its own. One by default. */
  readonly parts?: number;
  /** So many of its parts and runs at once, as long as two processors have time: tests wait more than they work. One by default. */
  readonly atOnce?: number;
}

/** How the docker ring is run, and the files of a swarm of the rings lab and vm. */
export interface Settings {
  /** Docker's version; by default the machine's own, whichever it is. */
  readonly engine?: Engine;
  readonly packaging?: Packaging;
}

/** A ring, with some of its files or all. */
export interface Run extends Settings {
  readonly ring: keyof typeof rings;
  /** "test/docker/network.test.ts" */
  readonly files?: readonly string[];
  /** Asked with "network.test.ts". */
  readonly isWanted?: (file: string) => boolean;
  /** Whether the table of docs/compatibility.md shows it: by default, unless files are named. */
  readonly isRecorded?: boolean;
  /** Which part of a run it is: "2 of 9". */
  readonly part?: string;
}

const root = new URL("../..", import.meta.url).pathname;
const page = join(root, "docs/compatibility.md");

export const rings = {
  unit: { needsRoot: false, timeoutMs: 10_000 },
  netns: { needsRoot: true, timeoutMs: 30_000, parts: 9, atOnce: 3 },
  docker: { needsRoot: true, timeoutMs: 120_000, atOnce: 3 },
  lab: { needsRoot: true, timeoutMs: 180_000, parts: Number.POSITIVE_INFINITY, atOnce: 2 },
  vm: { needsRoot: true, timeoutMs: 300_000 },
} as const satisfies Readonly<Record<string, Ring>>;

const ownNamespaces = 'mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && ip link set lo up && exec "$@"';
/** Comes before a command line: links, rules and files of /run that the command makes vanish with its process. */
export const isolated: readonly string[] = [
  ...["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...["sh", "-c", ownNamespaces, "sh"],
];

/** Set by a signal: mocha is ended, its hosts end with it, and what they leave on the disk is swept. */
const interruption = new AbortController();
export const interrupt = (): void => interruption.abort();

/** Where the plugin is that all runs have: whoever edits the sources meanwhile does not change it. */
let plugin: string | undefined;

/** Makes what the runs need besides the packages, and says what that is. @throws Error for a setting that is none */
export async function prepare(runs: readonly Run[]): Promise<void> {
  for (const { engine, packaging } of runs) {
    if (engine !== undefined && !engines.includes(engine))
      throw new Error(`--engine ${engine}: expected one of ${engines.join(", ")}`);
    if (packaging !== undefined && !packagings.includes(packaging))
      throw new Error(`--packaging ${packaging}: expected one of ${packagings.join(", ")}`);
  }
  for (const engine of new Set(runs.flatMap((run) => run.engine ?? [])))
    if (!(await isMachines(engine))) console.log(await makeEngine(engine));
  if (runs.some(({ packaging }) => packaging === "managed")) plugin = await makePlugin();
  if (runs.some(({ ring }) => ring === "vm")) console.log(await makeVm());
}

/** Of a part with failures, so much is shown at the end of the run. */
const shownLines = 80;
const shownLength = 300;

/** What is at once waits longer for what it expects. */
const patienceAtOnce = "2";

/** Runs one ring after another; of each, several parts at once, each of which is shown when it has ended. */
export async function runAll(runs: readonly Run[]): Promise<Totals[]> {
  const totals: Totals[] = [];
  const times: string[] = [];
  for (const ring of new Set(runs.map((run) => run.ring))) {
    const startedAt = performance.now();
    const parts = await Promise.all(runs.filter((run) => run.ring === ring).map(partsOf));
    totals.push(...(await runParts(parts.flat(), rings[ring])));
    times.push(`${ring} ${seconds(startedAt)} s`);
  }
  console.log(`\n${times.join(", ")}`);
  return totals;
}

async function runParts(parts: readonly Run[], { atOnce = 1 }: Ring): Promise<Totals[]> {
  const totals: Totals[] = [];
  const left = [...parts];
  const way = Math.min(atOnce, parts.length) > 1 ? "at once" : "alone";
  const work = async (): Promise<void> => {
    for (let run = left.shift(); run !== undefined; run = left.shift()) totals.push(await runOne(run, way));
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return totals;
}

/** Neighbors are in different parts: they often take as long as each other. Files that are named run alone, and are seen to run. */
async function partsOf(run: Run): Promise<Run[]> {
  const { parts = 1 }: Ring = rings[run.ring];
  if (parts === 1 || run.files !== undefined) return [run];
  const files = await filesOf(run);
  const count = Math.min(parts, files.length);
  return Array.from({ length: count }, (_, part) => ({
    ...run,
    files: files.filter((_, index) => index % count === part),
    ...(count > 1 ? { part: `${part + 1} of ${count}` } : {}),
  }));
}

async function filesOf(run: Run): Promise<readonly string[]> {
  if (run.files !== undefined) return run.files;
  const { ring, isWanted = () => true } = run;
  const isPossible = await possibleFiles(run);
  const all = globSync(`test/${ring}/**/*.test.ts`, { cwd: root }).sort();
  return all.filter((file) => isWanted(basename(file)) && isPossible(basename(file)));
}

const nothing: Totals = { passed: 0, failed: 0, files: {}, failures: [] };

/** Of something that failed without a test. */
export const failed = (what: string): Totals => ({ ...nothing, failed: 1, failures: [what] });

/** Runs a ring or a part of it, or nothing after an interruption. */
async function runOne(run: Run, way: "alone" | "at once"): Promise<Totals> {
  if (interruption.signal.aborted) return nothing;
  const { ring, engine, packaging = "socket", part } = run;
  const files = await filesOf(run);
  if (files.length === 0) return nothing;
  const hasSettings = ring === "docker" || packaging === "managed";
  const name = hasSettings ? `${ring}, ${engine ?? "the machine's own"}, ${packaging}` : ring;
  const title = part === undefined ? name : `${name}, ${part}`;
  console.log(way === "alone" ? `\n${title}` : `\n${title}: begins`);
  const startedAt = performance.now();
  const scratch = makeDirectory(newName());
  try {
    const totals = await runMocha(run, files, scratch, way);
    console.log(`${title}: ${totals.passed} passed, ${totals.failed} failed in ${seconds(startedAt)} s`);
    const { isRecorded = run.files === undefined } = run;
    if (engine !== undefined && isRecorded) record(page, `${engine} ${packaging}`, totals.files);
    return { ...totals, failures: totals.failures.map((line) => `${title}: ${line}`) };
  } catch (error) {
    console.error(`${title}:`, error); // the other runs go on to their ends
    return failed(`${title}: ${error}`);
  } finally {
    removeDirectory(scratch);
  }
}

/** Whether it is one of the rings lab and vm with a swarm, which takes managed plugins only. */
export const isOfSwarm = (file: string): boolean => basename(file).startsWith("swarm");

/** Tests of the managed plugin need it, and the one that builds it needs the machine's own npm and mirror. */
async function possibleFiles({ ring, engine, packaging = "socket" }: Run): Promise<(file: string) => boolean> {
  if (ring === "lab" || ring === "vm") return (file) => isOfSwarm(file) === (packaging === "managed");
  if (ring !== "docker") return () => true;
  if (packaging !== "managed") return (file) => !file.startsWith("plugin-");
  const isMachine = engine === undefined || (await isMachines(engine));
  return (file) => isMachine || !file.startsWith("plugin-build.");
}

const seconds = (startedAt: number): number => Math.round((performance.now() - startedAt) / 1000);

async function runMocha(run: Run, files: readonly string[], scratch: string, way: string): Promise<Totals> {
  const { ring } = run;
  const patience = way === "alone" ? {} : { TEST_TSNET_PATIENCE: process.env["TEST_TSNET_PATIENCE"] ?? patienceAtOnce };
  const totalsFile = join(scratch, "totals.json");
  const wrapper = await wrapperOf(run);
  const mocha = [process.execPath, "node_modules/mocha/bin/mocha.js", "--reporter", "test/support/reporter.ts"];
  const [file = "", ...args] = [
    ...wrapper,
    ...mocha,
    "--timeout",
    `${rings[ring].timeoutMs * (way === "alone" ? 1 : 2)}`,
    "--exit",
    ...files,
  ];
  // as many threads as the product has: compile-cache.ts
  const ours = { TEST_TSNET_TOTALS: totalsFile, NODE_NO_WARNINGS: "1", UV_THREADPOOL_SIZE: "8" };
  const env = { ...process.env, ...patience, ...packagingOf(run, scratch), ...ours };
  const output = join(scratch, "output");
  const stdio = way === "alone" ? "inherit" : openSync(output, "w");
  const mochaProcess = spawn(file, args, { cwd: root, stdio: ["ignore", stdio, stdio], env });
  interruption.signal.addEventListener("abort", () => mochaProcess.kill("SIGTERM"), { once: true });
  const code = await exitOf(mochaProcess);
  const read = readTotals(totalsFile);
  // a mocha that ended without a word, or with an error that no test had, is a failure as well
  const totals =
    code !== 0 && read.failed === 0 ? { ...read, failed: 1, failures: [`mocha ended with ${code}`] } : read;
  if (typeof stdio !== "number") return totals;
  closeSync(stdio);
  const printed = readFileSync(output, "utf8");
  process.stdout.write(printed);
  return totals.failed === 0 ? totals : { ...totals, output: withoutPassed(printed) };
}

/** Many parts are printed after this one: what it says of its failures is shown again at the end. */
const withoutPassed = (printed: string): string =>
  printed
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.includes("✔"))
    .slice(-shownLines)
    .map((line) => line.slice(0, shownLength))
    .join("\n");

/** Comes before mocha's own command line. */
async function wrapperOf({ ring, engine }: Run): Promise<readonly string[]> {
  if (ring === "netns") return isolated;
  if (ring === "vm") return [process.execPath, "test/support/vm-run.ts"];
  return engine === undefined || (await isMachines(engine)) ? [] : enterEngine(engine, root);
}

/** The build of the plugin is copied to where all hosts' directories are: they have links to the files of the installed one. */
function packagingOf({ packaging = "socket" }: Run, scratch: string): NodeJS.ProcessEnv {
  if (packaging === "socket" || plugin === undefined) return {};
  const copy = join(scratch, "plugin");
  cpSync(plugin, copy, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  return { TEST_TSNET_PACKAGING: packaging, [installedVariable]: join(copy, "plugins") };
}

function readTotals(file: string): Totals {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return failed("mocha has told no totals");
  }
}
