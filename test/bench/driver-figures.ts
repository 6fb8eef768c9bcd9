/** What the plugin itself takes: calls on its socket as dockerd makes them, without containers. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Host } from "../support/host.ts";
import type { Figure } from "./figures.ts";
import type { StallMonitor } from "./stall.ts";
import { median, timed } from "./statistics.ts";

const endpoints = 1000;

const networkId = createHash("sha256").update("bench").digest("hex");
const endpointId = (index: number): string => createHash("sha256").update(`endpoint ${index}`).digest("hex");

/** CreateEndpoint and Join of one endpoint: milliseconds. */
async function addEndpoint(host: Host, index: number): Promise<number> {
  const ids = { NetworkID: networkId, EndpointID: endpointId(index) };
  const address = `10.200.${(index + 2) >> 8}.${(index + 2) & 255}/16`;
  const portmap = { "com.docker.network.portmap": [], "com.docker.network.endpoint.exposedports": [] };
  return await timed(async () => {
    await accepted(host, "CreateEndpoint", {
      ...ids,
      Interface: { Address: address, AddressIPv6: "", MacAddress: "" },
      Options: portmap,
    });
    await accepted(host, "Join", { ...ids, SandboxKey: `/run/docker/netns/bench${index}`, Options: portmap });
  });
}

/** One call that must succeed. */
export async function accepted(host: Host, method: string, body: object): Promise<void> {
  const answer = await host.plugin.call(`NetworkDriver.${method}`, body);
  if (answer.Err) throw new Error(`${method}: ${answer.Err}`);
}

/** Resident memory of the plugin. */
export function residentMib(host: Host): number {
  const [, kibibytes = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${host.plugin.pid}/status`, "utf8")) ?? [];
  return Number(kibibytes) / 1024;
}

/** What the plugin itself says it took for each CreateEndpoint and the Join after it: milliseconds, in order. */
function driverTimes(host: Host): number[] {
  const told = host.plugin.logged(20).filter(({ msg }) => msg === "answered");
  const times = (method: string): number[] =>
    told.flatMap((entry) => (entry["method"] === `NetworkDriver.${method}` ? [Number(entry["ms"])] : []));
  const joins = times("Join").slice(-endpoints);
  return times("CreateEndpoint")
    .slice(-endpoints)
    .map((ms, index) => ms + (joins[index] ?? Number.NaN));
}

/** Milliseconds from the start of the process to the answer of a call that needs the restored state. */
async function restartTime(host: Host, whenListening: () => void): Promise<number> {
  await host.plugin.kill();
  return await timed(async () => {
    await host.plugin.start();
    whenListening();
    await accepted(host, "EndpointOperInfo", { NetworkID: networkId, EndpointID: endpointId(1) });
  });
}

/** A network of 1,000 endpoints: what each takes, and what they take together. */
async function endpointFigures(host: Host): Promise<Figure[]> {
  const subnet = { AddressSpace: "LocalDefault", Pool: "10.200.0.0/16", Gateway: "10.200.0.1/16", AuxAddresses: {} };
  await accepted(host, "CreateNetwork", { NetworkID: networkId, Options: {}, IPv4Data: [subnet], IPv6Data: [] });
  const onSocket: number[] = [];
  for (let index = 1; index <= endpoints; index++) onSocket.push(await addEndpoint(host, index));
  const inside = driverTimes(host);
  const growth = median(inside.slice(-50)) / median(inside.slice(5, 55));
  const name = "CreateEndpoint + Join";
  return [
    { name: `${name}, driver time, p50`, unit: "ms", tsnet: inside, limit: { of: "median", value: 1 } },
    { name: `${name}, driver time, p99`, unit: "ms", tsnet: inside, limit: { of: "p99", value: 10 } },
    { name: `${name}, as their caller sees it`, unit: "ms", tsnet: onSocket },
    {
      ...{ name: `${name}, the last 50 of 1,000 over the 6th to the 55th`, unit: "ratio", tsnet: [growth] },
      limit: { of: "median", value: 1.2 },
    },
    {
      name: "resident memory, 1,000 endpoints",
      unit: "MiB",
      tsnet: [residentMib(host)],
      limit: { of: "max", value: 150 },
    },
  ];
}

/** All of them. The plugin, which logs at level debug, is killed and started again at the end. */
export async function driverFigures(host: Host, stall: StallMonitor): Promise<Figure[]> {
  const figures = await endpointFigures(host);
  const stalls = [await stall.longest()];
  const restarts: number[] = [];
  for (let round = 0; round < 3; round++) {
    restarts.push(await restartTime(host, () => stall.begin()));
    stalls.push(await stall.longest());
  }
  await accepted(host, "DeleteNetwork", { NetworkID: networkId });
  return [
    ...figures,
    {
      ...{ name: "restart with 1,000 endpoints to repaired and answering", unit: "ms", tsnet: restarts },
      limit: { of: "max", value: 1500 },
    },
    { name: "longest stall of the main event loop", unit: "ms", tsnet: stalls, limit: { of: "max", value: 20 } },
  ];
}
