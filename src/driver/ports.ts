import { TsnetError } from "../errors.ts";
import type { PortMapping } from "../plan/network.ts";
import type { HostPort, Kernel } from "./kernel.ts";

/** What `docker run -p` asks for: one container port. */
export interface PortBinding {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly containerPort: number;
  /** "" is the network's default. */
  readonly hostAddress: string;
  /** 0 is any port of the host's ephemeral range. */
  readonly hostPort: number;
  /** The last port of a range of which any will do; equal to hostPort for exactly that port. */
  readonly hostPortEnd: number;
}

/** Ports of the host: which are ours, and which one is next. */
export class Ports {
  readonly #kernel: Kernel;
  #lastEphemeral = 0;
  /** Ports whose release has failed; they go with the next one. */
  readonly #overdue: HostPort[] = [];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * Holds a host port for each binding, or none.
   * @throws TsnetError "conflict" in Docker's words, with errno EALREADY if another endpoint of ours has the port;
   *   "exhausted" if a range has no port left
   */
  async allocate(bindings: readonly PortBinding[], defaults: readonly string[]): Promise<PortMapping[]> {
    await this.release([]);
    const taken: PortMapping[] = [];
    try {
      for (const binding of bindings) taken.push(...(await this.#allocateOne(binding, defaults)));
      return taken;
    } catch (error) {
      await this.release(taken);
      throw error;
    }
  }

  /**
   * Holds the ports of mappings that are recorded, after a restart.
   * @returns why it could not have some of them, in Docker's words
   */
  async restore(mappings: readonly PortMapping[]): Promise<TsnetError[]> {
    const lost: TsnetError[] = [];
    for (const mapping of mappings) {
      await this.#kernel.reservePorts([hostPortOf(mapping)]).catch((error) => lost.push(portError(mapping, error)));
    }
    return lost;
  }

  /** Lets go of the ports of mappings, and of those that it could not let go of before. */
  async release(mappings: readonly PortMapping[]): Promise<void> {
    const ports = [...this.#overdue.splice(0), ...mappings.map(hostPortOf)];
    if (ports.length === 0) return;
    try {
      await this.#kernel.releasePorts(ports);
    } catch (error) {
      this.#overdue.push(...ports);
      throw error;
    }
  }

  /** The same port of each host address. */
  async #allocateOne(binding: PortBinding, defaults: readonly string[]): Promise<PortMapping[]> {
    const { protocol, containerPort } = binding;
    const addresses = hostAddresses(binding, defaults);
    const isRange = binding.hostPort === 0 || binding.hostPortEnd > binding.hostPort;
    for (const hostPort of await this.#candidates(binding)) {
      const mappings = addresses.map((hostAddress) => ({ protocol, hostAddress, hostPort, containerPort }));
      try {
        await this.#kernel.reservePorts(mappings.map(hostPortOf));
        if (binding.hostPort === 0) this.#lastEphemeral = hostPort;
        return mappings;
      } catch (error) {
        if (!isRange || !isTaken(error)) throw portError(inTheWay(mappings, error), error);
      }
    }
    throw new TsnetError("exhausted", `all ports are allocated: ${rangeText(binding)} on ${addresses.join(", ")}`);
  }

  /** In the order in which they are tried: ephemeral ports go on after the last one given. */
  async #candidates(binding: PortBinding): Promise<Iterable<number>> {
    if (binding.hostPort !== 0) return countUp(binding.hostPort, binding.hostPortEnd);
    const { first, last } = await this.#kernel.observeEphemeralPorts();
    const start = this.#lastEphemeral >= first && this.#lastEphemeral < last ? this.#lastEphemeral + 1 : first;
    return countRound(first, last, start);
  }
}

/**
 * The bindings that an endpoint can serve: the kernel translates neither between the families nor from ::1. Docker 28 gives all of
 * a container's bindings to the endpoint that is its IPv4 gateway and to the one that is its IPv6 gateway.
 * @param addresses the endpoint's, "172.18.0.2/16"
 * @throws TsnetError "invalid" for ::1, which no endpoint can serve
 */
export function servable(bindings: readonly PortBinding[], addresses: readonly string[]): PortBinding[] {
  return bindings.filter(({ protocol, containerPort, hostAddress }) => {
    const isServed = addresses.some((address) => address.includes(":") === hostAddress.includes(":"));
    if (hostAddress !== "::1" || !isServed) return hostAddress === "" || isServed;
    const what = `cannot publish container port ${containerPort}/${protocol} on ::1, which tsnet does not serve`;
    throw new TsnetError("invalid", `${what}; name another host address, or none`);
  });
}

/** Whether the ports that an endpoint has are what is asked for. */
export function satisfies(
  ports: readonly PortMapping[],
  bindings: readonly PortBinding[],
  defaults: readonly string[],
): boolean {
  const wanted = bindings.flatMap((binding) =>
    hostAddresses(binding, defaults).map((hostAddress) => ({ ...binding, hostAddress })),
  );
  if (ports.length !== wanted.length) return false;
  return wanted.every((binding, index) => {
    const port = ports[index];
    if (port === undefined || port.protocol !== binding.protocol || port.containerPort !== binding.containerPort)
      return false;
    if (port.hostAddress !== binding.hostAddress) return false;
    return binding.hostPort === 0 || (port.hostPort >= binding.hostPort && port.hostPort <= binding.hostPortEnd);
  });
}

/** Where a binding without a host address is published: the network's default, for the families that the endpoint has. */
export function defaultAddresses(hostBinding: string, addresses: readonly string[]): string[] {
  if (hostBinding !== "0.0.0.0") return [hostBinding];
  return addresses.map((address) => (address.includes(":") ? "::" : "0.0.0.0"));
}

const hostAddresses = ({ hostAddress }: PortBinding, defaults: readonly string[]): readonly string[] =>
  hostAddress === "" ? defaults : [hostAddress];

/** The mapping that the kernel's error is about: its message is the index. */
const inTheWay = (mappings: readonly PortMapping[], error: unknown): PortMapping =>
  mappings[error instanceof TsnetError ? Number(error.message) : 0] ?? (mappings[0] as PortMapping);

function* countUp(first: number, last: number): Iterable<number> {
  for (let port = first; port <= last; port++) yield port;
}

/** All of a range, from `start` on; the first one tried is free almost always. */
function* countRound(first: number, last: number, start: number): Iterable<number> {
  yield* countUp(start, last);
  yield* countUp(first, start - 1);
}

const rangeText = ({ hostPort, hostPortEnd }: PortBinding): string =>
  hostPort === 0 ? "net.ipv4.ip_local_port_range" : `${hostPort}-${hostPortEnd}`;

const hostPortOf = ({ protocol, hostAddress, hostPort }: PortMapping): HostPort => ({
  protocol,
  address: hostAddress,
  port: hostPort,
});

const errnoOf = (error: unknown): string => (error instanceof TsnetError ? (error.errno ?? "") : "");

const isTaken = (error: unknown): boolean => ["EADDRINUSE", "EALREADY"].includes(errnoOf(error));

/** Docker's own words for why a port cannot be had. */
function portError({ protocol, hostAddress, hostPort }: PortMapping, cause: unknown): TsnetError {
  const errno = errnoOf(cause);
  const where = hostAddress.includes(":") ? `[${hostAddress}]:${hostPort}` : `${hostAddress}:${hostPort}`;
  if (errno === "EALREADY") {
    return new TsnetError("conflict", `Bind for ${where} failed: port is already allocated`, { errno });
  }
  const reasons: Record<string, string> = {
    EADDRINUSE: "address already in use",
    EADDRNOTAVAIL: "cannot assign requested address: no link of this host has it",
  };
  const reason = reasons[errno];
  const message = `failed to bind host port ${where}/${protocol}`;
  return reason === undefined
    ? new TsnetError("kernel", message, { cause })
    : new TsnetError("conflict", `${message}: ${reason}`, { errno });
}
