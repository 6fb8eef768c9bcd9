/**
 * Runs the rings of tests, one after another: `node test/run.ts [RING...] [FILE...]`, by default all of them; a ring that is named runs
 * all of its files.
 * Prints "N passed, N failed" at the end, and exits with 1 if anything failed, a change to the machine included.
 */
import { spawn } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { exitOf } from "./support/commands.ts";
import { compare, runMarker, snapshotFiles, snapshotMachine } from "./support/leftovers.ts";
import { enterNewerDocker, makeNewerDocker } from "./support/newer-docker.ts";
import { until } from "./support/poll.ts";
import type { Totals } from "./support/reporter.ts";
import { makeDirectory, newName, removeDirectory, sweep } from "./support/scratch.ts";
import { setUp } from "./support/setup.ts";
import { makeVm } from "./support/vm.ts";

/** How a ring's mocha is started. */
interface Ring {
  /** Where its tests are, below test. */
  readonly directory: string;
  readonly needsRoot: boolean;
  /** Files that are left out where all rings run: what they look at is much the same with every version of Docker, and every kernel. */
  readonly leavesOut?: RegExp;
  /** Makes what it needs besides the packages, and says what that is. */
  readonly prepare?: () => Promise<string>;
  /** Comes before mocha's own command line. */
  readonly wrapper: readonly string[];
  readonly timeoutMs: number;
}

const root = new URL("..", import.meta.url).pathname;

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
  unit: { directory: "unit", needsRoot: false, wrapper: [], timeoutMs: 10_000 },
  netns: { directory: "netns", needsRoot: true, wrapper: isolated, timeoutMs: 30_000 },
  docker: { directory: "docker", needsRoot: true, wrapper: [], timeoutMs: 120_000 },
  docker28: {
    directory: "docker",
    needsRoot: true,
    leavesOut: new RegExp(
      "/(conflicts|crash|faults|ipv6-only|isolation|nat|neighbor-docker-user|neighbor-policy|" +
        "cli-networks|lan-docs|lan-host-access-repair|lan-host-address|lan-parents)\\.test\\.ts$",
    ),
    prepare: makeNewerDocker,
    wrapper: enterNewerDocker(root),
    timeoutMs: 120_000,
  },
  vm: {
    directory: "vm",
    needsRoot: true,
    leavesOut: /\/(cli|lan-docs)\.test\.ts$/,
    prepare: makeVm,
    wrapper: [process.execPath, "test/support/vm-run.ts"],
    timeoutMs: 300_000,
  },
};

/** Links of a namespace go a moment after its last process. */
const settleMs = 5_000;

/** Set by a signal: mocha is ended, its hosts end with it, and what they leave on the disk is swept. */
const interruption = new AbortController();

async function runRing(name: string, ring: Ring, isWanted: (file: string) => boolean): Promise<Totals> {
  const files = globSync(`test/${ring.directory}/**/*.test.ts`, { cwd: root }).filter(isWanted);
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
async function withoutLeftovers(chosen: readonly Ring[], work: () => Promise<Totals[]>): Promise<Totals[]> {
  await sweep();
  const machine = await snapshotMachine();
  await setUp();
  for (const { prepare } of chosen) if (prepare) console.log(await prepare());
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

async function main(words: readonly string[]): Promise<boolean> {
  const files = words.filter((word) => word.endsWith(".test.ts"));
  const names = words.filter((word) => !files.includes(word));
  const chosen = names.length > 0 ? names : Object.keys(rings);
  const unknown = chosen.filter((name) => !Object.hasOwn(rings, name));
  if (unknown.length > 0)
    throw new Error(`no such ring: ${unknown.join(", ")}; there are ${Object.keys(rings).join(", ")}`);
  const wantedOf = (name: string) => (file: string) =>
    files.length > 0 ? files.includes(file) : names.length > 0 || !rings[name]?.leavesOut?.test(file);
  const work = async () => {
    const totals: Totals[] = [];
    for (const name of chosen)
      if (!interruption.signal.aborted) totals.push(await runRing(name, rings[name] as Ring, wantedOf(name)));
    return totals;
  };
  const needRoot = chosen.map((name) => rings[name] as Ring).filter((ring) => ring.needsRoot);
  const totals = needRoot.length > 0 ? await withoutLeftovers(needRoot, work) : await work();
  const passed = totals.reduce((sum, ring) => sum + ring.passed, 0);
  const failed = totals.reduce((sum, ring) => sum + ring.failed, 0);
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}

process.env[runMarker] = `${process.pid}`;
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => interruption.abort());
process.exit((await main(process.argv.slice(2))) ? 0 : 1);
