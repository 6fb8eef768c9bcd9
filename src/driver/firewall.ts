import { hasErrno, TsnetError } from "../errors.ts";
import { bySet, diffElements, type Element, wantedElements } from "../plan/firewall.ts";
import { table } from "../plan/firewall-rules.ts";
import { changeScript, planFirewall, tableScript } from "../plan/firewall-script.ts";
import { dockerBridges, planForward } from "../plan/forward.ts";
import type { Elements, ObservedForward } from "../plan/observed.ts";
import type { Kernel } from "./kernel.ts";
import type { State } from "./state.ts";

/** How often the table is put in place at the start before somebody who removes it each time is an error. */
const installAttempts = 3;

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
  #dockerLinks: DockerLinks = { byName: new Set(), byRule: new Set() };
  #skeleton = "";

  constructor(kernel: Kernel, state: State, mark: number) {
    this.#kernel = kernel;
    this.#state = state;
    this.#mark = mark;
  }

  /**
   * Puts the whole table in place, and learns how the kernel lists it.
   * @param dockerLinks the links with a name of Docker's
   * @throws TsnetError "kernel" also if somebody else removes the table each time
   */
  async install(dockerLinks: Iterable<string>): Promise<void> {
    const byRule = this.#bridgesIn(await this.#kernel.observeForward());
    this.#dockerLinks = { byName: new Set(dockerLinks), byRule };
    this.#skeleton = await this.#putTable();
    await this.repairForward();
  }

  /** Somebody may flush the ruleset before it is looked at: then there is nothing to learn, and it is put there again. */
  async #putTable(): Promise<string> {
    for (let attempt = 1; attempt <= installAttempts; attempt++) {
      await this.#run(tableScript(this.#wanted(), this.#mark));
      const observed = await this.#kernel.observeFirewall();
      if (observed !== undefined) return observed.skeleton;
    }
    const what = `table ${table} was gone right after it was made, ${installAttempts} times`;
    throw new TsnetError(
      "kernel",
      `${what}: find out with "nft monitor" which program flushes the ruleset, and stop it`,
    );
  }

  /**
   * Changes from some elements to others, in one transaction. The records have the new state already: a table that somebody has
   * flushed or changed meanwhile is put back whole.
   */
  async change(before: readonly Element[], after: readonly Element[]): Promise<void> {
    const { add, remove } = diffElements(bySet(after), bySet(before));
    if (add.length + remove.length === 0) return;
    await this.#runOrReplace(changeScript({ add, remove }));
  }

  /**
   * Compares the table with the records and repairs it.
   * @returns whether something had to be done
   */
  async repair(): Promise<boolean> {
    const observed = await this.#kernel.observeFirewall();
    const script = planFirewall(this.#wanted(), observed, { skeleton: this.#skeleton, mark: this.#mark });
    if (script !== undefined) await this.#runOrReplace(script);
    return script !== undefined;
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
    return dockerBridges(observed, new Set([...this.#state.networks()].map(({ bridge }) => bridge)));
  }

  #wanted(): Elements {
    const { networks, endpoints } = this.#state.wanted();
    return wantedElements({
      networks: networks.values(),
      endpoints: endpoints.values(),
      dockerLinks: this.#dockerLinkNames(),
    });
  }

  /** The whole table, where others have changed it so that the script does not fit: an interval of theirs overlaps ours. */
  async #runOrReplace(script: string): Promise<void> {
    try {
      await this.#run(script);
    } catch (error) {
      if (!hasErrno(error, "ENOENT") && !hasErrno(error, "EEXIST")) throw error;
      await this.#run(tableScript(this.#wanted(), this.#mark));
    }
  }

  #run(script: string): Promise<void> {
    return this.#kernel.apply([{ op: "run-nft", script }]);
  }
}

const dockerLinkElement = (name: string): Element => ["docker_links", name, ""];
