import { parseHostAddress } from "../net/cidr.ts";
import type { Endpoint, PortMapping } from "./network.ts";
import type { ForgetFlows } from "./op.ts";

/**
 * What makes the kernel forget the flows of the UDP ports that an endpoint has got or lost.
 * @param after undefined for an endpoint that is gone
 * @returns undefined if there is no such port
 */
export function planForgetFlows(before: Endpoint, after: Endpoint | undefined): ForgetFlows | undefined {
  const changed = symmetricDifference(udpPorts(before), after === undefined ? [] : udpPorts(after));
  if (changed.length === 0) return undefined;
  return {
    op: "forget-flows",
    protocol: "udp",
    hostPorts: [...new Set(changed.map(({ hostPort }) => hostPort))],
    addresses: before.addresses.map((address) => parseHostAddress(address).ip.text),
  };
}

/** One for several, which costs as much as one of them. */
export const mergeForgetFlows = (ops: readonly ForgetFlows[]): ForgetFlows => ({
  op: "forget-flows",
  protocol: "udp",
  hostPorts: [...new Set(ops.flatMap(({ hostPorts }) => hostPorts))],
  addresses: [...new Set(ops.flatMap(({ addresses }) => addresses))],
});

const udpPorts = ({ ports }: Endpoint): PortMapping[] => ports.filter(({ protocol }) => protocol === "udp");

function symmetricDifference(before: readonly PortMapping[], after: readonly PortMapping[]): PortMapping[] {
  const isIn = (ports: readonly PortMapping[], port: PortMapping): boolean =>
    ports.some(
      ({ hostAddress, hostPort, containerPort }) =>
        hostAddress === port.hostAddress && hostPort === port.hostPort && containerPort === port.containerPort,
    );
  return [...before.filter((port) => !isIn(after, port)), ...after.filter((port) => !isIn(before, port))];
}
