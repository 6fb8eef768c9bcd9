/** What the files of the docker ring have in common. */
import { existsSync, readFileSync } from "node:fs";
import { Host, type HostOptions } from "./host.ts";
import { driver } from "./plugin.ts";
import { until } from "./poll.ts";

/** Deletes are batched, and a namespace takes a moment to go. */
const settleMs = 3_000;

const logLines = 25;

/**
 * One host for all tests of a `describe`. After each test its containers and networks are removed, and then nothing of tsnet may
 * be left in the kernel and in the records.
 * @returns the host, once the tests run
 */
export function useHost(dockerdFlags: readonly string[] = [], options: HostOptions = {}): () => Host {
  let host: Host;
  before("a host with dockerd and tsnet", async () => {
    host = await Host.start(dockerdFlags, options);
  });
  afterEach("nothing is left of the test", async function () {
    if (this.currentTest?.isFailed()) showLogs(host);
    await removeAll(host);
    if (driver === "tsnet") await expectNothingLeft(host);
  });
  after(() => host?.[Symbol.asyncDispose]());
  return () => host;
}

/** Removes all containers and networks of a host. */
export async function removeAll(host: Host): Promise<void> {
  const containers = await host.dockerd.api("GET", "/containers/json?all=1");
  for (const { Id } of containers) await host.dockerd.api("DELETE", `/containers/${Id}?force=1`);
  await host.dockerd.api("POST", "/networks/prune");
}

/** @throws Error that names what tsnet has left on the host, with no network there */
export async function expectNothingLeft(host: Host): Promise<void> {
  let left: string[] = [];
  const gone = until("nothing is left", settleMs, async () => {
    left = [...(await ownLinks(host)), ...(await ownElements(host)), ...ownRecords(host)];
    return left.length === 0;
  });
  await gone.catch(({ cause }: Error) => {
    throw new Error(`left behind: ${left.join(", ")}`, { cause });
  });
}

async function ownLinks(host: Host): Promise<string[]> {
  const links: { ifname: string; ifalias?: string }[] = await host.ip("link");
  return links.filter(({ ifalias = "" }) => ifalias.startsWith("tsnet:")).map(({ ifname }) => ifname);
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

/** The ends of the logs, without what dockerd says of its daily work. */
function showLogs(host: Host): void {
  for (const file of [host.plugin.logFile, host.dockerd.logFile].filter(existsSync)) {
    const lines = readFileSync(file, "utf8").split("\n");
    const telling = lines.filter((line) => line !== "" && !/level=info|cleanup warnings|cleaning up/.test(line));
    console.error(`${file}:\n${telling.slice(-logLines).join("\n")}`);
  }
}
