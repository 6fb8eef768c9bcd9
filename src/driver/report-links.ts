import { TsnetError } from "../errors.ts";
import { namespaceName } from "../net/names.ts";
import type { Network } from "../plan/network.ts";
import { reportEndpoint, type SandboxLinks } from "./report-endpoints.ts";
import type { EndpointAnswer, FailedNetworkAnswer, NetworkAnswer, Place } from "./report-link-answers.ts";
import { type HostLinks, placeOf, reportNetwork } from "./report-networks.ts";
import type { State } from "./state.ts";
import { Turn } from "./turn.ts";

export interface LinkReportNeeds {
  readonly state: Pick<State, "endpoint" | "endpoints" | "endpointsOf" | "network" | "networks" | "removing">;
  /** All links of the host, and those that are ours in the network namespaces of these paths. */
  readonly observeLinks: (sandboxes: readonly string[]) => Promise<{ links: HostLinks; sandboxes: SandboxLinks }>;
  /** The swarm's networks that this manager was asked for in vain. */
  readonly failedNetworks: () => readonly FailedNetworkAnswer[];
  /** Where a network namespace of ours is pinned. */
  readonly namespacePath: (name: string) => string;
}

/** The networks and endpoints of this host, and what their links are like: without a lock, in parts, as Report does. */
export class LinkReport {
  readonly #needs: LinkReportNeeds;

  constructor(needs: LinkReportNeeds) {
    this.#needs = needs;
  }

  /** Those of the swarm that no node has, since they could not be allocated here. */
  failedNetworks(): readonly FailedNetworkAnswer[] {
    return this.#needs.failedNetworks();
  }

  /** All networks. @throws TsnetError "kernel" */
  async *networks(): AsyncGenerator<readonly NetworkAnswer[]> {
    const { state, observeLinks } = this.#needs;
    const networks = [...state.networks()]; // one that is recorded later may have links that were not seen
    const { links, sandboxes } = await observeLinks(this.#namespacesOf(networks));
    yield* inParts(networks, ({ id }) => {
      const network = state.network(id);
      const inside = network && this.#inside(network, sandboxes);
      const facts = { links, inside, endpoints: state.endpointsOf(id).length, isRemoving: state.removing.has(id) };
      return network && reportNetwork(network, facts);
    });
  }

  /**
   * The endpoints of all networks, or of one.
   * @param networkId null for all
   * @throws TsnetError "not-found" for a network that tsnet does not know, "kernel"
   */
  async *endpoints(networkId: string | null): AsyncGenerator<readonly EndpointAnswer[]> {
    const { state, observeLinks } = this.#needs;
    if (networkId !== null && state.network(networkId) === undefined) {
      throw new TsnetError("not-found", `network=${networkId}: no such network; GET /v1/networks has the full IDs`);
    }
    const endpoints = networkId === null ? [...state.endpoints()] : state.endpointsOf(networkId);
    const paths = new Set(endpoints.flatMap(({ sandbox }) => sandbox ?? []));
    const networks = new Set(endpoints.flatMap(({ network }) => state.network(network) ?? []));
    const observed = await observeLinks([...paths, ...this.#namespacesOf(networks)]);
    const places = new Map<string, Place>();
    yield* inParts(endpoints, (endpoint) => {
      const network = state.network(endpoint.network);
      if (network === undefined || state.endpoint(endpoint.id) === undefined) return undefined;
      const place = places.get(network.id) ?? placeOf(network, observed.links);
      places.set(network.id, place);
      const inside = this.#inside(network, observed.sandboxes);
      return reportEndpoint(endpoint, place, { ...observed, inside, isRemoving: state.removing.has(endpoint.id) });
    });
  }

  /** The paths of those that overlay networks have. */
  #namespacesOf(networks: Iterable<Network>): string[] {
    return [...networks].flatMap((network) => (network.mode === "overlay" ? [this.#pathOf(network)] : []));
  }

  /** The links in an overlay network's own namespace; undefined if it is not there. */
  #inside(network: Network, observed: SandboxLinks): HostLinks | undefined {
    const links = network.mode === "overlay" ? observed.get(this.#pathOf(network)) : undefined;
    return links && new Map(links.map((link) => [link.name, link]));
  }

  #pathOf({ id }: Network): string {
    return this.#needs.namespacePath(namespaceName(id));
  }
}

/** With a turn of the event loop between two parts. */
async function* inParts<Item, Answer>(
  items: Iterable<Item>,
  report: (item: Item) => Answer | undefined,
): AsyncGenerator<readonly Answer[]> {
  let part: Answer[] = [];
  const turn = new Turn();
  for (const item of items) {
    const answer = report(item);
    if (answer !== undefined) part.push(answer);
    if (!turn.isOver) continue;
    yield part;
    part = [];
    await turn.next();
  }
  yield part;
}
