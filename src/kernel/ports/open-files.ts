import { readFileSync } from "node:fs";

/** How many descriptors this process may have: man 5 proc_pid_limits. Node raises it to what the administrator allows. */
export function openFilesLimit(): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
