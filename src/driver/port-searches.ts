import { TsnetError } from "../errors.ts";
import type { PortMapping } from "../plan/network.ts";
import type { PortSearch } from "../plan/ports.ts";
import type { HeldPorts } from "./held-ports.ts";
import type { Kernel } from "./kernel.ts";
import { isTaken, portConflict, portError } from "./port-error.ts";

/** So many searches are held by one call: a port in the way costs the call of those before it once more. */
const searchesAtOnce = 256;

/** Holds all of these or none; fails with the kernel's error. */
type Reserve = (mappings: readonly PortMapping[]) => Promise<void>;

/** A search under way. */
interface Attempt {
  readonly search: PortSearch;
  /** In the order in which they are tried. */
  readonly candidates: () => Iterable<number>;
  /** Ports that somebody else has. */
  readonly taken: Set<number>;
  /** What is being tried: one port at each address. */
  mappings: readonly PortMapping[];
}

/** The host's range of ephemeral ports, and what is kept out of it. */
interface Ephemeral {
  readonly first: number;
  readonly last: number;
  readonly reserved: ReadonlySet<number>;
}

/** Finds free ports of the host: in the order of a range, or in the ephemeral range after the last one that was given. */
export class PortSearches {
  readonly #kernel: Pick<Kernel, "observeEphemeralPorts" | "observeReservedPorts">;
  readonly #held: HeldPorts;
  /** Ports that are being tried: of two searches at once, each tries its own. */
  readonly #tried: HeldPorts;
  /** The last ephemeral port tried, by protocol. */
  readonly #last = new Map<string, number>();

  /** @param held ports that need not be tried; @param tried an index for this class alone */
  constructor(
    kernel: Pick<Kernel, "observeEphemeralPorts" | "observeReservedPorts">,
    held: HeldPorts,
    tried: HeldPorts,
  ) {
    this.#kernel = kernel;
    this.#held = held;
    this.#tried = tried;
  }

  /**
   * Yields what it holds, in the order of the searches; what was yielded is held also if it fails later.
   * @throws TsnetError "exhausted" if a range has no port left; "conflict" or "kernel" in Docker's words
   */
  async *find(searches: readonly PortSearch[], reserve: Reserve): AsyncGenerator<readonly PortMapping[]> {
    const ephemeral = searches.some(({ first }) => first === 0) ? await this.#observeEphemeral() : undefined;
    const attempts = searches.map((search): Attempt => {
      const candidates = () => (ephemeral && search.first === 0 ? this.#after(ephemeral, search) : countUp(search));
      return { search, candidates, taken: new Set(), mappings: [] };
    });
    try {
      for (let n = 0; n < attempts.length; n += searchesAtOnce) {
        yield* this.#holdAll(attempts.slice(n, n + searchesAtOnce), reserve);
      }
    } finally {
      for (const attempt of attempts) this.#giveUp(attempt);
    }
  }

  async *#holdAll(attempts: readonly Attempt[], reserve: Reserve): AsyncGenerator<readonly PortMapping[]> {
    for (let rest = attempts; rest.length > 0; ) {
      for (const attempt of rest) if (attempt.mappings.length === 0) this.#try(attempt);
      const mappings = rest.flatMap((attempt) => attempt.mappings);
      const inTheWay = await reserve(mappings).then(
        () => undefined,
        (error: unknown) => takenMapping(mappings, error),
      );
      if (inTheWay === undefined) return yield mappings;
      const index = rest.findIndex((attempt) => attempt.mappings.includes(inTheWay));
      const later = rest.slice(index);
      later[0]?.taken.add(inTheWay.hostPort);
      // what has not been tried is for the first that wants it
      for (const attempt of later.toReversed()) this.#giveBack(attempt);
      // what comes before is free as far as is known
      yield* this.#holdAll(rest.slice(0, index), reserve);
      rest = later;
    }
  }

  #try(attempt: Attempt): void {
    const { protocol, containerPort, addresses } = attempt.search;
    const hostPort = this.#firstFree(attempt);
    attempt.mappings = addresses.map((hostAddress) => ({ protocol, hostAddress, hostPort, containerPort, count: 1 }));
    for (const mapping of attempt.mappings) this.#tried.add(mapping);
    if (attempt.search.first === 0) this.#last.set(protocol, hostPort);
  }

  #firstFree({ search, candidates, taken }: Attempt): number {
    const { protocol, addresses } = search;
    const inTheWay = [taken, ...this.#held.at(protocol, addresses), ...this.#tried.at(protocol, addresses)];
    for (const port of candidates()) if (!inTheWay.some((ports) => ports.has(port))) return port;
    throw exhausted(search);
  }

  #giveUp(attempt: Attempt): void {
    for (const mapping of attempt.mappings) this.#tried.delete(mapping);
    attempt.mappings = [];
  }

  #giveBack(attempt: Attempt): void {
    const { protocol, first } = attempt.search;
    const hostPort = attempt.mappings[0]?.hostPort;
    if (first === 0 && hostPort !== undefined) this.#last.set(protocol, hostPort - 1);
    this.#giveUp(attempt);
  }

  /** Each port of the ephemeral range once, around it. */
  *#after({ first, last, reserved }: Ephemeral, { protocol }: PortSearch): Generator<number> {
    const before = this.#last.get(protocol) ?? 0;
    const start = before >= first && before < last ? before + 1 : first;
    for (let port = start; port <= last; port++) if (!reserved.has(port)) yield port;
    for (let port = first; port < start; port++) if (!reserved.has(port)) yield port;
  }

  async #observeEphemeral(): Promise<Ephemeral> {
    const [{ first, last }, blocks] = await Promise.all([
      this.#kernel.observeEphemeralPorts(),
      this.#kernel.observeReservedPorts(),
    ]);
    const reserved = new Set<number>();
    for (const block of blocks) {
      for (let port = Math.max(block.first, first); port <= Math.min(block.last, last); port++) reserved.add(port);
    }
    return { first, last, reserved };
  }
}

function* countUp({ first, last }: PortSearch): Generator<number> {
  for (let port = first; port <= last; port++) yield port;
}

/** The mapping that somebody else has. @throws TsnetError in Docker's words for any other error */
function takenMapping(mappings: readonly PortMapping[], error: unknown): PortMapping {
  const conflict = portConflict(error);
  const mapping = conflict && mappings[conflict.index];
  if (conflict === undefined || mapping === undefined || !isTaken(conflict)) throw portError(mappings, error);
  return mapping;
}

function exhausted({ first, last, addresses }: PortSearch): TsnetError {
  const range = first === 0 ? "net.ipv4.ip_local_port_range" : `${first}-${last}`;
  return new TsnetError("exhausted", `all ports are allocated: ${range} on ${addresses.join(", ")}`);
}
