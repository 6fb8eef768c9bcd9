import { readdirSync, readlinkSync } from "node:fs";

/** How many sockets this process has, those of its threads among them. */
export const openSockets = (): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // the one that the directory is read by
    }
  }).length;
