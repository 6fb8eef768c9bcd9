/** What tsnet has said that could not start, and a second one. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { attempt } from "./commands.ts";
import type { Host } from "./host.ts";
import type { ManagedPlugin } from "./managed-plugin.ts";
import type { Plugin } from "./plugin.ts";
import { removeDirectory } from "./scratch.ts";

/** The lines of its log, or of dockerd's where it is a managed plugin, without what Docker puts around them. */
export const saidBy = ({ plugin }: { readonly plugin: Plugin }): string[] =>
  readFileSync(plugin.logFile, "utf8")
    .split("\n")
    .flatMap((line) => /\btsnet cannot start: .*?(?=\\?" plugin=|$)/.exec(line)?.[0] ?? [])
    .filter((line) => !line.includes("returned error"));

/** Installs what is installed as tsnet-plugin once more, as `docker plugin create`; it is not enabled. */
export async function installAs(host: Host, name: string): Promise<void> {
  const context = `${host.directory}/context`;
  const { directory } = host.plugin as ManagedPlugin;
  const { plugin } = JSON.parse(readFileSync(`${directory}/config.json`, "utf8"));
  await host.sh(`mkdir ${context} && cp -al ${directory}/rootfs ${context}/rootfs`);
  writeFileSync(`${context}/config.json`, JSON.stringify(plugin.Config));
  await host.docker("plugin", "create", name, context);
  removeDirectory(context);
}

const program = fileURLToPath(new URL("../../src/start.ts", import.meta.url));

/**
 * Runs tsnet as a program on a host where it cannot start.
 * @param wrapper comes before its command line
 * @returns all that it says
 * @throws Error if it ends otherwise than with code 1
 */
export async function refusedStart(host: Host, settings = {}, wrapper: readonly string[] = []): Promise<string> {
  const env = { ...process.env, TSNET_STATE_DIR: `${host.directory}/tsnet-refused`, ...settings };
  const command = host.namespace.command([...wrapper, process.execPath, program]);
  const { code, stdout, stderr } = await attempt(command, { env });
  if (code !== 1) throw new Error(`tsnet has ended with ${code}: ${stdout}${stderr}`);
  return stderr;
}
