/** What tells this host from others: machine-id(5), or an ID of our own where there is none. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * @param stateDir where one is kept that was made here; no other process may use it meanwhile
 * @returns 32 hexadecimal digits, the same at each start
 * @throws Error with errno if it can neither be read nor made
 */
export async function machineId(stateDir: string, hostsFile = "/etc/machine-id"): Promise<string> {
  const file = join(stateDir, "machine-id");
  return (await idIn(file)) ?? (await idIn(hostsFile)) ?? (await make(stateDir, file));
}

async function idIn(file: string): Promise<string | undefined> {
  const text = await readFile(file, "utf8").catch(() => "");
  return /^[0-9a-f]{32}$/.test(text.trim()) ? text.trim() : undefined;
}

async function make(stateDir: string, file: string): Promise<string> {
  const id = randomBytes(16).toString("hex");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, `${id}\n`, { flush: true }); // renamed whole: a half-written one would be another host's
  await rename(`${file}.new`, file);
  return id;
}
