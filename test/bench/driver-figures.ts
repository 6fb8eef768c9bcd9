/** What the plugin itself takes: calls on its socket as dockerd makes them, without containers. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Host } from "../support/host.ts";
import type { Figure } from "./figures.ts";
import { median, timed } from "./statistics.ts";

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
async function accepted(host: Host, method: string, body: object): Promise<void> {
  const answer = await host.plugin.call(`NetworkDriver.${method}`, body);
  if (answer.Err) throw new Error(`${method}: ${answer.Err}`);
}

/** Resident memory of the plugin. */
export function residentMb(host: Host): number {
  const [, kilobytes = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${host.plugin.pid}/status`, "utf8")) ?? [];
  return (Number(kilobytes) * 1024) / 1e6;
}

/** Milliseconds from the start of the process to the answer of a call that needs the restored state. */
async function restartTime(host: Host): Promise<number> {
  await host.plugin.kill();
  return await timed(async () => {
    await host.plugin.start();
    await accepted(host, "EndpointOperInfo", { NetworkID: networkId, EndpointID: endpointId(1) });
  });
}

/** All of them. The plugin is restarted by it; `idleMb` was taken before any load. */
export async function driverFigures(host: Host, idleMb: number): Promise<Figure[]> {
  const subnet = { AddressSpace: "LocalDefault", Pool: "10.200.0.0/16", Gateway: "10.200.0.1/16", AuxAddresses: {} };
  await accepted(host, "CreateNetwork", { NetworkID: networkId, Options: {}, IPv4Data: [subnet], IPv6Data: [] });
  const times: number[] = [];
  for (let index = 1; index <= 1000; index++) times.push(await addEndpoint(host, index));
  const loadedMb = residentMb(host);
  const growth = median(times.slice(-20)) / median(times.slice(5, 25));
  const restarts: number[] = [];
  for (let round = 0; round < 3; round++) restarts.push(await restartTime(host));
  await accepted(host, "DeleteNetwork", { NetworkID: networkId });
  return [
    { name: "CreateEndpoint + Join on the socket, p50", unit: "ms", tsnet: times, limit: { of: "median", value: 1 } },
    { name: "the same, p99", unit: "ms", tsnet: times, limit: { of: "p99", value: 10 } },
    {
      name: "the same, 981st to 1,000th over 6th to 25th",
      unit: "ratio",
      tsnet: [growth],
      limit: { of: "median", value: 1.2 },
    },
    {
      name: "restart with 1,000 endpoints to repaired and answering",
      unit: "ms",
      tsnet: restarts,
      limit: { of: "max", value: 1500 },
    },
    { name: "resident memory, idle", unit: "MB", tsnet: [idleMb], limit: { of: "max", value: 110 } },
    { name: "resident memory, 1,000 endpoints", unit: "MB", tsnet: [loadedMb], limit: { of: "max", value: 150 } },
  ];
}
