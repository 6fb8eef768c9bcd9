import { namespaceName } from "../net/names.ts";
import type { ServiceAnswer } from "./report-service-answers.ts";
import type { ListedService } from "./swarm/services.ts";
import { Turn } from "./turn.ts";

/** How many connections were translated, by "FROM TO": "10.5.0.4 10.5.0.9". By path of the network namespace; one that is none is left out. */
export type Translated = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface ServiceReportNeeds {
  readonly services: { list(): readonly ListedService[] };
  /** Of open connections of IPv4, in the network namespaces of these paths. */
  readonly observeTranslated: (paths: readonly string[]) => Promise<Translated>;
  /** Where a network namespace of ours is pinned. */
  readonly namespacePath: (name: string) => string;
}

/** The services that this node serves, and who is connected with whom: without a lock, in parts, as Report does. */
export class ServiceReport {
  readonly #needs: ServiceReportNeeds;

  constructor(needs: ServiceReportNeeds) {
    this.#needs = needs;
  }

  /** All services. @throws TsnetError "kernel" */
  async *services(): AsyncGenerator<readonly ServiceAnswer[]> {
    const { services, observeTranslated } = this.#needs;
    const served = services.list();
    const withVip = new Set(served.flatMap(({ network, vip }) => (vip === null ? [] : [this.#pathOf(network)])));
    const translated: Translated = withVip.size === 0 ? {} : await observeTranslated([...withVip]);
    const sums = new Map(Object.entries(translated).map(([path, counts]) => [path, sumsOf(counts)]));
    const turn = new Turn();
    let part: ServiceAnswer[] = [];
    for (const one of served) {
      const path = this.#pathOf(one.network);
      part.push(reportService(one, translated[path], sums.get(path)));
      if (!turn.isOver) continue;
      yield part;
      part = [];
      await turn.next();
    }
    yield part;
  }

  #pathOf(network: string): string {
    return this.#needs.namespacePath(namespaceName(network));
  }
}

/** @param counts undefined where nobody could look @param sums by virtual IP */
function reportService(
  { network, service, vip, tasks }: ListedService,
  counts: Translated[string] | undefined,
  sums: ReadonlyMap<string, number> | undefined,
): ServiceAnswer {
  const isKnown = vip !== null && counts !== undefined;
  return {
    ...{ network, name: service, vip, connections: isKnown ? (sums?.get(vip) ?? 0) : null },
    tasks: tasks.map(({ name, ip, isHere, state }) => ({
      ...{ name, address: ip, isHere, state, connections: isKnown ? (counts[`${vip} ${ip}`] ?? 0) : null },
    })),
  };
}

/** By what was translated. */
function sumsOf(counts: Translated[string]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [key, count] of Object.entries(counts ?? {})) {
    const [from = ""] = key.split(" ");
    sums.set(from, count + (sums.get(from) ?? 0));
  }
  return sums;
}
