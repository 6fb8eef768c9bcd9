/** What a test run may not change: the machine as others see it, before and after. */
import { existsSync, globSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { attempt } from "./commands.ts";
import { listProcesses, readProc } from "./processes.ts";

/** One kind of state, as a list of lines. */
type Snapshot = Readonly<Record<string, readonly string[]>>;

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
  "/var/tmp",
  "/root",
];

/** Tables, links and processes: what must be as it was, also after the installation of packages. */
export async function snapshotMachine(): Promise<Snapshot> {
  return {
    links: (await linesOf(["ip", "-o", "link"])).map(withoutCounters),
    addresses: (await linesOf(["ip", "-o", "addr"])).map(withoutCounters),
    routes: [...(await linesOf(["ip", "-4", "route", "show", "table", "all"]))],
    nft: await linesOf(["nft", "-s", "list", "ruleset"]),
    iptables: [
      ...(await legacyRules("iptables", "ip_tables_names")),
      ...(await legacyRules("ip6tables", "ip6_tables_names")),
    ],
    mounts: readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ").slice(3, 5).join(" ")),
    processes: foreignProcesses(),
    cgroups: globSync(["/sys/fs/cgroup/*docker*", "/sys/fs/cgroup/*/*docker*", "/sys/fs/cgroup/{*,*/*}tsnet*"]),
  };
}

export function snapshotFiles(): Snapshot {
  return Object.fromEntries(directories.filter((path) => existsSync(path)).map((path) => [path, readdirSync(path)]));
}

/** What is in one snapshot and not in the other: "links: + 7: tsb-0123: …". Empty if nothing differs. */
export function compare(before: Snapshot, after: Snapshot): string[] {
  return Object.keys({ ...before, ...after }).flatMap((kind) => {
    const [old, now] = [new Set(before[kind]), new Set(after[kind])];
    const added = [...now].filter((line) => !old.has(line)).map((line) => `${kind}: + ${line}`);
    const removed = [...old].filter((line) => !now.has(line)).map((line) => `${kind}: - ${line}`);
    return [...added, ...removed];
  });
}

/** A missing program has nothing to list. */
async function linesOf(command: readonly string[]): Promise<string[]> {
  const outcome = await attempt(command).catch(() => undefined);
  return outcome?.stdout.split("\n").filter(Boolean) ?? [];
}

/** Lifetimes of addresses count down; indexes stay with the link. */
const withoutCounters = (line: string): string =>
  line
    .replace(/\\.*$/, "")
    .replace(/ (valid|preferred)_lft \S+/g, "")
    .trim();

/** Rules of legacy iptables. They are listed only where tables exist, since listing makes them. */
async function legacyRules(program: string, names: string): Promise<string[]> {
  const file = `/proc/net/${names}`;
  if (!existsSync(file) || readFileSync(file, "utf8").trim() === "") return [];
  const lines = await linesOf([`${program}-legacy-save`]);
  return lines.filter((line) => !line.startsWith("#")).map((line) => line.replace(/\[\d+:\d+\]/, ""));
}

/** Processes that a run has started, and those in a pid namespace that is not this one. */
function foreignProcesses(): string[] {
  const ours = readlinkSync("/proc/self/ns/pid");
  return listProcesses().flatMap(({ pid, startTicks }) => {
    if (pid === process.pid || pid === process.ppid) return [];
    const marked = readProc(pid, "environ")?.split("\0").includes(`${runMarker}=${process.env[runMarker]}`);
    const elsewhere = namespaceOf(pid) !== ours;
    return marked || elsewhere ? [`${pid} (since ${startTicks}) ${readProc(pid, "comm")?.trim()}`] : [];
  });
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return readlinkSync("/proc/self/ns/pid"); // gone, or a kernel thread
  }
}
