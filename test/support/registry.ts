/** A registry of one's own, Debian's docker-registry, which only its host reaches; and builds of the plugin to put into it. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Host } from "./host.ts";
import { installedVariable } from "./managed-plugin.ts";
import { until } from "./poll.ts";

/** Docker asks a registry on 127.0.0.0/8 without TLS. */
const address = "127.0.0.1:5000";
const startDeadlineMs = 10_000;

const settings = (directory: string): string => `
version: 0.1
storage: { filesystem: { rootdirectory: ${directory} } }
http: { addr: "${address}" }
`;

/** What it is called in the registry. */
export const reference = (tag: string): string => `${address}/tsnet/tsnet-plugin:${tag}`;

/** Starts it in the host; it ends with the host. */
export async function startRegistry(host: Host): Promise<void> {
  const directory = join(host.directory, "registry");
  mkdirSync(directory);
  const settingsFile = join(directory, "config.yml");
  writeFileSync(settingsFile, settings(directory));
  await host.namespace.start(["docker-registry", "serve", settingsFile], join(directory, "log"), process.env);
  await until("the registry listens", startDeadlineMs, async () => {
    const { stdout } = await host.exec(`ss -Hltn 'src ${address}'`);
    return stdout !== "";
  });
}

/** The build of the plugin that all tests have installed: config.json and rootfs/. */
export function build(): string {
  const installed = process.env[installedVariable];
  if (installed === undefined) throw new Error(`${installedVariable} is not set: run the tests by test/run.ts`);
  return dirname(installed);
}

/** Paths of all that is in its root file system, links and directories too, in order. Node's readdirSync follows links. */
export const listRootfs = (directory: string): string[] =>
  execFileSync("find", [join(directory, "rootfs"), "-mindepth", "1", "-printf", "%P\\0"], { encoding: "utf8" })
    .split("\0")
    .filter(Boolean)
    .toSorted();

/** A build that differs from `build()` in a file, and in what it says of itself. @returns its directory */
export function otherBuild(host: Host, description: string): string {
  const directory = join(host.directory, `build-${description.replaceAll(" ", "-")}`);
  mkdirSync(directory);
  execFileSync("cp", ["-al", join(build(), "rootfs"), directory]);
  writeFileSync(join(directory, "rootfs/usr/lib/tsnet/build"), description);
  const config = JSON.parse(readFileSync(join(build(), "config.json"), "utf8"));
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...config, description }));
  return directory;
}

/** Gives a build to Docker as a plugin, pushes it, and removes it: only the registry has it then. */
export async function publish(host: Host, directory: string, tag: string): Promise<void> {
  await host.docker("plugin", "create", reference(tag), directory);
  await host.docker("plugin", "push", reference(tag));
  await host.docker("plugin", "rm", reference(tag));
}

/** `docker plugin install`, under a name of its own. */
export const installPlugin = (host: Host, name: string, tag: string, ...words: string[]): Promise<string> =>
  host.docker("plugin", "install", "--grant-all-permissions", "--alias", name, reference(tag), ...words);
