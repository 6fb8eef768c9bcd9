import type { TsnetError } from "../errors.ts";
import type { Endpoint, GatewayNetwork, PortMapping } from "../plan/network.ts";
import { type PortBinding, type PortOwner, planPorts, serving, type WantedPorts } from "../plan/ports.ts";
import { HeldPorts } from "./held-ports.ts";
import type { HostPort, Kernel } from "./kernel.ts";
import { blockError, portConflict, portError } from "./port-error.ts";
import { PortSearches } from "./port-searches.ts";
import { type Piece, RestoredPorts } from "./restored-ports.ts";

/** Whose ports they are. */
export interface Publisher {
  readonly endpoint: Pick<Endpoint, "addresses">;
  readonly network: GatewayNetwork;
}

/** Who asks for ports. */
export type Asker = Publisher & Pick<PortOwner, "noProxy6To4">;

/** Ports of the host: which are ours, and which one is next. */
export class Ports {
  readonly #kernel: Kernel;
  readonly #held = new HeldPorts();
  readonly #searches: PortSearches;
  readonly #restored: RestoredPorts;
  /** Ports whose release has failed; they go with the next one. */
  readonly #overdue: HostPort[] = [];
  /** Until an address of IPv6 is refused. */
  #hasIpv6 = true;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#searches = new PortSearches(kernel, this.#held, new HeldPorts());
    this.#restored = new RestoredPorts(kernel);
  }

  /** What is to be held for bindings. @throws TsnetError "invalid" for one that cannot be served */
  plan(bindings: readonly PortBinding[], asker: Asker): WantedPorts {
    return planPorts(bindings, { ...asker, hasIpv6: this.#hasIpv6 });
  }

  /**
   * Holds host ports for all bindings, or none: first those that are asked for by number, in one call, then those that are looked
   * for.
   * @throws TsnetError "conflict" in Docker's words, with errno EALREADY if another endpoint of ours has the port;
   *   "exhausted" if a range has no port left; "invalid" for a binding that cannot be served
   */
  async allocate(bindings: readonly PortBinding[], asker: Asker): Promise<PortMapping[]> {
    await this.release([]);
    const hadIpv6 = this.#hasIpv6;
    try {
      return await this.#hold(this.plan(bindings, asker), asker);
    } catch (error) {
      if (this.#hasIpv6 === hadIpv6) throw error;
      return this.#hold(this.plan(bindings, asker), asker);
    }
  }

  /**
   * Holds the ports of mappings that are recorded, after a restart.
   * @returns why it could not have some of them, in Docker's words
   */
  async restore(published: Iterable<Publisher & { readonly endpoint: Endpoint }>): Promise<TsnetError[]> {
    return this.#restored.hold(this.#piecesOf(published));
  }

  *#piecesOf(published: Iterable<Publisher & { readonly endpoint: Endpoint }>): Generator<Piece> {
    for (const publisher of published) {
      for (const whole of publisher.endpoint.ports) {
        this.#held.add(whole);
        yield { whole, port: hostPortOf(whole, publisher) };
      }
    }
  }

  /**
   * Tries what could not be held after a restart once more, and lets go of what it could not let go of.
   * @returns whether something is held now that was not before
   */
  async repair(): Promise<boolean> {
    await this.release([]);
    return this.#restored.retry();
  }

  /** Lets go of the ports of mappings, and of those that it could not let go of before. */
  async release(mappings: readonly PortMapping[]): Promise<void> {
    const ports = this.#overdue.splice(0);
    for (const mapping of mappings) {
      this.#held.delete(mapping);
      ports.push(...(this.#restored.take(mapping) ?? [heldAs(mapping)]));
    }
    if (ports.length === 0) return;
    try {
      await this.#kernel.releasePorts(ports);
    } catch (error) {
      this.#overdue.push(...ports);
      throw error;
    }
  }

  async #hold({ fixed, searches }: WantedPorts, publisher: Publisher): Promise<PortMapping[]> {
    this.#refuseHeld(fixed);
    if (fixed.length > 0) await this.#reserve(fixed, publisher).catch((error) => fail(portError(fixed, error)));
    const taken = [...fixed];
    try {
      const found = this.#searches.find(searches, (mappings) => this.#reserve(mappings, publisher));
      for await (const mappings of found) taken.push(...mappings);
      return taken;
    } catch (error) {
      await this.release(taken).catch(() => {}); // then they are overdue
      throw error;
    }
  }

  /** The kernel does not know of those that are recorded, and could not be held after a restart. */
  #refuseHeld(blocks: readonly PortMapping[]): void {
    for (const block of blocks) {
      const port = this.#held.firstIn(block);
      if (port === undefined) continue;
      throw blockError({ ...block, hostPort: port }, { index: 0, port, errno: "EALREADY" }, undefined);
    }
  }

  /** All or none. @throws TsnetError of the kernel's */
  async #reserve(mappings: readonly PortMapping[], publisher: Publisher): Promise<void> {
    try {
      await this.#kernel.reservePorts(mappings.map((mapping) => hostPortOf(mapping, publisher)));
    } catch (error) {
      const { index, errno } = portConflict(error) ?? {};
      if (index !== undefined && errno === "EADDRNOTAVAIL" && mappings[index]?.hostAddress === "::") {
        this.#hasIpv6 = false;
      }
      throw error;
    }
    for (const mapping of mappings) this.#held.add(mapping);
  }
}

/** What holds a block, and passes on what has to be passed on. */
function hostPortOf(mapping: PortMapping, { endpoint, network }: Publisher): HostPort {
  const { target } = serving(mapping, endpoint, network);
  return { ...heldAs(mapping), target, sources: target === null ? [] : network.publishFrom };
}

/** By which a block is let go of. */
const heldAs = ({ protocol, hostAddress, hostPort, count }: PortMapping): HostPort => ({
  ...{ protocol, address: hostAddress, port: hostPort, count },
  target: null,
  sources: [],
});

function fail(error: TsnetError): never {
  throw error;
}
