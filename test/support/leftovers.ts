/** What a test run may not change: the machine as others see it, before and after. */
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { attempt } from "./commands.ts";
import { listProcesses, readProc } from "./processes.ts";
import { cacheDirectory, leftNames, prefix } from "./scratch.ts";

/** One kind of state each, as a list of lines; undefined where the program that lists it is not installed. */
export type Snapshot = Readonly<Record<string, readonly string[] | undefined>>;

/** Marks every process that a run starts; children inherit it. */
export const runMarker = "TEST_TSNET_RUN";

/** Directories whose entries are compared; installed packages add to some, so that files are looked at after the set-up. */
const directories = [
  "/run",
  "/run/docker",
  "/run/netns",
  "/etc",
  "/etc/docker",
  "/opt",
  "/var/lib",
  "/var/lib/docker",
  "/var/cache",
  cacheDirectory,
  "/root",
];

/** Where every program leaves files: only names that are ours count, and of scratch.ts only those whose owner is gone. */
const temporary = ["/tmp", "/var/tmp"];

/** Tables, links and processes: what must be as it was, also after the installation of packages. */
export async function snapshotMachine(): Promise<Snapshot> {
  return {
    links: readdirSync("/sys/class/net"),
    addresses: (await linesOf(["ip", "-o", "addr"]))?.map(withoutLifetimes),
    routes: await linesOf(["ip", "-4", "route", "show", "table", "all"]),
    nft: (await linesOf(["nft", "-s", "list", "ruleset"])) ?? [],
    iptables: [
      ...(await legacyRules("iptables", "ip_tables_names")),
      ...(await legacyRules("ip6tables", "ip6_tables_names")),
    ],
    mounts: readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ").slice(3, 5).join(" ")),
    processes: ownProcesses(),
    cgroups: globSync(["/sys/fs/cgroup/docker", "/sys/fs/cgroup/*/docker"]),
    scratch: leftNames(),
  };
}

export function snapshotFiles(): Snapshot {
  const entries = directories.filter((path) => existsSync(path)).map((path) => [path, readdirSync(path)]);
  const ours = temporary.map((path) => [
    path,
    readdirSync(path).filter((name) => name.startsWith("tsnet") && !name.startsWith(prefix)),
  ]);
  return Object.fromEntries([...entries, ...ours]);
}

/** What is in one snapshot and not in the other: "links: + 7: tsb-0123: …". Empty if nothing differs. */
export function compare(before: Snapshot, after: Snapshot): string[] {
  return Object.keys({ ...before, ...after }).flatMap((kind) => {
    if (kind in before && before[kind] === undefined) return [];
    const [old, now] = [new Set(before[kind]), new Set(after[kind])];
    const added = [...now].filter((line) => !old.has(line)).map((line) => `${kind}: + ${line}`);
    const removed = [...old].filter((line) => !now.has(line)).map((line) => `${kind}: - ${line}`);
    return [...added, ...removed];
  });
}

/** undefined if there is no such program. */
async function linesOf(command: readonly string[]): Promise<string[] | undefined> {
  const outcome = await attempt(command).catch(() => undefined);
  return outcome?.stdout.split("\n").filter(Boolean);
}

/** Lifetimes of addresses count down. */
const withoutLifetimes = (line: string): string =>
  line
    .replace(/\\.*$/, "")
    .replace(/ (valid|preferred)_lft \S+/g, "")
    .trim();

/** Rules of legacy iptables. They are listed only where tables exist, since listing makes them. */
async function legacyRules(program: string, names: string): Promise<string[]> {
  const file = `/proc/net/${names}`;
  if (!existsSync(file) || readFileSync(file, "utf8").trim() === "") return [];
  const lines = (await linesOf([`${program}-legacy-save`])) ?? [];
  return lines.filter((line) => !line.startsWith("#")).map((line) => line.replace(/\[\d+:\d+\]/, ""));
}

/** Processes that this run has started. What runs in a test's containers ends with the namespaces that these hold. */
function ownProcesses(): string[] {
  const mark = `${runMarker}=${process.env[runMarker]}`;
  return listProcesses()
    .filter(({ pid }) => pid !== process.pid && readProc(pid, "environ")?.split("\0").includes(mark))
    .map(({ pid, startTicks }) => `${pid} (since ${startTicks}) ${readProc(pid, "comm")?.trim()}`);
}
