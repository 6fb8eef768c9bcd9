import { parseHostAddress } from "../net/cidr.ts";
import type { Endpoint, PortMapping } from "./network.ts";
import type { ForgetFlows } from "./op.ts";

/**
 * What makes the kernel forget the flows of the UDP ports that an endpoint has got or lost.
 * @param after undefined for an endpoint that is gone
 * @returns undefined if there is no such port
 */
export function planForgetFlows(before: Endpoint, after: Endpoint | undefined): ForgetFlows | undefined {
  const changed = symmetricDifference(udpMappings(before), after === undefined ? new Map() : udpMappings(after));
  if (changed.length === 0) return undefined;
  return {
    op: "forget-flows",
    protocol: "udp",
    hostPorts: [...new Set(changed.flatMap(hostPorts))],
    addresses: before.addresses.map(withoutPrefix),
  };
}

/** One for several, which costs as much as one of them. */
export const mergeForgetFlows = (ops: readonly ForgetFlows[]): ForgetFlows => ({
  op: "forget-flows",
  protocol: "udp",
  hostPorts: [...new Set(ops.flatMap(({ hostPorts }) => hostPorts))],
  addresses: [...new Set(ops.flatMap(({ addresses }) => addresses))],
});

/** Whether flows to one of these addresses, or of these mappings, are to be forgotten. */
export function concerns(
  op: ForgetFlows,
  { addresses, ports }: Pick<Endpoint, "addresses"> & { readonly ports: readonly PortMapping[] },
): boolean {
  if (addresses.some((address) => op.addresses.includes(withoutPrefix(address)))) return true;
  const forgotten = new Set(op.hostPorts);
  return ports
    .filter(isUdp)
    .flatMap(hostPorts)
    .some((port) => forgotten.has(port));
}

const withoutPrefix = (address: string): string => parseHostAddress(address).ip.text;

const isUdp = ({ protocol }: PortMapping): boolean => protocol === "udp";

const hostPorts = ({ hostPort, count }: PortMapping): number[] =>
  Array.from({ length: count }, (_, step) => hostPort + step);

const udpMappings = ({ ports }: Endpoint): Map<string, PortMapping> =>
  new Map(ports.filter(isUdp).map((mapping) => [JSON.stringify(mapping), mapping]));

const symmetricDifference = (
  before: ReadonlyMap<string, PortMapping>,
  after: ReadonlyMap<string, PortMapping>,
): PortMapping[] => [
  ...[...before].flatMap(([key, mapping]) => (after.has(key) ? [] : [mapping])),
  ...[...after].flatMap(([key, mapping]) => (before.has(key) ? [] : [mapping])),
];
