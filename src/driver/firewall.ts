import type { Element, Expected } from "../plan/elements.ts";
import { wantedElements } from "../plan/firewall.ts";
import { firewallTable } from "../plan/firewall-script.ts";
import { dockerBridges, planForward } from "../plan/forward.ts";
import { hasGateway } from "../plan/network.ts";
import type { Elements, ObservedForward } from "../plan/observed.ts";
import type { Wanted } from "../plan/reconcile.ts";
import { KeptTable } from "./kept-table.ts";
import type { Kernel } from "./kernel.ts";
import type { Records } from "./records.ts";
import type { State } from "./state.ts";
import { TableMemory } from "./table-memory.ts";

/** Names of Docker's own bridges, by where they are learned. */
interface DockerLinks {
  /** Links that have a name as only Docker gives it. */
  readonly byName: ReadonlySet<string>;
  /** Bridges in Docker's rules, also with a name of the user's. */
  readonly byRule: ReadonlySet<string>;
}

/** Our nft table, kept as the records say, and the one rule in FORWARD. */
export class Firewall {
  readonly #kernel: Kernel;
  readonly #state: State;
  readonly #mark: number;
  readonly #table: KeptTable;
  /** What goes between hosts without a tunnel, by network ID. */
  readonly #direct = new Map<string, readonly Element[]>();
  #dockerLinks: DockerLinks = { byName: new Set(), byRule: new Set() };

  /** @param records of this host */
  constructor(kernel: Kernel, state: State, records: Pick<Records, "list" | "commit">, mark: number) {
    this.#kernel = kernel;
    this.#state = state;
    this.#mark = mark;
    this.#table = new KeptTable(kernel, firewallTable(mark), () => this.#expected(), new TableMemory(records));
  }

  /**
   * Puts the whole table in place, and learns how the kernel lists it; or takes over that of an earlier process.
   * @param dockerLinks the links with a name of Docker's
   * @param direct as of setDirect, by network ID
   * @throws TsnetError "kernel" also if somebody else removes the table each time
   */
  async install(
    dockerLinks: Iterable<string>,
    direct: ReadonlyMap<string, readonly Element[]> = new Map(),
  ): Promise<void> {
    for (const [network, elements] of direct) this.#direct.set(network, elements);
    const byRule = this.#bridgesIn(await this.#kernel.observeForward());
    this.#dockerLinks = { byName: new Set(dockerLinks), byRule };
    await this.#table.install();
    await this.repairForward();
  }

  /**
   * Changes from some elements to others, in one transaction. The records have the new state already: a table that somebody has
   * flushed or changed meanwhile is put back whole.
   */
  async change(before: readonly Element[], after: readonly Element[]): Promise<void> {
    await this.#table.change(before, after);
  }

  /**
   * Compares the table with the records and repairs it.
   * @returns whether something had to be done
   */
  repair(): Promise<boolean> {
    return this.#table.repair();
  }

  /**
   * Compares the FORWARD chains with what we need there and repairs them; learns Docker's bridges from them before, since our
   * rule there lets through what our table accepts.
   * @returns whether something had to be repaired
   */
  async repairForward(): Promise<boolean> {
    const observed = await this.#kernel.observeForward();
    await this.#changeDockerLinks({ byRule: this.#bridgesIn(observed) });
    const ops = planForward(observed, this.#mark);
    if (ops.length > 0) await this.#kernel.apply(ops);
    return ops.length > 0;
  }

  /**
   * What goes between hosts without a tunnel, of one network; [] for none.
   * @param isMore whether what went before goes on
   */
  async setDirect(network: string, elements: readonly Element[], isMore = false): Promise<void> {
    const before = this.#direct.get(network) ?? [];
    const stays = isMore ? before : [];
    const all = new Map([...stays, ...elements].map((one) => [one.join(" "), one]));
    const after = [...all.values()];
    this.#direct.set(network, after);
    if (after.length === 0) this.#direct.delete(network);
    await this.change(before, after);
  }

  /** A link with a name of Docker's came or went. */
  async setDockerLink(name: string, exists: boolean): Promise<void> {
    const others = [...this.#dockerLinks.byName].filter((other) => other !== name);
    await this.setDockerLinks(exists ? [...others, name] : others);
  }

  /** All links with a name of Docker's. */
  async setDockerLinks(names: Iterable<string>): Promise<void> {
    await this.#changeDockerLinks({ byName: new Set(names) });
  }

  async #changeDockerLinks(change: Partial<DockerLinks>): Promise<void> {
    const before = this.#dockerLinkNames();
    this.#dockerLinks = { ...this.#dockerLinks, ...change };
    await this.change(before.map(dockerLinkElement), this.#dockerLinkNames().map(dockerLinkElement));
  }

  #dockerLinkNames(): string[] {
    const { byName, byRule } = this.#dockerLinks;
    return [...new Set([...byName, ...byRule])];
  }

  #bridgesIn(observed: ObservedForward): Set<string> {
    return dockerBridges(
      observed,
      new Set([...this.#state.networks()].flatMap((network) => (hasGateway(network) ? [network.bridge] : []))),
    );
  }

  #expected(): Expected {
    const hasLeaving = this.#state.removing.size > 0;
    return {
      wanted: this.#elementsOf(this.#state.wanted()),
      leaving: hasLeaving ? this.#elementsOf(this.#state.recorded()) : {},
    };
  }

  #elementsOf({ networks, endpoints }: Wanted): Elements {
    return wantedElements({
      networks: networks.values(),
      endpoints: endpoints.values(),
      dockerLinks: this.#dockerLinkNames(),
      direct: [...this.#direct.values()].flat(),
    });
  }
}

const dockerLinkElement = (name: string): Element => ["docker_links", name, ""];
