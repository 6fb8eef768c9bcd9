/** Ports of a host in memory, for one endpoint of a network with both families. */
import { Ports } from "../../src/driver/ports.ts";
import type { PortMapping } from "../../src/plan/network.ts";
import { Faults } from "./faults.ts";
import { endpointOf, ipv6, networkOf } from "./values.ts";
import { World } from "./world.ts";

/** Who asks for ports, where a test says nothing else. */
export const asker = { endpoint: endpointOf(), network: networkOf({ ipv6 }), noProxy6To4: true };

export function openPorts() {
  const world = new World();
  const faults = new Faults();
  const kernel = world.open(faults);
  return { world, faults, kernel, ports: new Ports(kernel) };
}

/** How many calls of the kernel reserved ports. */
export const reservations = (faults: Faults): number => faults.steps.filter((step) => step === "reserve-ports").length;

/** "0.0.0.0 8080", and for a block "0.0.0.0 8000+11". */
export const textsOf = (mappings: readonly PortMapping[]): string[] =>
  mappings.map(({ hostAddress, hostPort, count }) => `${hostAddress} ${hostPort}${count === 1 ? "" : `+${count}`}`);
