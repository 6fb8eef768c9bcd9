/** The commands of a page of docs/, and how tests run them. */
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { attempt, run } from "./commands.ts";
import type { Host } from "./host.ts";

export const clone = new URL("../..", import.meta.url).pathname;

/** npm's and Docker's part in them. */
const timeoutMs = 400_000;

/** The distribution's commands come before the machine's others, and before both what the page has put into the host's /usr/local/bin. */
const distribution = `/usr/sbin:/usr/bin:/sbin:/bin:${process.env["PATH"]}`;

/** Each block for the shell, in the order of the page, by the heading that it is below. */
export function commandsOf(page: string): ReadonlyMap<string, readonly string[]> {
  const sections = readFileSync(join(clone, "docs", page), "utf8")
    .split(/^## /m)
    .slice(1);
  const found = sections.map((text): [string, string[]] => {
    const [heading = ""] = text.split("\n", 1);
    return [heading, [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block)];
  });
  return new Map(found.filter(([, blocks]) => blocks.length > 0));
}

/** Whether there is an npm; the roots of the newer Dockers have none. */
export const hasNpm = async (): Promise<boolean> => (await attempt(["sh", "-c", "command -v npm"])).code === 0;

/** Runs a block on the host, in that directory. @returns what it prints @throws Error with the first command that fails */
export const runOnHost = (host: Host, block: string, directory: string): Promise<string> =>
  run(host.namespace.command(["bash", "-ec", `cd ${directory}\n${block}`]), {
    env: { ...host.dockerEnvironment(), PATH: `/usr/local/bin:${distribution}`, HOME: host.directory },
    timeoutMs,
  });

/** Runs a block on this machine, which reaches npm's registry, with the host's Docker and the host's directory as /opt. */
export const runHere = (host: Host, block: string, directory: string): Promise<string> =>
  run(["unshare", "--mount", "bash", "-ec", `mount --bind ${optOf(host)} /opt\ncd ${directory}\n${block}`], {
    env: { ...process.env, ...host.dockerEnvironment(), PATH: distribution, DOCKER_HOST: `unix://${host.socket}` },
    timeoutMs,
  });

/** What is /opt on the host, once `shareOpt` has made it so. */
const optOf = (host: Host): string => `${host.directory}/opt`;

/** A host's own /opt and /usr/local/bin; the first is seen from here as well. */
export async function shareOpt(host: Host): Promise<void> {
  mkdirSync(optOf(host));
  await host.sh(`mount --bind ${optOf(host)} /opt; mount -t tmpfs tmpfs /usr/local/bin`);
}

/** Puts what a clone has into the host's /opt. @param modules whether with this clone's packages @returns its path there */
export function copyClone(host: Host, name: string, modules: boolean): string {
  for (const entry of ["package.json", "package-lock.json", "LICENSE", "Dockerfile", "src", "plugin", "docs"])
    cpSync(join(clone, entry), join(optOf(host), name, entry), { recursive: true, preserveTimestamps: true });
  mkdirSync(join(optOf(host), name, "test"));
  cpSync(join(clone, "test/bootstrap.mjs"), join(optOf(host), name, "test/bootstrap.mjs"));
  if (modules) symlinkSync(join(clone, "node_modules"), join(optOf(host), name, "node_modules"));
  return `/opt/${name}`;
}
