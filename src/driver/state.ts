import { setImmediate } from "node:timers/promises";
import { type Endpoint, isLan, type Network } from "../plan/network.ts";
import type { Wanted } from "../plan/reconcile.ts";
import { recordsPerTurn } from "./parse-record.ts";
import type { Records } from "./records.ts";
import { parseEndpointRecord, parseNetworkRecord } from "./state-record.ts";

/**
 * The networks and endpoints of this host: all in memory, each change durable before it shows here.
 * Something is `removing` from the moment its removal begins until its record is gone; then it is not wanted any more.
 */
export class State {
  readonly #records: Records;
  readonly #networks = new Map<string, Network>();
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #byAddress = new Map<string, string>();
  readonly #byNetwork = new Map<string, Set<string>>();
  readonly #bySandbox = new Map<string, Set<string>>();
  readonly removing = new Set<string>();

  constructor(records: Records) {
    this.#records = records;
  }

  /**
   * Reads all records; once, before anything else.
   * @throws TsnetError "store", which names the record that cannot be understood
   */
  async restore(): Promise<void> {
    let restored = 0;
    const pause = async (): Promise<void> => {
      if (++restored % recordsPerTurn === 0) await setImmediate();
    };
    for (const [id, value] of await this.#records.list("network")) {
      this.#showNetwork(parseNetworkRecord(id, value));
      await pause();
    }
    for (const [id, value] of await this.#records.list("endpoint")) {
      this.#showEndpoint(parseEndpointRecord(id, value));
      await pause();
    }
  }

  network(id: string): Network | undefined {
    return this.#networks.get(id);
  }

  networks(): Iterable<Network> {
    return this.#networks.values();
  }

  /** This network and those on the same parent, whose containers are neighbors of its own. */
  networksBeside(network: Network): Network[] {
    if (!isLan(network)) return [network];
    return [...this.#networks.values()].filter((other) => isLan(other) && other.parent.name === network.parent.name);
  }

  endpoint(id: string): Endpoint | undefined {
    return this.#endpoints.get(id);
  }

  endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
  }

  endpointsOf(networkId: string): Endpoint[] {
    return this.#resolve(this.#byNetwork.get(networkId));
  }

  /** The endpoints of one container. */
  endpointsIn(sandbox: string | null): Endpoint[] {
    return sandbox === null ? [] : this.#resolve(this.#bySandbox.get(sandbox));
  }

  /** The endpoint that holds an address ("172.18.0.2/16") in a network. */
  endpointAt(networkId: string, address: string): Endpoint | undefined {
    const id = this.#byAddress.get(addressKey(networkId, address));
    return id === undefined ? undefined : this.#endpoints.get(id);
  }

  /** All networks and endpoints, those that are being removed among them. */
  recorded(): Wanted {
    return { networks: new Map(this.#networks), endpoints: new Map(this.#endpoints) };
  }

  /** What should be in the kernel. */
  wanted(): Wanted {
    const keep = ([id]: [string, unknown]): boolean => !this.removing.has(id);
    return {
      networks: new Map([...this.#networks].filter(keep)),
      endpoints: new Map([...this.#endpoints].filter(keep)),
    };
  }

  async saveNetwork(network: Network): Promise<void> {
    await this.#records.commit([{ put: "network", id: network.id, value: network }]);
    this.#showNetwork(network);
  }

  async forgetNetwork(id: string): Promise<void> {
    await this.#records.commit([{ remove: "network", id }]);
    this.#networks.delete(id);
    this.removing.delete(id);
  }

  async saveEndpoint(endpoint: Endpoint): Promise<void> {
    await this.#records.commit([{ put: "endpoint", id: endpoint.id, value: endpoint }]);
    this.#hideEndpoint(endpoint.id);
    this.#showEndpoint(endpoint);
  }

  async forgetEndpoint(id: string): Promise<void> {
    await this.#records.commit([{ remove: "endpoint", id }]);
    this.#hideEndpoint(id);
    this.removing.delete(id);
  }

  #showNetwork(network: Network): void {
    this.#networks.set(network.id, network);
  }

  #showEndpoint(endpoint: Endpoint): void {
    this.#endpoints.set(endpoint.id, endpoint);
    for (const address of endpoint.addresses) this.#byAddress.set(addressKey(endpoint.network, address), endpoint.id);
    addTo(this.#byNetwork, endpoint.network, endpoint.id);
    if (endpoint.sandbox !== null) addTo(this.#bySandbox, endpoint.sandbox, endpoint.id);
  }

  #hideEndpoint(id: string): void {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined) return;
    this.#endpoints.delete(id);
    for (const address of endpoint.addresses) this.#byAddress.delete(addressKey(endpoint.network, address));
    removeFrom(this.#byNetwork, endpoint.network, id);
    if (endpoint.sandbox !== null) removeFrom(this.#bySandbox, endpoint.sandbox, id);
  }

  #resolve(ids: ReadonlySet<string> | undefined): Endpoint[] {
    return [...(ids ?? [])].flatMap((id) => this.#endpoints.get(id) ?? []);
  }
}

const addressKey = (networkId: string, address: string): string => `${networkId} ${address.split("/")[0]}`;

function addTo(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids === undefined) index.set(key, new Set([id]));
  else ids.add(id);
}

function removeFrom(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  ids?.delete(id);
  if (ids?.size === 0) index.delete(key);
}
