/** Which ports of a container are open under its own address. */
import type { GatewayNetwork, OpenPort } from "./network.ts";

/**
 * What published ports open under the container's own address, with the gateway mode "routed" or for trusted links: the container
 * ports, whatever their host ports, in blocks that neither overlap nor touch, in order. None on other networks.
 */
export function planOpenPorts(
  bindings: readonly { readonly protocol: OpenPort["protocol"]; readonly containerPort: number }[],
  network: GatewayNetwork,
): OpenPort[] {
  const { internal, subnets, trustedLinks } = network;
  const isOpen = trustedLinks.length > 0 || subnets.some(({ gatewayMode }) => gatewayMode === "routed");
  if (internal || !isOpen) return [];
  const byProtocol = Map.groupBy(bindings, ({ protocol }) => protocol);
  return [...byProtocol].flatMap(([protocol, some]) =>
    blocksOf(some.map(({ containerPort }) => containerPort)).map(([port, count]) => ({ protocol, port, count })),
  );
}

function blocksOf(ports: readonly number[]): [first: number, count: number][] {
  const blocks: [first: number, count: number][] = [];
  for (const port of [...new Set(ports)].sort((a, b) => a - b)) {
    const last = blocks.at(-1);
    if (last !== undefined && last[0] + last[1] === port) last[1]++;
    else blocks.push([port, 1]);
  }
  return blocks;
}
