import { hasErrno } from "../errors.ts";
import {
  bySet,
  changeScript,
  diffElements,
  type Element,
  planFirewall,
  tableScript,
  wantedElements,
} from "../plan/firewall.ts";
import { planForward } from "../plan/forward.ts";
import type { Elements } from "../plan/observed.ts";
import type { Kernel } from "./kernel.ts";
import type { State } from "./state.ts";

/** Our nft table, kept as the records say, and the one rule in FORWARD. */
export class Firewall {
  readonly #kernel: Kernel;
  readonly #state: State;
  readonly #mark: number;
  readonly #dockerLinks = new Set<string>();
  #skeleton = "";

  constructor(kernel: Kernel, state: State, mark: number) {
    this.#kernel = kernel;
    this.#state = state;
    this.#mark = mark;
  }

  /** Puts the whole table in place, and learns how the kernel lists it. */
  async install(dockerLinks: Iterable<string>): Promise<void> {
    for (const name of dockerLinks) this.#dockerLinks.add(name);
    await this.#run(tableScript(this.#wanted(), this.#mark));
    this.#skeleton = (await this.#kernel.observeFirewall())?.skeleton ?? "";
    await this.repairForward();
  }

  /**
   * Changes from some elements to others, in one transaction. The records have the new state already: a table that somebody has
   * flushed or changed meanwhile is put back whole.
   */
  async change(before: readonly Element[], after: readonly Element[]): Promise<void> {
    const { add, remove } = diffElements(bySet(after), bySet(before));
    if (add.length + remove.length === 0) return;
    try {
      await this.#run(changeScript({ add, remove }));
    } catch (error) {
      if (!hasErrno(error, "ENOENT") && !hasErrno(error, "EEXIST")) throw error;
      await this.#run(tableScript(this.#wanted(), this.#mark));
    }
  }

  /**
   * Compares the table with the records and repairs it.
   * @returns whether something had to be done
   */
  async repair(): Promise<boolean> {
    const observed = await this.#kernel.observeFirewall();
    const script = planFirewall(this.#wanted(), observed, { skeleton: this.#skeleton, mark: this.#mark });
    if (script !== undefined) await this.#run(script);
    return script !== undefined;
  }

  /**
   * Compares the FORWARD chains with what we need there and repairs them.
   * @returns whether something had to be done
   */
  async repairForward(): Promise<boolean> {
    const ops = planForward(await this.#kernel.observeForward(), this.#mark);
    if (ops.length > 0) await this.#kernel.apply(ops);
    return ops.length > 0;
  }

  /** A bridge of Docker's own came or went. */
  async setDockerLink(name: string, exists: boolean): Promise<void> {
    if (this.#dockerLinks.has(name) === exists) return;
    const element: Element = ["docker_links", name, ""];
    if (exists) this.#dockerLinks.add(name);
    else this.#dockerLinks.delete(name);
    await this.change(exists ? [] : [element], exists ? [element] : []);
  }

  #wanted(): Elements {
    const { networks, endpoints } = this.#state.wanted();
    return wantedElements({
      networks: networks.values(),
      endpoints: endpoints.values(),
      dockerLinks: this.#dockerLinks,
    });
  }

  #run(script: string): Promise<void> {
    return this.#kernel.apply([{ op: "run-nft", script }]);
  }
}
