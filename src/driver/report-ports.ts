/** Published ports with what has been counted for them. */
import { portElements } from "../plan/firewall.ts";
import type { Endpoint, GatewayNetwork, PortMapping } from "../plan/network.ts";
import type { ElementCounters, ObservedCounters, ProxiedPort } from "../plan/observed.ts";
import { serving } from "../plan/ports.ts";
import type { PublishedPort } from "./report-answers.ts";

/** What has been counted, to look up in. */
export interface Counts {
  readonly elements: ElementCounters;
  /** By `proxiedKey`. */
  readonly proxied: ReadonlyMap<string, ProxiedPort>;
}

export const countsOf = ({ elements, proxied }: ObservedCounters): Counts => ({
  elements,
  proxied: new Map(proxied.map((one) => [proxiedKey(one.protocol, one.address, one.port), one])),
});

const proxiedKey = (protocol: string, address: string, port: number): string => `${protocol} ${address} ${port}`;

/** One mapping of an endpoint. */
export function reportPort(
  mapping: PortMapping,
  endpoint: Endpoint,
  network: GatewayNetwork,
  counts: Counts,
): PublishedPort {
  const { protocol, hostAddress, hostPort, count, containerPort } = mapping;
  const { element, target } = serving(mapping, endpoint, network);
  const { connections, packets, bytes } = sum(mapping, endpoint, network, counts);
  return {
    ...{ protocol, hostAddress, hostPort, count, containerPort },
    containerAddress: target?.address ?? ownAddress(endpoint, hostAddress.includes(":")),
    network: network.id,
    endpoint: endpoint.id,
    servedBy: element ? (target === null ? "kernel" : "both") : target === null ? "nobody" : "proxy",
    ...{ connections, packets, bytes },
  };
}

/** The endpoint's address of a family, or of the other if it has none of that. */
function ownAddress({ addresses }: Endpoint, isIpv6: boolean): string {
  const address = addresses.find((candidate) => candidate.includes(":") === isIpv6) ?? addresses[0];
  return address?.split("/")[0] ?? "";
}

/** The maps count connections, the sets of container ports packets and bytes of both directions. */
function sum(mapping: PortMapping, endpoint: Endpoint, network: GatewayNetwork, { elements, proxied }: Counts) {
  const total = { connections: 0, packets: 0, bytes: 0 };
  for (const [set, key] of portElements({ ...endpoint, ports: [mapping] }, network)) {
    const counter = elements[set]?.[key];
    if (counter === undefined) continue;
    if (set.startsWith("traffic")) {
      total.packets += counter.packets;
      total.bytes += counter.bytes;
    } else total.connections += counter.packets;
  }
  for (let step = 0; step < mapping.count; step++) {
    const own = proxied.get(proxiedKey(mapping.protocol, mapping.hostAddress, mapping.hostPort + step));
    total.connections += own?.connections ?? 0;
    total.bytes += own?.bytes ?? 0;
  }
  return total;
}
