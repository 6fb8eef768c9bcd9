import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { TsnetError } from "../errors.ts";
import type { SetSysctl } from "../plan/op.ts";
import { remountWritable } from "./mounts.ts";

/**
 * The value of a sysctl, without its line break. Equivalent to: `sysctl -n KEY`.
 * @param key path below /proc/sys, in parts
 * @throws TsnetError "invalid" for a part that is not a file name, "kernel" with the errno
 */
export function readSysctl(key: readonly string[]): string {
  const path = pathOf(key);
  return during(path, () => readFileSync(path, "utf8").trim());
}

/** Writes a sysctl if it differs. Equivalent to: `sysctl -w KEY=VALUE`. @throws TsnetError as readSysctl */
export function setSysctl({ key, value, optional }: SetSysctl): void {
  try {
    if (readSysctl(key) === value) return;
    const path = pathOf(key);
    during(path, () => writeFileSync(path, value));
  } catch (error) {
    if (!(optional && error instanceof TsnetError && error.errno === "ENOENT")) throw error;
  }
}

/** A sysctl that each kernel has. */
const forwarding = "/proc/sys/net/ipv4/ip_forward";

/**
 * runc mounts /proc/sys read-only, also for a managed plugin that shares the host's network.
 * @throws TsnetError "kernel" if it cannot be made writable
 */
export function makeSysctlsWritable(): void {
  try {
    accessSync(forwarding, constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EROFS") remountWritable("/proc/sys");
  }
}

function pathOf(key: readonly string[]): string {
  for (const part of key) {
    if (part !== "" && part !== "." && part !== ".." && !part.includes("/") && !part.includes("\0")) continue;
    throw new TsnetError("invalid", `sysctl ${JSON.stringify(key)}: ${JSON.stringify(part)} is not the name of a file`);
  }
  return `/proc/sys/${key.join("/")}`;
}

function during<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fileError(path, error);
  }
}

/** What Node says of a file of the kernel's: "/proc/sys/…: EROFS: read-only file system, open '/proc/sys/…'". */
export function fileError(path: string, error: unknown): TsnetError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new TsnetError("kernel", `${path}: ${message}`, code === undefined ? {} : { errno: code });
}
