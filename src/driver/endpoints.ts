import { during, TsnetError } from "../errors.ts";
import { containerVethName } from "../net/names.ts";
import { planVeth, planVethRemoval } from "../plan/bridge.ts";
import { type EndpointRequest, planEndpoint } from "../plan/endpoint-request.ts";
import { type Element, multihomedElements, portElements } from "../plan/firewall.ts";
import type { Endpoint, Network } from "../plan/network.ts";
import { difference } from "../plan/network-request.ts";
import { AddressClaims, type Collect } from "./address-claims.ts";
import type { Firewall } from "./firewall.ts";
import type { Flows } from "./flows.ts";
import type { Forwarding } from "./forwarding.ts";
import type { Kernel } from "./kernel.ts";
import type { Locks } from "./locks.ts";
import type { Log } from "./log.ts";
import { defaultAddresses, type PortBinding, type Ports, satisfies, servable } from "./ports.ts";
import type { Removals } from "./removals.ts";
import { withRollback } from "./rollback.ts";
import type { State } from "./state.ts";

/** What dockerd has to do with the container's end: the answer to Join. */
export interface JoinAnswer {
  /** Name of the link in the host's namespace. */
  readonly link: string;
  /** What it is called in the container, less the number. */
  readonly interfacePrefix: string;
  /** "" for none. */
  readonly gateway4: string;
  readonly gateway6: string;
}

/** What the endpoints need. */
export interface EndpointsNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly firewall: Firewall;
  readonly forwarding: Forwarding;
  readonly removals: Removals;
  readonly ports: Ports;
  readonly flows: Flows;
  readonly locks: Locks;
  readonly log: Log;
  readonly collect: Collect;
  /** The grants by which tsnet's own IPAM has given out addresses. */
  readonly leasesAt: (addresses: readonly string[]) => readonly string[];
}

/** NetworkDriver's requests about endpoints. */
export class Endpoints {
  readonly #needs: EndpointsNeeds;
  readonly #claims: AddressClaims;

  constructor(needs: EndpointsNeeds) {
    this.#needs = needs;
    this.#claims = new AddressClaims(needs.state, needs.collect);
  }

  /**
   * Makes an endpoint's links; the same request again makes sure that they are there.
   * @returns the endpoint's MAC address
   * @throws TsnetError "not-found" for an unknown network, "conflict" if the address is taken or the endpoint differs
   */
  create(request: EndpointRequest): Promise<string> {
    return this.#locked(request.network, request.id, async (network) => {
      const asked = { ...planEndpoint(request, network), leases: this.#needs.leasesAt(request.addresses) };
      if (this.#needs.state.removing.has(request.id)) await this.remove(request.id);
      const known = this.#needs.state.endpoint(request.id);
      if (known === undefined) await this.#create(network, asked);
      else {
        const differs = difference({ network: asked.network, addresses: asked.addresses, mac: asked.mac }, known);
        if (differs !== "") throw new TsnetError("conflict", `endpoint ${request.id} exists, and its ${differs}`);
        await this.#needs.kernel.apply(planVeth(network, known));
      }
      return asked.mac;
    });
  }

  async #create(network: Network, endpoint: Endpoint): Promise<void> {
    const { state, kernel, forwarding } = this.#needs;
    await during(`create endpoint ${endpoint.id}`, () =>
      withRollback(async (undo) => {
        await this.#claims.hold(endpoint, () => {
          undo(() => this.#remove(endpoint));
          return state.saveEndpoint(endpoint);
        });
        await forwarding.ensure(network);
        await kernel.apply(planVeth(network, endpoint));
      }),
    );
  }

  /**
   * An endpoint becomes part of a container.
   * @param sandbox path of the container's network namespace, which Docker up to 27 makes later
   */
  join(networkId: string, id: string, sandbox: string): Promise<JoinAnswer> {
    return this.#locked(networkId, id, async (network) => {
      const endpoint = this.#known(networkId, id);
      await this.#update(endpoint, { ...endpoint, sandbox });
      return {
        link: containerVethName(id),
        interfacePrefix: network.interfacePrefix,
        gateway4: network.subnets.find(({ family }) => family === 4)?.defaultGateway ?? "",
        gateway6: network.subnets.find(({ family }) => family === 6)?.defaultGateway ?? "",
      };
    });
  }

  /** An endpoint leaves its container, and its ports with it. One that is unknown is success. */
  leave(networkId: string, id: string): Promise<void> {
    return this.#lockedIfKnown(networkId, id, async (endpoint) => {
      await this.#update(endpoint, { ...endpoint, sandbox: null, ports: [] });
    });
  }

  /**
   * Publishes ports. Asked again for the same, it keeps what there is; for others, it replaces them.
   * @throws TsnetError "conflict" or "exhausted" in Docker's words; then no port is held
   */
  publish(networkId: string, id: string, asked: readonly PortBinding[]): Promise<void> {
    return this.#locked(networkId, id, async (network) => {
      const endpoint = this.#known(networkId, id);
      const bindings = servable(asked, endpoint.addresses);
      if (bindings.length < asked.length) {
        this.#needs.log.warn({ endpoint, asked }, "published ports of a family that the endpoint has not");
      }
      const defaults = defaultAddresses(network.hostBinding, endpoint.addresses);
      if (satisfies(endpoint.ports, bindings, defaults)) return this.#update(endpoint, endpoint);
      await this.#update(endpoint, { ...endpoint, ports: [] });
      const ports = await this.#allocate(bindings, defaults);
      await this.#update({ ...endpoint, ports: [] }, { ...endpoint, ports });
    });
  }

  /** Takes an endpoint's published ports back. One that is unknown is success. */
  unpublish(networkId: string, id: string): Promise<void> {
    return this.#lockedIfKnown(networkId, id, (endpoint) => this.#update(endpoint, { ...endpoint, ports: [] }));
  }

  /**
   * What is known of an endpoint: EndpointOperInfo. Docker shows none of it.
   * @throws TsnetError "not-found"
   */
  operInfo(networkId: string, id: string): Record<string, string> {
    return { "com.docker.network.endpoint.macaddress": this.#known(networkId, id).mac };
  }

  /** Removes an endpoint. One that is unknown, or of another network, is success: there is nothing to remove. */
  delete(networkId: string, id: string): Promise<void> {
    return this.#lockedIfKnown(networkId, id, () => this.remove(id));
  }

  /** Removes an endpoint with all that it holds. The caller holds its lock, or its network's exclusively. */
  async remove(id: string): Promise<void> {
    const endpoint = this.#needs.state.endpoint(id);
    if (endpoint === undefined) this.#needs.state.removing.delete(id);
    else await during(`delete endpoint ${id}`, () => this.#remove(endpoint));
  }

  async #remove(endpoint: Endpoint): Promise<void> {
    const { state, kernel, firewall, removals, ports, flows } = this.#needs;
    state.removing.add(endpoint.id);
    await kernel.apply(planVethRemoval(endpoint));
    removals.schedule();
    await firewall.change(this.#elements(endpoint, endpoint), this.#elements(endpoint, undefined));
    await flows.follow(endpoint, undefined);
    await state.forgetEndpoint(endpoint.id);
    await ports.release(endpoint.ports);
  }

  /** Records an endpoint's change, then makes it so in the firewall; undoes both if that fails. Ports are held as long as the record has them. */
  async #update(before: Endpoint, after: Endpoint): Promise<void> {
    const { state, firewall, ports, flows } = this.#needs;
    const releaseUnrecorded = (): Promise<void> => {
      const recorded = state.endpoint(after.id)?.ports ?? [];
      return ports.release([...before.ports, ...after.ports].filter((port) => !recorded.includes(port)));
    };
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
    await flows.follow(before, after);
    await releaseUnrecorded();
  }

  /** The firewall's elements of all endpoints of a container, with one of them as given, or gone. */
  #elements(endpoint: Endpoint, as: Endpoint | undefined): Element[] {
    const { state } = this.#needs;
    const others = state
      .endpointsIn((as ?? endpoint).sandbox ?? endpoint.sandbox)
      .filter(({ id }) => id !== endpoint.id);
    return [
      ...multihomedElements(as === undefined ? others : [...others, as]),
      ...(as === undefined ? [] : portElements(as)),
    ];
  }

  /** A port of ours in the way may belong to a container that died without a word: then it is freed, once. */
  async #allocate(bindings: readonly PortBinding[], defaults: readonly string[]): ReturnType<Ports["allocate"]> {
    const { ports, state, collect } = this.#needs;
    try {
      return await ports.allocate(bindings, defaults);
    } catch (error) {
      if (!(error instanceof TsnetError) || error.errno !== "EALREADY") throw error;
      const wanted = new Set(bindings.map(({ protocol, hostPort }) => `${protocol} ${hostPort}`));
      const holders = [...state.endpoints()].filter((endpoint) =>
        endpoint.ports.some(({ protocol, hostPort }) => wanted.has(`${protocol} ${hostPort}`)),
      );
      const collected = await Promise.all(holders.map((holder) => collect(holder, "dead")));
      if (!collected.includes(true)) throw error;
      return await ports.allocate(bindings, defaults);
    }
  }

  #known(networkId: string, id: string): Endpoint {
    const endpoint = this.#needs.state.endpoint(id);
    if (endpoint === undefined) throw new TsnetError("not-found", `endpoint ${id} is unknown to tsnet`);
    if (endpoint.network === networkId) return endpoint;
    throw new TsnetError("not-found", `endpoint ${id} belongs to network ${endpoint.network}, not ${networkId}`);
  }

  #locked<T>(networkId: string, id: string, work: (network: Network) => Promise<T>): Promise<T> {
    const { locks, state } = this.#needs;
    return locks.shared(networkId, () =>
      locks.exclusive(id, async () => {
        const network = state.removing.has(networkId) ? undefined : state.network(networkId);
        if (network === undefined) throw new TsnetError("not-found", `network ${networkId} is unknown to tsnet`);
        return work(network);
      }),
    );
  }

  #lockedIfKnown(networkId: string, id: string, work: (endpoint: Endpoint) => Promise<void>): Promise<void> {
    const { locks, state } = this.#needs;
    return locks.shared(networkId, () =>
      locks.exclusive(id, async () => {
        const endpoint = state.endpoint(id);
        if (endpoint?.network === networkId) await work(endpoint);
      }),
    );
  }
}
