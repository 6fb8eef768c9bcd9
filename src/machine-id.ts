/** What tells this host from others: machine-id(5). A managed plugin does not see the host's, and keeps one of its own. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** 32 hexadecimal digits, the same at each start. @throws Error with errno if neither can be read nor made */
export async function machineId(stateDir: string): Promise<string> {
  const hosts = (await readFile("/etc/machine-id", "utf8").catch(() => "")).trim();
  if (hosts !== "") return hosts;
  const file = join(stateDir, "machine-id");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await writeFile(file, `${randomBytes(16).toString("hex")}\n`, { flag: "wx", flush: true }).catch((error) => {
    if (error.code !== "EEXIST") throw error;
  });
  return (await readFile(file, "utf8")).trim();
}
