/** `tsnet ports`, as text. */
import type { PublishedPort } from "../driver/report-answers.ts";
import type { Names } from "./docker-names.ts";
import { formatBytes, formatTable } from "./table.ts";

/** A published port with the names that Docker has for its owner; null where Docker was not asked or does not know. */
export interface NamedPort extends PublishedPort {
  readonly containerName: string | null;
  readonly networkName: string | null;
}

/** Sorted by host port. */
export const namedPorts = (ports: readonly PublishedPort[], { containers, networks }: Names): NamedPort[] =>
  ports
    .map((port) => ({
      ...port,
      containerName: containers.get(port.endpoint) ?? null,
      networkName: networks.get(port.network) ?? null,
    }))
    .toSorted(byHostPort);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const byHostPort = (a: NamedPort, b: NamedPort): number =>
  a.hostPort - b.hostPort || compare(a.protocol, b.protocol) || compare(a.hostAddress, b.hostAddress);

const header = ["HOST", "PROTOCOL", "TARGET", "CONTAINER", "NETWORK", "SERVED BY", "CONNECTIONS", "PACKETS", "BYTES"];

const servers = { kernel: "kernel", proxy: "proxy", both: "kernel, proxy", nobody: "nobody" } as const;

export const formatPorts = (ports: readonly NamedPort[]): string =>
  formatTable(
    header,
    ports.map((port) => [
      formatBlock(port.hostAddress, port.hostPort, port.count),
      port.protocol,
      formatBlock(port.containerAddress, port.containerPort, port.count),
      port.containerName ?? `endpoint ${port.endpoint.slice(0, 12)}`,
      port.networkName ?? port.network.slice(0, 12),
      servers[port.servedBy],
      `${port.connections}`,
      `${port.packets}`,
      formatBytes(port.bytes),
    ]),
  );

/** "0.0.0.0:8000-8010", "[::]:80" */
function formatBlock(address: string, first: number, count: number): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return `${host}:${first}${count > 1 ? `-${first + count - 1}` : ""}`;
}
