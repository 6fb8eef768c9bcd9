/** What a node of a swarm has when it should have nothing, and what its daemon said before. */
import { readFileSync } from "node:fs";
import type { Host } from "./host.ts";
import type { EtcdCluster } from "./lab-etcd.ts";
import { until } from "./poll.ts";

/** Swarm stops its containers in its own time. */
const settleMs = 30_000;

const logLines = 25;
const logLineLength = 500;

/** What dockerd says of its daily work, and of the IPVS that it does not find. */
const daily = new RegExp(
  [
    ...["level=info(?!.* plugin=)", String.raw`\\"level\\":30`, "deprecated", "cleanup warnings", "cleaning up"],
    ...["net\\.ipv4\\.(neigh|vs)", "cgroup", "snapshotter", "default.vlan", "v2 registry", "pulling image"],
    ...[
      "rmServiceBinding",
      "Inconsistent driver",
      "Configuration migrated",
      "Failed to find network",
      "refcount",
      "Neighbor entry already",
      "load balancing endpoint",
    ],
  ].join("|"),
);

/** The end of the daemon's log, in which the plugin's lines are as well. */
export function telling({ dockerd }: Host): string[] {
  const lines = readFileSync(dockerd.logFile, "utf8").split("\n");
  const kept = lines.filter((line) => line !== "" && !daily.test(line));
  return kept.slice(-logLines).map((line) => line.slice(0, logLineLength));
}

/** Links in use, namespaces, elements and records. */
export async function leftOf(host: Host): Promise<string[]> {
  const at = (what: string): string => `${what} on host ${host.number}`;
  const links: { ifname: string; ifalias?: string }[] = await host.ip("link");
  const own = links.filter(({ ifname, ifalias = "" }) => ifalias.startsWith("tsnet:") && !ifname.startsWith("tsd-"));
  const names = (await host.sh("ls /run/netns 2>/dev/null || true")).split("\n");
  const elements = (await host.nft("list table inet tsnet"))
    .map((object) => object.set ?? object.map)
    .filter((set) => set && set.name !== "docker_links" && set.elem)
    .map((set) => `elements of ${set.name}`);
  const records = (["network", "endpoint", "pool", "lease"] as const).flatMap((kind) =>
    [...host.records(kind).keys()].map((id) => `record ${kind} ${id}`),
  );
  const namespaces = names.filter((name) => name.startsWith("tsnet-")).map((name) => `namespace ${name}`);
  return [...own.map(({ ifname }) => `link ${ifname}`), ...namespaces, ...elements, ...records].map(at);
}

/** Networks and places, where there is an etcd. */
export async function keysLeftOf(etcd: EtcdCluster | undefined): Promise<string[]> {
  if (etcd === undefined) return [];
  const keys = await Promise.all(["/tsnet/overlay/", "/tsnet/place/"].map((prefix) => etcd.keys(prefix)));
  return keys.flat().map((key) => `${key} in etcd`);
}

/** Those that swarm stops itself are waited for. */
export async function removeContainers(host: Host): Promise<void> {
  await until(`host ${host.number} has no containers`, settleMs, async () => {
    const containers: { Id: string; Labels: Record<string, string> }[] = await host.dockerd.api(
      "GET",
      "/containers/json?all=1",
    );
    for (const { Id, Labels } of containers) {
      if (!("com.docker.swarm.task.id" in Labels)) await host.dockerd.api("DELETE", `/containers/${Id}?force=1`);
    }
    return containers.length === 0;
  });
}
