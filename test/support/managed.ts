/**
 * The managed plugin, as the tests install it: built once by `npm run plugin:build`, with Docker and Debian's packages of this machine, and
 * kept as long as nothing that it is made of changes.
 */
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { run } from "./commands.ts";
import { makeDebianRoot } from "./debian-root.ts";
import { Host } from "./host.ts";
import { until } from "./poll.ts";
import { cacheDirectory, newName, removeDirectory } from "./scratch.ts";

const root = new URL("../..", import.meta.url).pathname;

const buildTimeoutMs = 300_000;
const keptBuilds = 3;
const compileTimeoutMs = 60_000;

/** The name of the base image that is made of the machine's own packages, where no public registry can be reached. */
export const baseImage = "tsnet-test-base";

/** As in Dockerfile. */
const baseSuite = "trixie";

/** What a build of the plugin needs of Debian, so that nothing is fetched while it runs. */
const basePackages = ["nftables", "iptables", "conntrack", "libc-bin", "libstdc++6"];

/** Everything that the plugin is made of. */
function recipe(): string {
  const hash = createHash("sha256").update(basePackages.join());
  const files = globSync(["src/**/*.*", "src/cli/tsnet", "plugin/*", "Dockerfile", "package*.json"], { cwd: root });
  for (const file of files.toSorted()) hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  return hash.digest("hex").slice(0, 12);
}

/** Where it is kept: config.json and rootfs/, as for `docker plugin create`, and plugins/, as dockerd has it afterwards. */
export const builtPlugin = (): string => `${cacheDirectory}/plugin-${recipe()}`;

/** Makes the base image in a host's daemon. */
export async function importBase(host: Host): Promise<void> {
  const base = await makeDebianRoot({ suite: baseSuite, packages: basePackages });
  await run(["sh", "-c", `tar -C ${base} -c . | ${dockerOf(host)} import - ${baseImage}`], {
    timeoutMs: buildTimeoutMs,
  });
}

const dockerOf = (host: Host): string => `/usr/bin/docker -H unix://${host.socket}`;

/** `npm run plugin:build -- WORDS` against a host's daemon. @returns what it prints */
export const buildPlugin = (host: Host, ...words: string[]): Promise<string> =>
  run([process.execPath, join(root, "plugin/build.ts"), "--base", baseImage, ...words], {
    env: {
      ...process.env,
      ...host.dockerEnvironment(),
      DOCKER_HOST: `unix://${host.socket}`,
      HOME: process.env["HOME"],
    },
    timeoutMs: buildTimeoutMs,
  });

/** As the first start on a host does, which so many hosts would do again. */
async function compileModules(host: Host): Promise<void> {
  await host.docker("plugin", "enable", "tsnet-plugin");
  const stamps = `${host.directory}/docker/plugins/*/rootfs/usr/lib/tsnet/node_modules/.cache/tsnet/stamp`;
  await until("the modules are compiled", compileTimeoutMs, () => globSync(stamps).length === 1);
  await host.docker("plugin", "disable", "-f", "tsnet-plugin");
  await host.sh(`rm -r ${host.directory}/docker/plugins/*/propagated-mount/*`);
}

/** All but the newest: another clone may be using its own. It may remove some at the same time as well. */
const oldBuilds = (): string[] =>
  globSync(`${cacheDirectory}/plugin-*`)
    .toSorted((a, b) => madeMs(b) - madeMs(a))
    .slice(keptBuilds);

const madeMs = (build: string): number => statSync(build, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Another clone may have built the same meanwhile. */
function keep(unfinished: string, built: string): void {
  try {
    renameSync(unfinished, built);
  } catch (error) {
    if (!existsSync(built)) throw error;
  }
}

/** Builds it, unless it is there. @returns where it is */
export async function makePlugin(): Promise<string> {
  const built = builtPlugin();
  if (existsSync(built)) return built;
  for (const old of oldBuilds()) removeDirectory(old);
  console.log(`Building the managed plugin: ${built}`);
  const unfinished = `${cacheDirectory}/${newName()}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    await using host = await Host.create();
    await host.dockerd.start();
    await importBase(host);
    await buildPlugin(host, "--output", unfinished);
    await compileModules(host);
    await host.dockerd.stop();
    await run(["cp", "-a", `${host.directory}/docker/plugins`, `${unfinished}/plugins`]);
    keep(unfinished, built);
  } finally {
    removeDirectory(unfinished);
  }
  return built;
}
