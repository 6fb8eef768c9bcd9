/**
 * What tests put outside the clone: directories below /var/tmp and /var/cache, and control groups. Their names say who made them, so that a
 * later run can remove what a killed one has left, and never touches what a running one uses.
 */
import { randomBytes } from "node:crypto";
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { until } from "./poll.ts";
import { readProcess } from "./processes.ts";

/** Begins all of these names. */
export const prefix = "tsnet-test";

/** Not /tmp: that may be a tmpfs, and images and databases belong on a disk. */
export const workDirectory = "/var/tmp";

/** What later runs use again. Not below /var/tmp, where old files go one by one. */
export const cacheDirectory = "/var/cache/tsnet-test";
const cgroups = "/sys/fs/cgroup";

/** Killed processes take a moment to end. */
const sweepDeadlineMs = 10_000;

/** Number of this process' pid namespace: what another namespace calls 4711 is somebody else's process. */
const pidNamespace = statSync("/proc/self/ns/pid").ino;

/** "tsnet-test-NAMESPACE-PID-START-RANDOM": namespace, pid and start time name one owner, and are never used again. */
const namePattern = new RegExp(`^${prefix}-${pidNamespace}-(\\d+)-(\\d+)-[0-9a-f]+$`);

/** A name for a directory and a control group of this process. */
export const newName = (): string =>
  `${prefix}-${pidNamespace}-${process.pid}-${readProcess(process.pid)?.startTicks ?? 0}-${randomBytes(4).toString("hex")}`;

export function makeDirectory(name: string): string {
  const path = `${workDirectory}/${name}`;
  mkdirSync(path, { mode: 0o700 });
  return path;
}

export const removeDirectory = (path: string): void => rmSync(path, { recursive: true, force: true });

/**
 * Makes a control group in every hierarchy of the machine.
 * @returns its directories: one on a machine with control groups version 2, several with version 1
 */
export function makeCgroups(name: string): string[] {
  const roots = existsSync(`${cgroups}/cgroup.controllers`)
    ? [cgroups]
    : readdirSync(cgroups, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => `${cgroups}/${entry.name}`);
  return roots.map((root) => {
    const path = `${root}/${name}`;
    mkdirSync(path);
    // a new cpuset of version 1 is empty, and takes no process until it has something: man 7 cpuset
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      if (root.endsWith("/cpuset")) writeFileSync(`${path}/${file}`, readFileSync(`${root}/${file}`));
    }
    return path;
  });
}

/** Removes a control group with all below it, once its last process is gone. */
export function removeCgroups(name: string): void {
  for (const path of globSync([`${cgroups}/${name}`, `${cgroups}/*/${name}`])) removeTree(path);
}

/** The files of a control group cannot be unlinked; its directories go from the deepest on. */
function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(`${path}/${entry.name}`);
  }
  rmdirSync(path);
}

/**
 * Removes what runs left that were killed; what belongs to a living process stays. Waits for the processes of a run that was
 * killed just now, which the kernel ends.
 */
export async function sweep(): Promise<void> {
  await until("what killed runs left is removed", sweepDeadlineMs, () => {
    for (const name of leftNames()) {
      removeCgroups(name); // EBUSY while a process is in one
      for (const directory of [workDirectory, cacheDirectory]) removeDirectory(`${directory}/${name}`);
    }
    return true;
  });
}

/** Names of directories and control groups whose owner was in this pid namespace, and is gone. */
export function leftNames(): string[] {
  const parents = [workDirectory, cacheDirectory, cgroups, `${cgroups}/*`];
  const paths = globSync(parents.map((parent) => `${parent}/${prefix}-*`));
  return [...new Set(paths.map((path) => path.slice(path.lastIndexOf("/") + 1)))].filter((name) => {
    const [, pid, start] = namePattern.exec(name) ?? [];
    return pid !== undefined && readProcess(Number(pid))?.startTicks !== Number(start);
  });
}
