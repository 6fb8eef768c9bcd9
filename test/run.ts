/**
 * Runs the rings of tests, one after another: `node test/run.ts [RING...]`, by default all of them. Prints "N passed, N failed" at
 * the end, and exits with 1 if anything failed, a change to the machine included.
 */
import { spawn } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { exitOf } from "./support/commands.ts";
import { compare, runMarker, snapshotFiles, snapshotMachine } from "./support/leftovers.ts";
import { until } from "./support/poll.ts";
import type { Totals } from "./support/reporter.ts";
import { makeDirectory, newName, removeDirectory, sweep } from "./support/scratch.ts";
import { setUp } from "./support/setup.ts";

/** How a ring's mocha is started. */
interface Ring {
  readonly needsRoot: boolean;
  /** Comes before mocha's own command line. */
  readonly wrapper: readonly string[];
  readonly timeoutMs: number;
}

/** Links, rules and files of /run that a test of the netns ring makes vanish with its process. */
const ownNamespaces = 'mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && ip link set lo up && exec "$@"';
const isolated = [
  "unshare",
  "--net",
  "--mount",
  "--pid",
  "--fork",
  "--kill-child",
  "--mount-proc",
  "sh",
  "-c",
  ownNamespaces,
  "sh",
];

const rings: Readonly<Record<string, Ring>> = {
  unit: { needsRoot: false, wrapper: [], timeoutMs: 10_000 },
  netns: { needsRoot: true, wrapper: isolated, timeoutMs: 30_000 },
  docker: { needsRoot: true, wrapper: [], timeoutMs: 120_000 },
};

/** Links of a namespace go a moment after its last process. */
const settleMs = 5_000;

/** Set by a signal: mocha is ended, its hosts end with it, and what they leave on the disk is swept. */
const interruption = new AbortController();

const root = new URL("..", import.meta.url).pathname;

async function runRing(name: string, ring: Ring): Promise<Totals> {
  const files = globSync(`test/${name}/**/*.test.ts`, { cwd: root });
  if (files.length === 0) return { passed: 0, failed: 0 };
  console.log(`\n${name}`);
  const scratch = makeDirectory(newName());
  try {
    return await runMocha(ring, files, join(scratch, "totals.json"));
  } finally {
    removeDirectory(scratch);
  }
}

async function runMocha(ring: Ring, files: readonly string[], totalsFile: string): Promise<Totals> {
  const mocha = [process.execPath, "node_modules/mocha/bin/mocha.js", "--reporter", "test/support/reporter.ts"];
  const [file = "", ...args] = [...ring.wrapper, ...mocha, "--timeout", `${ring.timeoutMs}`, "--exit", ...files];
  const env = { ...process.env, TEST_TSNET_TOTALS: totalsFile, NODE_NO_WARNINGS: "1" };
  const mochaProcess = spawn(file, args, { cwd: root, stdio: "inherit", env });
  interruption.signal.addEventListener("abort", () => mochaProcess.kill("SIGTERM"), { once: true });
  const code = await exitOf(mochaProcess);
  const totals = readTotals(totalsFile);
  // a mocha that ended without a word, or with an error that no test had, is a failure as well
  return code !== 0 && totals.failed === 0 ? { ...totals, failed: 1 } : totals;
}

function readTotals(file: string): Totals {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { passed: 0, failed: 1 };
  }
}

/** Runs `work` and compares the machine before and after it. */
async function withoutLeftovers(work: () => Promise<Totals[]>): Promise<Totals[]> {
  await sweep();
  const machine = await snapshotMachine();
  await setUp();
  const files = snapshotFiles();
  const totals = await work();
  await sweep();
  let differences: string[] = [];
  const clean = until("the machine is as it was", settleMs, async () => {
    differences = [...compare(machine, await snapshotMachine()), ...compare(files, snapshotFiles())];
    return differences.length === 0;
  });
  const isClean = await clean.catch(() => false);
  console.log(isClean ? "\nNothing is left on the machine." : `\nLeft on the machine:\n${differences.join("\n")}`);
  return [...totals, isClean ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }];
}

async function main(names: readonly string[]): Promise<boolean> {
  const chosen = names.length > 0 ? names : Object.keys(rings);
  const unknown = chosen.filter((name) => !Object.hasOwn(rings, name));
  if (unknown.length > 0)
    throw new Error(`no such ring: ${unknown.join(", ")}; there are ${Object.keys(rings).join(", ")}`);
  const work = async () => {
    const totals: Totals[] = [];
    for (const name of chosen) if (!interruption.signal.aborted) totals.push(await runRing(name, rings[name] as Ring));
    return totals;
  };
  const needsRoot = chosen.some((name) => rings[name]?.needsRoot);
  const totals = needsRoot ? await withoutLeftovers(work) : await work();
  const passed = totals.reduce((sum, ring) => sum + ring.passed, 0);
  const failed = totals.reduce((sum, ring) => sum + ring.failed, 0);
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}

process.env[runMarker] = `${process.pid}`;
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => interruption.abort());
process.exit((await main(process.argv.slice(2))) ? 0 : 1);
