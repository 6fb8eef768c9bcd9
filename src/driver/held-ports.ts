import type { PortMapping } from "../plan/network.ts";

type Block = Pick<PortMapping, "protocol" | "hostAddress" | "hostPort" | "count">;

/** Which ports of the host are ours, by protocol and host address: an index of blocks that asks no kernel. */
export class HeldPorts {
  readonly #ports = new Map<string, Map<string, Set<number>>>();

  add({ protocol, hostAddress, hostPort, count }: Block): void {
    const byAddress = this.#ports.get(protocol) ?? new Map<string, Set<number>>();
    this.#ports.set(protocol, byAddress);
    const ports = byAddress.get(hostAddress) ?? new Set();
    byAddress.set(hostAddress, ports);
    for (let step = 0; step < count; step++) ports.add(hostPort + step);
  }

  delete({ protocol, hostAddress, hostPort, count }: Block): void {
    const byAddress = this.#ports.get(protocol);
    const ports = byAddress?.get(hostAddress);
    for (let step = 0; step < count; step++) ports?.delete(hostPort + step);
    if (ports?.size === 0) byAddress?.delete(hostAddress);
  }

  /** The sets of ports that stand in the way at one of these addresses; valid until the next `add`. */
  at(protocol: string, addresses: readonly string[]): ReadonlySet<number>[] {
    const byAddress = [...(this.#ports.get(protocol) ?? [])];
    return byAddress.filter(([held]) => addresses.some((address) => meet(held, address))).map(([, ports]) => ports);
  }

  /** The first port of the block that is among them. */
  firstIn({ protocol, hostAddress, hostPort, count }: Block): number | undefined {
    const inTheWay = this.at(protocol, [hostAddress]);
    for (let port = hostPort; port < hostPort + count; port++) {
      if (inTheWay.some((ports) => ports.has(port))) return port;
    }
    return undefined;
  }
}

/** Whether a packet could be for both: "0.0.0.0" is every address of IPv4, "::" every one of IPv6. */
function meet(one: string, other: string): boolean {
  const covers = (wide: string, address: string): boolean => wide === (address.includes(":") ? "::" : "0.0.0.0");
  return one === other || covers(one, other) || covers(other, one);
}
