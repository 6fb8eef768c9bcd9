import { explain, hasErrno } from "../../errors.ts";
import { differencesOf, type FactDifference } from "../../plan/fact-differences.ts";
import { formatFacts, type HostFacts } from "../../plan/host-facts.ts";
import { probeNamespace } from "../../plan/probe.ts";
import type { Kernel } from "../kernel.ts";
import type { Log } from "../log.ts";
import type { DoctorFinding } from "./doctor-answers.ts";
import { settingFindings, versionNotes } from "./fact-findings.ts";

/** How long answers are waited for: a host that runs answers at once, and an older tsnet never. */
const waitMs = 700;

interface PeerFactsNeeds {
  readonly kernel: Pick<Kernel, "answerFacts" | "askFacts">;
  /** This host's. */
  readonly facts: HostFacts;
  readonly log: Log;
}

/** What hosts tell each other of themselves, by the network of the probes: plan/host-facts.ts. */
export class PeerFacts {
  readonly #needs: PeerFactsNeeds;
  #others: ReadonlyMap<string, HostFacts> = new Map();
  #isAnswering = false;
  /** Why this host does not answer, and why it cannot ask; "" while it does. */
  #failures = { answer: "", ask: "" };

  constructor(needs: PeerFactsNeeds) {
    this.#needs = needs;
  }

  /** Others can ask this host from now on. What fails is said, and tried again with the next call: probes go on without. */
  async answer(local: string): Promise<void> {
    this.#isAnswering = true;
    const failure = await this.#tell(local).then(() => "", explain);
    if (failure !== "" && failure !== this.#failures.answer)
      this.#needs.log.warn({ error: failure }, "other hosts cannot ask this one for its version and settings");
    this.#failures.answer = failure;
  }

  /** Before the namespace goes, which the socket would keep. */
  async silence(): Promise<void> {
    if (!this.#isAnswering) return;
    await this.#needs.kernel.answerFacts(null);
    this.#isAnswering = false;
    this.#failures.answer = "";
  }

  /** What they are now; who was asked before is forgotten. @param addresses of hosts that have answered probes */
  async ask(addresses: readonly string[]): Promise<void> {
    this.#others = new Map();
    this.#failures.ask = "";
    if (addresses.length === 0) return;
    try {
      const told = await this.#needs.kernel.askFacts({ namespace: probeNamespace, addresses, waitMs });
      this.#others = new Map(addresses.flatMap((address, n) => (told[n] ? [[address, told[n]] as const] : [])));
    } catch (error) {
      // ENOENT: the last network has gone meanwhile
      if (!hasErrno(error, "ENOENT")) this.#failures.ask = explain(error);
    }
  }

  /** null of a host that has not told it. */
  versionOf(address: string): string | null {
    return this.#others.get(address)?.version ?? null;
  }

  /** What keeps hosts from asking each other, and what they have otherwise. @param inSwarm whether this host has networks of a swarm */
  findings(inSwarm: boolean): DoctorFinding[] {
    const { answer, ask } = this.#failures;
    const said = [
      ...(answer === "" ? [] : [`other hosts cannot ask this one for its version and settings: ${answer}`]),
      ...(ask === "" ? [] : [`other hosts cannot be asked for their versions and settings: ${ask}`]),
    ];
    const failures = said.map((text) => ({ kind: "probes", peer: null, text }) as const);
    return [...failures, ...settingFindings(this.#differences(), inSwarm)];
  }

  notes(): DoctorFinding[] {
    return versionNotes(this.#differences());
  }

  /** @throws Error also for facts that others would not take */
  async #tell(local: string): Promise<void> {
    const { kernel, facts } = this.#needs;
    await kernel.answerFacts({ namespace: probeNamespace, address: local, facts: formatFacts(facts) });
  }

  #differences = (): FactDifference[] => differencesOf(this.#needs.facts, this.#others);
}
