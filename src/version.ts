import { readFile } from "node:fs/promises";

/** Of the tsnet that runs, as its package.json has it: "0.1.0". @throws Error if that cannot be read */
export async function ownVersion(file: URL = new URL("../package.json", import.meta.url)): Promise<string> {
  return JSON.parse(await readFile(file, "utf8")).version;
}
