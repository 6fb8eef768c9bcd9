import { readdirSync, readlinkSync } from "node:fs";

/**
 * What this process has open, its threads too. Sockets and pipes are named by their inodes: a count is the same when one was closed
 * and another one opened.
 */
export const openFiles = (): string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the one that the directory is read by
    }
  });

export const isSocket = (file: string): boolean => file.startsWith("socket:");

export const openSockets = (): number => openFiles().filter(isSocket).length;
