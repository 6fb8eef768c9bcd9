import { TsnetError } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import type { Endpoint } from "../plan/network.ts";
import type { State } from "./state.ts";

/** Removes an endpoint that stands in the way if it is as bad as `atLeast`; says whether it did. */
export type Collect = (endpoint: Endpoint, atLeast: "waiting" | "dead") => Promise<boolean>;

/** The addresses of endpoints that are about to be recorded: requests that come at once cannot both have the same. */
export class AddressClaims {
  readonly #state: State;
  readonly #collect: Collect;
  readonly #holders = new Map<string, string>();

  constructor(state: State, collect: Collect) {
    this.#state = state;
    this.#collect = collect;
  }

  /**
   * Runs `work`, which records the endpoint, while nobody else can take its addresses. A holder that Docker has left behind goes.
   * @throws TsnetError "conflict" that names the endpoint that holds an address
   */
  async hold(endpoint: Endpoint, work: () => Promise<void>): Promise<void> {
    for (const address of endpoint.addresses) await this.#collectHolder(endpoint, address);
    const keys = endpoint.addresses.map((address) => keyOf(endpoint, address));
    for (const address of endpoint.addresses) this.#refuseTaken(endpoint, address);
    for (const key of keys) this.#holders.set(key, endpoint.id);
    try {
      await work();
    } finally {
      for (const key of keys) this.#holders.delete(key);
    }
  }

  async #collectHolder(endpoint: Endpoint, address: string): Promise<void> {
    const holder = this.#state.endpointAt(endpoint.network, address);
    if (holder !== undefined) await this.#collect(holder, "waiting");
  }

  #refuseTaken(endpoint: Endpoint, address: string): void {
    const holder = this.#holders.get(keyOf(endpoint, address)) ?? this.#state.endpointAt(endpoint.network, address)?.id;
    if (holder === undefined) return;
    const ip = parseHostAddress(address).ip.text;
    throw new TsnetError("conflict", `address ${ip} of network ${endpoint.network} is held by endpoint ${holder}`);
  }
}

const keyOf = ({ network }: Endpoint, address: string): string => `${network} ${parseHostAddress(address).ip.text}`;
