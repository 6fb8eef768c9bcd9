/** What /proc says of the machine's processes. */
import { readdirSync, readFileSync } from "node:fs";

/** Fields of /proc/PID/stat that matter here: man 5 proc. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks after boot: with the pid it names one process for good. */
  readonly startTicks: number;
}

export function listProcesses(): ProcessInfo[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? []);
}

/** undefined if there is no such process, or it is a zombie. */
export function readProcess(pid: number): ProcessInfo | undefined {
  const stat = readProc(pid, "stat");
  // the name stands in brackets and may hold anything
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (!fields || fields[0] === "Z") return undefined;
  return { pid, parent: Number(fields[1]), startTicks: Number(fields[19]) };
}

/** The only child of a process, such as what nsenter or unshare started; undefined while there is none. */
export const childOf = (parent: number): number | undefined =>
  listProcesses().find((process) => process.parent === parent)?.pid;

/** A file of /proc/PID; undefined if the process is gone. */
export function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
