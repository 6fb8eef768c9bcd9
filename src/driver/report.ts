import { type Endpoint, type GatewayNetwork, hasGateway } from "../plan/network.ts";
import type { Kernel } from "./kernel.ts";
import type { ExplainAnswer, FirewallAnswer, PublishedPort } from "./report-answers.ts";
import { type ExplainQuery, explainPort } from "./report-explain.ts";
import { type FirewallFacts, reportFirewall } from "./report-firewall.ts";
import type { ExplainFacts } from "./report-origin.ts";
import { countsOf, reportPort } from "./report-ports.ts";
import { hasPort } from "./report-published.ts";
import type { State } from "./state.ts";
import { Turn } from "./turn.ts";

export interface ReportNeeds {
  readonly state: Pick<State, "endpoints" | "network" | "networks">;
  readonly kernel: Pick<Kernel, "observe" | "observeCounters">;
  readonly observeRules: () => Promise<Pick<ExplainFacts, "firewall" | "forward">>;
  readonly repairs: () => FirewallFacts["repairs"];
  /** The mark bit, as in 0x01000000. */
  readonly mark: number;
}

/** What the administrator may see: from the records in memory and the kernel, without a lock. */
export class Report {
  readonly #needs: ReportNeeds;

  constructor(needs: ReportNeeds) {
    this.#needs = needs;
  }

  /**
   * All published ports, in parts, with a turn of the event loop between two of them. What comes or goes meanwhile may be in it.
   * @throws TsnetError "kernel"
   */
  async *ports(): AsyncGenerator<readonly PublishedPort[]> {
    const { state, kernel } = this.#needs;
    const counts = countsOf(await kernel.observeCounters());
    let part: PublishedPort[] = [];
    const turn = new Turn();
    for (const endpoint of state.endpoints()) {
      const network = state.network(endpoint.network);
      if (network === undefined || !hasGateway(network)) continue;
      for (const mapping of endpoint.ports) {
        part.push(reportPort(mapping, endpoint, network, counts));
        if (!turn.isOver) continue;
        yield part;
        part = [];
        await turn.next();
      }
    }
    yield part;
  }

  /** @throws TsnetError "kernel" */
  async firewall(): Promise<FirewallAnswer> {
    const { observeRules, repairs, mark } = this.#needs;
    return reportFirewall({ ...(await observeRules()), networks: this.#bridges(), repairs: repairs(), mark });
  }

  /** @throws TsnetError "invalid" for an address that is nobody's here, "kernel" */
  async explain(query: ExplainQuery): Promise<ExplainAnswer> {
    const { kernel, observeRules, mark } = this.#needs;
    const [rules, observed] = await Promise.all([observeRules(), kernel.observe("all")]);
    const networks = new Map(this.#bridges().map((network) => [network.id, network]));
    const endpoints = await this.#endpointsOf(query);
    return explainPort(query, { networks, endpoints, ...rules, observed, mark });
  }

  #bridges(): GatewayNetwork[] {
    return [...this.#needs.state.networks()].filter(hasGateway);
  }

  /** Those that have the port, or one of the addresses. */
  async #endpointsOf({ from, to, ...asked }: ExplainQuery): Promise<Map<string, Endpoint>> {
    const addresses = [from, to].flatMap((ip) => (ip === null ? [] : [`${ip.text}/`]));
    const found = new Map<string, Endpoint>();
    const turn = new Turn();
    for (const endpoint of this.#needs.state.endpoints()) {
      if (turn.isOver) await turn.next();
      const isOwn = endpoint.addresses.some((address) => addresses.some((start) => address.startsWith(start)));
      if (isOwn || endpoint.ports.some((mapping) => hasPort(mapping, asked))) found.set(endpoint.id, endpoint);
    }
    return found;
  }
}
