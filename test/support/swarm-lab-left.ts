/** What a node of a swarm has when it should have nothing, and what its daemon said before. */
import { readFileSync } from "node:fs";
import type { Host } from "./host.ts";

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
