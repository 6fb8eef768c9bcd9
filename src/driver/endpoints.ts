import { during, TsnetError } from "../errors.ts";
import { type EndpointRequest, planEndpoint } from "../plan/endpoint-request.ts";
import { type Endpoint, hasGateway, isLan, type Network } from "../plan/network.ts";
import { difference } from "../plan/network-request.ts";
import { planOpenPorts } from "../plan/open-ports.ts";
import type { PortBinding } from "../plan/ports.ts";
import { AddressClaims } from "./address-claims.ts";
import type { JoinAnswer, Modes } from "./mode.ts";
import { Publishing, type PublishingNeeds } from "./publishing.ts";
import { withRollback } from "./rollback.ts";

/** What the endpoints need. */
export interface EndpointsNeeds extends PublishingNeeds {
  readonly modes: Modes;
  /** The grants by which tsnet's own IPAM has given out addresses for a network. */
  readonly leasesAt: (network: string, addresses: readonly string[]) => readonly string[];
}

/** NetworkDriver's requests about endpoints. */
export class Endpoints {
  readonly #needs: EndpointsNeeds;
  readonly #claims: AddressClaims;
  readonly #publishing: Publishing;

  constructor(needs: EndpointsNeeds) {
    this.#needs = needs;
    this.#publishing = new Publishing(needs);
    this.#claims = new AddressClaims(needs.state, needs.collect);
  }

  /**
   * Makes an endpoint's links; the same request again makes sure that they are there.
   * @returns the endpoint's MAC address, null if it has none of its own
   * @throws TsnetError "not-found" for an unknown network, "conflict" if the address is taken or the endpoint differs
   */
  create(request: EndpointRequest): Promise<string | null> {
    return this.#locked(request.network, request.id, async (network) => {
      const leases = this.#needs.leasesAt(network.id, request.addresses);
      const asked = { ...planEndpoint(request, network), leases };
      if (this.#needs.state.removing.has(request.id)) await this.remove(request.id);
      const known = this.#needs.state.endpoint(request.id);
      if (known === undefined) await this.#create(network, asked);
      else {
        const differs = difference({ network: asked.network, addresses: asked.addresses, mac: asked.mac }, known);
        if (differs !== "") throw new TsnetError("conflict", `endpoint ${request.id} exists, and its ${differs}`);
        await this.#needs.modes.of(network).ensureEndpoint(network, known);
      }
      return asked.mac;
    });
  }

  async #create(network: Network, endpoint: Endpoint): Promise<void> {
    const { state, modes } = this.#needs;
    await during(`create endpoint ${endpoint.id}`, () =>
      withRollback(async (undo) => {
        await this.#claims.hold(network, endpoint, () => {
          undo(() => this.#remove(endpoint));
          return state.saveEndpoint(endpoint);
        });
        await modes.of(network).createEndpoint(network, endpoint);
      }),
    );
  }

  /**
   * An endpoint becomes part of a container.
   * @param sandbox path of the container's network namespace, which Docker up to 27 makes later
   * @param bindings the container's published ports: where the gateway mode is "routed" they are open from now on
   */
  join(networkId: string, id: string, sandbox: string, bindings: readonly PortBinding[] = []): Promise<JoinAnswer> {
    return this.#locked(networkId, id, async (network) => {
      const endpoint = this.#known(networkId, id);
      // whoever had the address before must not be answered for by this container
      await this.#needs.flows.settled({ ...endpoint, ports: [] });
      const openPorts = hasGateway(network) ? planOpenPorts(bindings, network) : [];
      await this.#publishing.update(endpoint, { ...endpoint, sandbox, openPorts });
      return this.#needs.modes.of(network).join(network, endpoint);
    });
  }

  /** An endpoint leaves its container, and its ports with it. One that is unknown is success. */
  leave(networkId: string, id: string): Promise<void> {
    return this.#lockedIfKnown(networkId, id, (endpoint) =>
      this.#publishing.update(endpoint, { ...endpoint, sandbox: null, ports: [], openPorts: [] }),
    );
  }

  /**
   * Publishes ports. Asked again for the same, it keeps what there is; for others, it replaces them.
   * @param noProxy6To4 another endpoint of the container publishes for IPv6
   * @throws TsnetError "conflict", "exhausted" or "invalid" in Docker's words; then no port is held
   */
  publish(networkId: string, id: string, bindings: readonly PortBinding[], noProxy6To4 = false): Promise<void> {
    return this.#locked(networkId, id, async (network) => {
      const endpoint = this.#known(networkId, id);
      if (!isLan(network)) await this.#publishing.publish(bindings, { endpoint, network, noProxy6To4 });
      else if (bindings.length > 0) this.#warnOfPorts(network, endpoint);
    });
  }

  /** Takes an endpoint's published ports back. One that is unknown is success. */
  unpublish(networkId: string, id: string): Promise<void> {
    return this.#lockedIfKnown(networkId, id, (endpoint) =>
      this.#publishing.update(endpoint, { ...endpoint, ports: [] }),
    );
  }

  /** As Docker's own drivers: the container has an address of its own, where its ports are open anyway. */
  #warnOfPorts({ id, mode }: Network, endpoint: Endpoint): void {
    const fields = { network: id, endpoint: endpoint.id };
    this.#needs.log.warn(
      fields,
      `-p has no effect on a network of mode ${mode}: its containers have addresses of their own`,
    );
  }

  /**
   * What is known of an endpoint: EndpointOperInfo. Docker shows none of it.
   * @throws TsnetError "not-found"
   */
  operInfo(networkId: string, id: string): Record<string, string> {
    const { mac } = this.#known(networkId, id);
    return mac === null ? {} : { "com.docker.network.endpoint.macaddress": mac };
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
    const { state, modes } = this.#needs;
    state.removing.add(endpoint.id);
    const network = state.network(endpoint.network);
    if (network !== undefined) await modes.of(network).removeEndpoint(network, endpoint);
    await this.#publishing.withdraw(endpoint, () => state.forgetEndpoint(endpoint.id));
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
