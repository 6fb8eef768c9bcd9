import { TsnetError } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import { type Endpoint, isLan, type Network } from "../plan/network.ts";
import type { State } from "./state.ts";

/** Removes an endpoint that stands in the way if it is as bad as `atLeast`; says whether it did. */
export type Collect = (endpoint: Endpoint, atLeast: "waiting" | "dead") => Promise<boolean>;

/** Something that only one endpoint of a segment can have. */
interface Claim {
  readonly key: string;
  /** "address 172.18.0.2". */
  readonly what: string;
  /** "--ip": how the user asks for another one. */
  readonly option: string;
  /** Who has it by the records. */
  readonly recorded: () => Endpoint | undefined;
}

/**
 * The addresses of endpoints that are about to be recorded: requests that come at once cannot both have the same. All networks on
 * one parent are of one segment, where an address is somebody's alone, and a MAC address too: the kernel refuses the second.
 */
export class AddressClaims {
  readonly #state: State;
  readonly #collect: Collect;
  readonly #holders = new Map<string, Endpoint>();

  constructor(state: State, collect: Collect) {
    this.#state = state;
    this.#collect = collect;
  }

  /**
   * Runs `work`, which records the endpoint, while nobody else can take its addresses. A holder that Docker has left behind goes.
   * @throws TsnetError "conflict" that names the endpoint that holds an address
   */
  async hold(network: Network, endpoint: Endpoint, work: () => Promise<void>): Promise<void> {
    const claims = this.#claimsOf(network, endpoint);
    for (const { recorded } of claims) {
      const holder = recorded();
      if (holder !== undefined) await this.#collect(holder, "waiting");
    }
    for (const claim of claims) this.#refuseTaken(network, claim);
    for (const { key } of claims) this.#holders.set(key, endpoint);
    try {
      await work();
    } finally {
      for (const { key } of claims) this.#holders.delete(key);
    }
  }

  #refuseTaken(network: Network, { key, what, option, recorded }: Claim): void {
    const holder = this.#holders.get(key) ?? recorded();
    if (holder === undefined) return;
    const where = holder.network === network.id ? "" : ` of network ${holder.network} on the same parent`;
    const held = `${what} of network ${network.id} is held by endpoint ${holder.id}${where}`;
    throw new TsnetError("conflict", `${held}: give another ${option}`);
  }

  #claimsOf(network: Network, { addresses, mac }: Endpoint): Claim[] {
    const segment = isLan(network) ? network.parent.name : network.id;
    const claims = addresses.map((address) => {
      const { text, family } = parseHostAddress(address).ip;
      const option = family === 4 ? "--ip" : "--ip6";
      const recorded = (): Endpoint | undefined => this.#holderOf(network, address);
      return { key: `${segment} ${text}`, what: `address ${text}`, option, recorded };
    });
    if (!isLan(network) || mac === null) return claims;
    const recorded = (): Endpoint | undefined => this.#holderOfMac(network, mac);
    return [...claims, { key: `${segment} ${mac}`, what: `the MAC address ${mac}`, option: "--mac-address", recorded }];
  }

  #holderOf(network: Network, address: string): Endpoint | undefined {
    for (const { id } of this.#state.networksBeside(network)) {
      const holder = this.#state.endpointAt(id, address);
      if (holder !== undefined) return holder;
    }
    return undefined;
  }

  #holderOfMac(network: Network, mac: string): Endpoint | undefined {
    for (const { id } of this.#state.networksBeside(network)) {
      const holder = this.#state.endpointsOf(id).find((endpoint) => endpoint.mac === mac);
      if (holder !== undefined) return holder;
    }
    return undefined;
  }
}
