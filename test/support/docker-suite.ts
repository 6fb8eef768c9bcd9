/** What the files of the docker ring have in common. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Host, type HostOptions } from "./host.ts";
import { driver } from "./plugin.ts";
import { until } from "./poll.ts";

/** Deletes are batched, and a namespace takes a moment to go. */
const settleMs = 3_000;

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

const logLines = 25;
const logLineLength = 500;

/**
 * One host for all tests of a `describe`. After each test its containers and networks are removed, and then nothing of tsnet may
 * be left in the kernel and in the records, but for links that are out of use and wait for others to be deleted with.
 * @param options a function is asked when the hosts before this one run
 * @returns the host, once the tests run
 */
export function useHost(
  dockerdFlags: readonly string[] = [],
  options: HostOptions | (() => HostOptions) = {},
): () => Host {
  let host: Host;
  before("a host with dockerd and tsnet", async () => {
    host = await Host.start(dockerdFlags, typeof options === "function" ? options() : options);
  });
  leaveNothing(() => host);
  after(() => endHost(host));
  return () => host;
}

/** For a describe: after each of its tests nothing may be left on the host. */
export function leaveNothing(host: () => Host): void {
  afterEach("nothing is left of the test", async function () {
    if (this.currentTest?.isFailed()) showLogs(host());
    await removeAll(host());
    if (driver === "tsnet") await expectNothingLeft(host());
  });
}

/** @throws Error that names the links that tsnet has left there */
export async function endHost(host: Host | undefined): Promise<void> {
  await using last = host;
  if (driver === "tsnet" && last !== undefined) await expectNoLinkLeft(last);
}

/** Removes all containers and networks of a host. */
export async function removeAll(host: Host): Promise<void> {
  const { dockerd } = host;
  const containers = await dockerd.api("GET", "/containers/json?all=1");
  for (const { Id } of containers) await dockerd.api("DELETE", `/containers/${Id}?force=1`);
  await dockerd.api("POST", "/networks/prune");
  if (!(await hasMiscounted(host))) return;
  await dockerd.restart();
  await dockerd.api("POST", "/networks/prune");
}

/**
 * Docker up to 27 counts a network's endpoints in its store, and can miscount those that come or go at the same time
 * (moby/moby#42119). Then it keeps a network without any until it is restarted and counts anew, and asks the driver nothing.
 */
async function hasMiscounted(host: Host): Promise<boolean> {
  const networks: { Id: string; Driver: string; Containers?: object }[] = await host.dockerd.api("GET", "/networks");
  const left = networks.find(({ Driver }) => Driver === driver && !["bridge", "host", "null"].includes(Driver));
  if (left === undefined || host.records("endpoint").size > 0) return false;
  const log = readFileSync(host.dockerd.logFile, "utf8");
  return log.includes(`id ${left.Id} has active endpoints`);
}

/**
 * Has tsnet ask Docker for its networks now, as its check does, which ends with 1 where it finds something: otherwise it hears of a
 * change a moment after the docker command that made it.
 */
export const dockerIsAsked = (host: Host): Promise<string> => host.sh(`${program} ipam check --json || [ $? = 1 ]`);

/** @throws Error that names what tsnet has left on the host, with no network there */
export async function expectNothingLeft(host: Host): Promise<void> {
  let left: string[] = [];
  const gone = until("nothing is left", settleMs, async () => {
    const kernel = [...(await ownLinks(host)), ...(await ownTables(host)), ...(await ownElements(host))];
    left = [...kernel, ...(await ownNamespaces(host)), ...ownRecords(host)];
    return left.length === 0;
  });
  await gone.catch(({ cause }: Error) => {
    throw new Error(`left behind: ${left.join(", ")}`, { cause });
  });
}

/** @throws Error that names the links that tsnet has left on the host, those that wait to be deleted among them */
async function expectNoLinkLeft(host: Host): Promise<void> {
  await until("no link is left", settleMs, async () => (await taggedLinks(host)).length === 0);
}

/** The links of tsnet that are in use. */
const ownLinks = async (host: Host): Promise<string[]> =>
  (await taggedLinks(host)).filter((name) => !name.startsWith("tsd-"));

async function taggedLinks(host: Host): Promise<string[]> {
  const links: { ifname: string; ifalias?: string }[] = await host.ip("link");
  return links.filter(({ ifalias = "" }) => ifalias.startsWith("tsnet:")).map(({ ifname }) => ifname);
}

/**
 * The table of host access, which is there only with a network that has it. Not asked for with -j: nft 1.0.6 then reads freed memory for a
 * table with flags, as tsnet-hold is.
 */
async function ownTables(host: Host): Promise<string[]> {
  const tables = (await host.sh("nft list tables")).split("\n");
  return tables.filter((line) => line === "table arp tsnet");
}

/** The network namespaces of tsnet, and their files without one. */
async function ownNamespaces(host: Host): Promise<string[]> {
  const names = (await host.sh("ls /run/netns 2>/dev/null || true")).split("\n");
  return names.filter((name) => name.startsWith("tsnet-")).map((name) => `namespace ${name}`);
}

/** All elements of tsnet's sets and maps, but for the names of Docker's own bridges, which are there without networks of ours. */
async function ownElements(host: Host): Promise<string[]> {
  const objects = await host.nft("list table inet tsnet");
  return objects
    .map((object) => object.set ?? object.map)
    .filter((set) => set && set.name !== "docker_links" && set.elem)
    .map((set) => `${set.name} ${JSON.stringify(set.elem)}`);
}

function ownRecords(host: Host): string[] {
  return (["network", "endpoint", "pool", "lease"] as const).flatMap((kind) =>
    [...host.records(kind).keys()].map((id) => `record ${kind} ${id}`),
  );
}

/** The ends of the logs, without what dockerd says of its daily work; a managed plugin's lines are all of level info there. */
export function showLogs(host: Host): void {
  for (const file of new Set([host.plugin.logFile, host.dockerd.logFile].filter(existsSync))) {
    const lines = readFileSync(file, "utf8").split("\n");
    const daily = /level=info(?!.* plugin=)|cleanup warnings|cleaning up/;
    const telling = lines.filter((line) => line !== "" && !daily.test(line));
    const shown = telling.slice(-logLines).map((line) => line.slice(0, logLineLength));
    console.error(`${file}:\n${shown.join("\n")}`);
  }
}
