import { hasErrno, TsnetError } from "../errors.ts";
import type { Element } from "../plan/elements.ts";
import { multihomedElements, openElements, portElements } from "../plan/firewall.ts";
import { type Endpoint, isLan, type PortMapping } from "../plan/network.ts";
import { difference } from "../plan/network-request.ts";
import { type PortBinding, type PortSearch, satisfies, type WantedPorts } from "../plan/ports.ts";
import type { Collect } from "./address-claims.ts";
import type { Firewall } from "./firewall.ts";
import type { Flows } from "./flows.ts";
import { HeldPorts } from "./held-ports.ts";
import type { Locks } from "./locks.ts";
import type { Log } from "./log.ts";
import type { Asker, Ports } from "./ports.ts";
import { withRollback } from "./rollback.ts";
import type { State } from "./state.ts";

/** What publishing needs. */
export interface PublishingNeeds {
  readonly state: State;
  readonly firewall: Firewall;
  readonly ports: Ports;
  readonly flows: Flows;
  readonly locks: Locks;
  readonly log: Log;
  readonly collect: Collect;
}

/** Ports that are on their way out. */
interface Leaving {
  readonly ports: readonly PortMapping[];
  readonly done: Promise<unknown>;
}

/** What an endpoint has on the host besides its links: published ports and elements of the firewall. Its lock is held by the caller. */
export class Publishing {
  readonly #needs: PublishingNeeds;
  readonly #leaving = new Set<Leaving>();

  constructor(needs: PublishingNeeds) {
    this.#needs = needs;
  }

  /**
   * Publishes ports. Asked again for the same, it keeps what there is; for others, it replaces them.
   * @param asker the endpoint and its network
   * @throws TsnetError "conflict", "exhausted" or "invalid" in Docker's words; then no port is held
   */
  async publish(bindings: readonly PortBinding[], asker: Asker & { readonly endpoint: Endpoint }): Promise<void> {
    const { ports, flows } = this.#needs;
    const { endpoint } = asker;
    const others = this.#others(endpoint);
    const known = { ...asker, noProxy6To4: asker.noProxy6To4 || others.some(publishesIpv6) };
    const wanted = ports.plan(bindings, known);
    this.#warnOfUnserved(wanted, known);
    if (satisfies(endpoint.ports, wanted)) return this.update(endpoint, endpoint);
    const without = { ...endpoint, ports: [] };
    await this.update(endpoint, without);
    if (endpoint.addresses.some(isIpv6)) await this.#takeIpv6From(others);
    const allocated = await this.#allocate(bindings, known);
    await flows.settled({ addresses: [], ports: allocated });
    await this.update(without, { ...endpoint, ports: allocated });
  }

  /**
   * Records an endpoint's change, then makes it so in the firewall; undoes both if that fails. Ports are held as long as the
   * record has them.
   */
  update(before: Endpoint, after: Endpoint): Promise<void> {
    const { state, firewall, ports, flows } = this.#needs;
    const releaseUnrecorded = (): Promise<void> => {
      const recorded = new Set(state.endpoint(after.id)?.ports);
      return ports.release([...new Set([...before.ports, ...after.ports])].filter((port) => !recorded.has(port)));
    };
    return this.#whileLeaving(missingFrom(after.ports, before.ports), async () => {
      await withRollback(async (undo) => {
        undo(releaseUnrecorded);
        // After the record is back: a table that is put back whole is made from the records.
        let revert = (): Promise<void> => Promise.resolve();
        undo(() => revert());
        if (difference(after, before) !== "") {
          undo(() => state.saveEndpoint(before));
          await state.saveEndpoint(after);
        }
        // In the turn in which the record shows: of two endpoints of a container that change at once, the later sees the other.
        const elements = [this.#elements(before, before), this.#elements(before, after)] as const;
        revert = () => firewall.change(elements[1], elements[0]);
        await firewall.change(...elements);
      });
      flows.follow(before, after);
      await releaseUnrecorded();
    });
  }

  /**
   * Takes back all that an endpoint has.
   * @param forget removes its record; its ports are held until then
   */
  withdraw(endpoint: Endpoint, forget: () => Promise<void>): Promise<void> {
    const { firewall, ports, flows } = this.#needs;
    return this.#whileLeaving(endpoint.ports, async () => {
      await firewall.change(this.#elements(endpoint, endpoint), this.#elements(endpoint, undefined));
      flows.follow(endpoint, undefined);
      await forget();
      await ports.release(endpoint.ports);
    });
  }

  /** Tells others that want these ports to wait for the end of `work`. */
  async #whileLeaving(ports: readonly PortMapping[], work: () => Promise<void>): Promise<void> {
    const done = work();
    if (ports.length === 0) return done;
    const leaving = { ports, done };
    this.#leaving.add(leaving);
    try {
      await done;
    } finally {
      this.#leaving.delete(leaving);
    }
  }

  /** The firewall's elements of all endpoints of a container, with one of them as given, or gone. */
  #elements(endpoint: Endpoint, as: Endpoint | undefined): Element[] {
    const network = this.#needs.state.network(endpoint.network);
    const others = this.#needs.state
      .endpointsIn((as ?? endpoint).sandbox ?? endpoint.sandbox)
      .filter(({ id }) => id !== endpoint.id);
    const all = as === undefined ? others : [...others, as];
    if (as === undefined || network === undefined || isLan(network)) return multihomedElements(all);
    return [...multihomedElements(all), ...portElements(as, network), ...openElements(as, network)];
  }

  /**
   * Ports of ours in the way may be on their way out: then it waits for them. Or they belong to a container that died without a
   * word: then they are freed. It tries again once.
   */
  async #allocate(
    bindings: readonly PortBinding[],
    asker: Asker & { readonly endpoint: Endpoint },
  ): Promise<PortMapping[]> {
    const { ports } = this.#needs;
    try {
      return await ports.allocate(bindings, asker);
    } catch (error) {
      if (!hasErrno(error, "EALREADY") && !(error instanceof TsnetError && error.code === "exhausted")) throw error;
      const ends = this.#clear(ports.plan(bindings, asker), this.#others(asker.endpoint));
      if (ends.length === 0) throw error;
      await Promise.all(ends);
      return await ports.allocate(bindings, asker);
    }
  }

  /**
   * Frees what can be freed of these ports, and of those of ranges.
   * @param own endpoints of the same container: they live, and one with a lock may wait for ours
   * @returns an end for each endpoint of ours that has some
   */
  #clear({ fixed, searches }: WantedPorts, own: readonly Endpoint[]): Promise<unknown>[] {
    const { state, collect } = this.#needs;
    const wanted = new HeldPorts();
    for (const block of [...fixed, ...searches.flatMap(rangeBlocks)]) wanted.add(block);
    const isInTheWay = ({ ports }: Pick<Endpoint, "ports">): boolean =>
      ports.some((port) => wanted.firstIn(port) !== undefined);
    return [
      ...[...this.#leaving].filter(isInTheWay).map(({ done }) => done.catch(() => {})),
      ...[...state.endpoints()]
        .filter((holder) => isInTheWay(holder) && !own.includes(holder))
        .map((holder) => collect(holder, "dead")),
    ];
  }

  /**
   * The host's IPv6 is for the endpoint that has IPv6 itself; from Docker 29 on the container's other endpoint is not told of it.
   * Endpoints with IPv6 are not locked: two of them could wait for each other.
   */
  async #takeIpv6From(others: readonly Endpoint[]): Promise<void> {
    const { state, locks } = this.#needs;
    for (const { id } of others.filter(({ addresses }) => !addresses.some(isIpv6))) {
      await locks.exclusive(id, async () => {
        const other = state.endpoint(id);
        const kept = other?.ports.filter(({ hostAddress }) => !isIpv6(hostAddress)) ?? [];
        if (other && kept.length < other.ports.length) await this.update(other, { ...other, ports: kept });
      });
    }
  }

  /** The other endpoints of a container. */
  #others({ id, sandbox }: Endpoint): Endpoint[] {
    return this.#needs.state.endpointsIn(sandbox).filter((other) => other.id !== id);
  }

  #warnOfUnserved({ unserved }: WantedPorts, { endpoint, network, noProxy6To4 }: Asker): void {
    if (
      unserved.length === 0 ||
      noProxy6To4 ||
      !network.subnets.some(({ gatewayMode }) => gatewayMode.startsWith("nat"))
    )
      return;
    const { addresses } = endpoint;
    this.#needs.log.warn(
      { network: network.id, addresses, unserved },
      "published ports that the endpoint cannot serve",
    );
  }
}

const isIpv6 = (address: string): boolean => address.includes(":");

const publishesIpv6 = ({ addresses, ports }: Endpoint): boolean =>
  addresses.some(isIpv6) && ports.some(({ hostAddress }) => isIpv6(hostAddress));

const missingFrom = <T>(these: readonly T[], those: readonly T[]): T[] => {
  const known = new Set(these);
  return those.filter((one) => !known.has(one));
};

/** The whole of a range, at each address; none of the ephemeral range, which does not run out by a few that are dead. */
const rangeBlocks = ({ protocol, addresses, first, last }: PortSearch) =>
  first === 0
    ? []
    : addresses.map((hostAddress) => ({ protocol, hostAddress, hostPort: first, count: last - first + 1 }));
