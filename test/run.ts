/**
 * Runs the rings of tests: `node test/run.ts [--once | RING... [--engine VERSION] [--packaging socket|managed] [FILE...]]`. Without words
 * it runs all of them on several versions of Docker; with --once, as CI does, each file on one. A ring that is named runs all of its
 * files, with the machine's own Docker and the socket plugin unless it is told otherwise.
 * Prints what failed, and "N passed, N failed", at the end, and exits with 1 if anything failed, a change to the machine included.
 */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { compare, runMarker, snapshotFiles, snapshotMachine } from "./support/leftovers.ts";
import { until } from "./support/poll.ts";
import type { Totals } from "./support/reporter.ts";
import { failed, interrupt, isOfSwarm, prepare, type Run, rings, runAll, type Settings } from "./support/rings.ts";
import { sweep } from "./support/scratch.ts";
import { setUp } from "./support/setup.ts";

/** Files of the docker ring that are the same with every version of Docker, and are left out of all but one in CI. */
const sameWithEachEngine =
  /^(conflicts|crash|faults|install-docs|ipv6-only|isolation|nat|neighbor-docker-user|neighbor-policy|cli-networks|lan-docs|lan-host-access-repair|lan-host-address|lan-parents)\./;

/** Files that look at what the plugin does, and not at how it is started and reached. */
const sameWithEachPackaging =
  /^(cli-networks|conflicts|gateway-modes|install-docs|ipam-(compare|docs|subnets)|ipv6-only|isolation|lan-(compare|docs|duplicates|errors|modes|published)|nat|publish-errors)\./;

/** Of a version between those that are tested as a whole; and of the oldest one with the managed plugin, besides what is about that. */
const short = /^(network|ports|lan-macvlan|ipam|restart|plugin-registry)\./;

/** The swarms of one of two engines that are alike. */
const shortSwarm = /^swarm-(reach|update|vip)\./;

/** Files of the docker ring that look at neither, and those of `short`. */
const onOldest = (file: string): boolean =>
  sameWithEachEngine.test(file) || sameWithEachPackaging.test(file) || short.test(file);

/** What `npm test` runs. */
const all: readonly Run[] = [
  { ring: "unit" },
  { ring: "netns" },
  { ring: "lab" },
  { ring: "lab", engine: "20.10", packaging: "managed", isWanted: (file) => shortSwarm.test(file) },
  { ring: "lab", engine: "28.5", packaging: "managed" },
  { ring: "docker", engine: "20.10", packaging: "socket" },
  {
    ring: "docker",
    engine: "28.5",
    packaging: "socket",
    isWanted: (file) => !sameWithEachEngine.test(file),
  },
  {
    ring: "docker",
    engine: "20.10",
    packaging: "managed",
    isWanted: (file) => short.test(file) || file.startsWith("plugin-"),
  },
  {
    ring: "docker",
    engine: "28.5",
    packaging: "managed",
    isWanted: (file) => !sameWithEachPackaging.test(file) && !sameWithEachEngine.test(file),
  },
  { ring: "docker", engine: "26.1", packaging: "managed", isWanted: (file) => short.test(file) },
  { ring: "vm", isWanted: (file) => !/^(cli|lan-docs)\./.test(file) },
  { ring: "vm", packaging: "managed" },
];

/** What CI runs: each file once, and `short` as program and as managed plugin. */
const once: readonly Run[] = [
  { ring: "unit" },
  { ring: "netns" },
  { ring: "lab" },
  { ring: "lab", engine: "28.5", packaging: "managed" },
  { ring: "docker", engine: "20.10", packaging: "socket", isWanted: onOldest },
  {
    ring: "docker",
    engine: "28.5",
    packaging: "managed",
    isWanted: (file) => !onOldest(file) || short.test(file),
  },
  { ring: "docker", engine: "20.10", packaging: "managed", isWanted: (file) => file.startsWith("plugin-build.") },
  { ring: "vm", isWanted: (file) => !/^(cli|lan-docs)\./.test(file) },
  { ring: "vm", packaging: "managed" },
];

/** Links of a namespace go a moment after its last process. */
const settleMs = 5_000;

/** Runs all, and compares the machine before and after it. */
async function withoutLeftovers(runs: readonly Run[]): Promise<Totals[]> {
  await sweep();
  const machine = await snapshotMachine();
  await setUp();
  await prepare(runs);
  const files = snapshotFiles();
  const counts = await runAll(runs);
  await sweep();
  let differences: string[] = [];
  const clean = until("the machine is as it was", settleMs, async () => {
    differences = [...compare(machine, await snapshotMachine()), ...compare(files, snapshotFiles())];
    return differences.length === 0;
  });
  const isClean = await clean.catch(() => false);
  console.log(isClean ? "\nNothing is left on the machine." : `\nLeft on the machine:\n${differences.join("\n")}`);
  const one: Totals = { passed: 1, failed: 0, files: {}, failures: [] };
  return [...counts, isClean ? one : failed("something is left on the machine")];
}

const options = {
  engine: { type: "string" },
  packaging: { type: "string" },
  once: { type: "boolean" },
} satisfies ParseArgsConfig["options"];

/** @throws Error that names a word that is none */
function chosen(words: string[]): Run[] {
  const { values, positionals } = parseArgs({ args: words, options, allowPositionals: true });
  const files = positionals.filter((word) => word.endsWith(".test.ts"));
  const names = positionals.filter((word) => !files.includes(word));
  const { once: isOnce = false, ...settings } = values;
  if (names.length === 0 && files.length === 0 && Object.keys(settings).length === 0)
    return isOnce ? once.map((run) => ({ ...run, isRecorded: false })) : [...all];
  if (isOnce) throw new Error("--once goes without other words");
  const unknown = names.find((name) => !Object.hasOwn(rings, name));
  if (unknown !== undefined) throw new Error(`no such ring: ${unknown}; there are ${Object.keys(rings).join(", ")}`);
  const wanted = names.length > 0 ? names : ["docker"];
  return wanted.flatMap((ring) => {
    if (ring === "lab" || ring === "vm") return swarmRuns(ring, settings as Settings, files);
    const of = { ring: ring as Run["ring"], ...(files.length > 0 ? { files } : {}) };
    return ring === "docker" ? [{ ...of, ...(settings as Settings) }] : [of];
  });
}

/** The files of a swarm take an engine, and the others have the machine's own; without words about it, both are run. */
function swarmRuns(ring: "lab" | "vm", { engine, packaging }: Settings, files: readonly string[]): Run[] {
  const forms = (["socket", "managed"] as const).filter((form) => packaging === undefined || form === packaging);
  return forms.flatMap((form): Run[] => {
    const named = files.filter((file) => isOfSwarm(file) === (form === "managed"));
    if (files.length > 0 && named.length === 0) return [];
    const takesEngine = form === "managed" && ring === "lab" && engine !== undefined;
    const settings = form === "managed" ? { packaging: form, ...(takesEngine ? { engine } : {}) } : {};
    return [{ ring, ...settings, ...(files.length > 0 ? { files: named } : {}) }];
  });
}

async function main(words: string[]): Promise<boolean> {
  const runs = chosen(words);
  const needsRoot = runs.some(({ ring }) => rings[ring].needsRoot);
  const counts = needsRoot ? await withoutLeftovers(runs) : await runAll(runs);
  const passed = counts.reduce((sum, count) => sum + count.passed, 0);
  const bad = counts.reduce((sum, count) => sum + count.failed, 0);
  for (const { output } of counts) if (output !== undefined) console.log(`\n${output}\n`);
  for (const line of counts.flatMap(({ failures }) => failures)) console.log(line);
  console.log(`\n${passed} passed, ${bad} failed`);
  return bad === 0 && passed > 0;
}

process.env[runMarker] = `${process.pid}`;
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, interrupt);
process.exit((await main(process.argv.slice(2))) ? 0 : 1);
