import type { FactsAnswering, FactsAsking } from "../plan/facts-message.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import type { NameAnswer, NameQuestions } from "../plan/name-questions.ts";
import type { PathAnswer, PathProbes } from "../plan/path-probe.ts";
import type { WayProbe, WayProber } from "./direct/way-prober.ts";
import type { NameClient } from "./dns/name-client.ts";
import { Poller } from "./ports/poller.ts";
import type { FactsAsker } from "./underlay/facts-asker.ts";
import type { FactsResponder } from "./underlay/facts-responder.ts";
import type { PathProber } from "./underlay/path-prober.ts";

/**
 * What asks others from within network namespaces, and answers them, with one thread of the pool to wait for all of it. Each is loaded
 * when it is first needed: a host without overlay networks does without.
 */
export class Askers {
  readonly #pathOf: (namespace: string) => string;
  readonly #poller = new Poller();
  #prober: Promise<PathProber> | undefined;
  #wayProber: Promise<WayProber> | undefined;
  #nameClient: Promise<NameClient> | undefined;
  #factsAsker: Promise<FactsAsker> | undefined;
  #factsResponder: Promise<FactsResponder> | undefined;

  /** @param pathOf the file of a namespace of ours */
  constructor(pathOf: (namespace: string) => string) {
    this.#pathOf = pathOf;
  }

  async probePaths(probes: PathProbes): Promise<PathAnswer[]> {
    this.#prober ??= import("./underlay/path-prober.ts").then(({ PathProber }) => new PathProber(this.#poller));
    const { namespace } = probes;
    return (await this.#prober).probe(probes, namespace === null ? null : this.#pathOf(namespace));
  }

  async askNames(questions: NameQuestions): Promise<NameAnswer[]> {
    this.#nameClient ??= import("./dns/name-client.ts").then(({ NameClient }) => new NameClient(this.#poller));
    return (await this.#nameClient).ask(questions);
  }

  async probeWays(probe: WayProbe): Promise<string[]> {
    this.#wayProber ??= import("./direct/way-prober.ts").then(({ WayProber }) => new WayProber(this.#poller));
    return (await this.#wayProber).probe(probe, this.#pathOf(probe.namespace));
  }

  async askFacts(asking: FactsAsking): Promise<(HostFacts | null)[]> {
    this.#factsAsker ??= import("./underlay/facts-asker.ts").then(({ FactsAsker }) => new FactsAsker(this.#poller));
    return (await this.#factsAsker).ask(asking, this.#pathOf(asking.namespace));
  }

  async answerFacts(answering: FactsAnswering | null): Promise<void> {
    if (answering === null) return (await this.#factsResponder)?.close();
    this.#factsResponder ??= import("./underlay/facts-responder.ts").then(
      ({ FactsResponder }) => new FactsResponder(this.#poller),
    );
    (await this.#factsResponder).answer(answering, this.#pathOf(answering.namespace));
  }

  /** Ends all that wait. */
  stop(): void {
    void this.#wayProber?.then((prober) => prober.stop());
    void this.#nameClient?.then((client) => client.stop());
    void this.#prober?.then((prober) => prober.stop());
    void this.#factsAsker?.then((asker) => asker.stop());
  }

  /** When all calls are over. */
  async close(): Promise<void> {
    (await this.#factsResponder)?.close();
    await this.#poller.close();
  }
}
