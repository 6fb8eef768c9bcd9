import type { NameAnswer, NameQuestions } from "../plan/name-questions.ts";
import type { PathAnswer, PathProbes } from "../plan/path-probe.ts";
import type { WayProbe, WayProber } from "./direct/way-prober.ts";
import type { NameClient } from "./dns/name-client.ts";
import type { Namespaces } from "./namespaces.ts";
import type { Poller } from "./ports/poller.ts";
import type { PathProber } from "./underlay/path-prober.ts";

/** What asks others and waits for their answers. Each is loaded when it is first needed: a host without overlay networks does without. */
export class Probers {
  readonly #poller: Poller;
  readonly #namespaces: Namespaces;
  #paths: Promise<PathProber> | undefined;
  #ways: Promise<WayProber> | undefined;
  #names: Promise<NameClient> | undefined;

  /** @param poller what waits for the answers: a thread of the pool for all */
  constructor(poller: Poller, namespaces: Namespaces) {
    this.#poller = poller;
    this.#namespaces = namespaces;
  }

  async probePaths(probes: PathProbes): Promise<PathAnswer[]> {
    this.#paths ??= import("./underlay/path-prober.ts").then(({ PathProber }) => new PathProber(this.#poller));
    const { namespace } = probes;
    return (await this.#paths).probe(probes, namespace === null ? null : this.#namespaces.pathOf(namespace));
  }

  async probeWays(probe: WayProbe): Promise<string[]> {
    this.#ways ??= import("./direct/way-prober.ts").then(({ WayProber }) => new WayProber(this.#poller));
    return (await this.#ways).probe(probe, this.#namespaces.pathOf(probe.namespace));
  }

  async askNames(questions: NameQuestions): Promise<NameAnswer[]> {
    this.#names ??= import("./dns/name-client.ts").then(({ NameClient }) => new NameClient(this.#poller));
    return (await this.#names).ask(questions);
  }

  /** Ends what waits. */
  stop(): void {
    for (const one of [this.#ways, this.#names, this.#paths]) void one?.then((prober) => prober.stop());
  }
}
