import { explain } from "../../errors.ts";
import { isDraining } from "../../plan/draining.ts";
import type { GossipNetwork, GossipService } from "../../plan/gossip.ts";
import type { NameAnswer } from "../../plan/name-questions.ts";
import { tasksName } from "../../plan/task-names.ts";
import type { Kernel } from "../kernel.ts";
import type { Log } from "../log.ts";
import { KnownService } from "./known-service.ts";

/** A task is drained for 2 s, of which other nodes may hear 0.2 s late. */
const everyMs = 500;

/** Docker's name server answers within a millisecond, 200 questions within 10. */
const waitMs = 300;

/** So many containers are asked in a round, where one is just going. */
const sandboxesAtOnce = 3;

/** After so many rounds without an answer, it is said. */
const failuresUntilSaid = 10;

/** A network with endpoints here. */
export interface DrainingNetwork {
  readonly id: string;
  /** As Docker calls it; null where that is not known. */
  readonly name: string | null;
  /** Network namespaces of its containers here. */
  readonly sandboxes: readonly string[];
}

export interface DrainingNeeds {
  readonly kernel: Pick<Kernel, "askNames">;
  readonly log: Log;
  readonly networks: () => Iterable<DrainingNetwork>;
  /** What Docker lists of a network; undefined while it has not said. */
  readonly gossip: (networkId: string) => GossipNetwork | undefined;
  /** That is old: other tasks than it lists are there, or some of them are not. */
  readonly hurry: (networkId: string) => void;
  /** By performance.now(). */
  readonly now: () => number;
}

/** A service, and the name that its tasks are asked for by. */
interface Question {
  readonly service: GossipService;
  readonly name: string;
}

/** What is known of a network. */
interface Followed {
  readonly services: Map<string, KnownService>;
  /** The container that is asked first. */
  sandbox: string | undefined;
  failures: number;
  isAsking: boolean;
}

/**
 * Asks Docker's name server again and again, from within a container of each network, which tasks of services are to stop. It costs Docker
 * little, so that it is also what tells first of tasks that come and go.
 */
export class Draining {
  readonly #needs: DrainingNeeds;
  readonly #followed = new Map<string, Followed>();
  readonly #listeners = new Set<(networkId: string) => void>();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #isOn = false;
  #lastError: string | undefined;

  constructor(needs: DrainingNeeds) {
    this.#needs = needs;
  }

  /** Asks from now on, as long as there is something to ask for. */
  start(): void {
    this.#isOn = true;
    this.wake();
  }

  /** Docker has told something else of a network: there may be something to ask for. */
  wake(): void {
    if (!this.#isOn || this.#timer !== undefined) return;
    const isAny = [...this.#needs.networks()].some((network) => this.#questions(network).length > 0);
    if (isAny) this.#timer = setInterval(() => void this.#round(), everyMs).unref();
  }

  /** Waits for answers that are under way. */
  async stop(): Promise<void> {
    this.#isOn = false;
    clearInterval(this.#timer);
    await Promise.allSettled(this.#running);
  }

  /** Calls back when other tasks of a network are draining, with its ID. */
  onChange(listener: (networkId: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Whether the task of a service with this address is to stop, and another is not. Any doubt is no. */
  isDraining(networkId: string, service: string, ip: string): boolean {
    const known = this.#followed.get(networkId)?.services.get(service);
    if (known === undefined || known.draining.length === 0) return false;
    const listed = this.#needs.gossip(networkId)?.services.find(({ name }) => name === service);
    return listed !== undefined && isDraining(known.states, listed.tasks, ip);
  }

  /** What goes wrong in one is said once, and keeps nobody from the next. There is none while there is nothing to ask for. */
  async #round(): Promise<void> {
    try {
      await this.look();
      this.#lastError = undefined;
      this.#restIfIdle();
    } catch (error) {
      const text = explain(error);
      if (text !== this.#lastError)
        this.#needs.log.error({ error: text }, "which tasks are to stop could not be asked");
      this.#lastError = text;
    }
  }

  #restIfIdle(): void {
    if ([...this.#followed.values()].some(({ services }) => services.size > 0)) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.wake(); // something may have been told meanwhile
  }

  /** One round: asks for all networks at the same time, but for those whose answers are still under way. */
  async look(): Promise<void> {
    const networks = [...this.#needs.networks()];
    const ids = new Set(networks.map(({ id }) => id));
    for (const id of this.#followed.keys()) if (!ids.has(id)) this.#followed.delete(id);
    const round = Promise.all(networks.map((network) => this.#lookAt(network))).then(() => {});
    this.#running.add(round);
    await round.finally(() => this.#running.delete(round));
  }

  async #lookAt(network: DrainingNetwork): Promise<void> {
    const followed = this.#follow(network.id);
    if (followed.isAsking) return;
    followed.isAsking = true;
    const before = drainingIn(followed);
    try {
      const questions = this.#questions(network);
      keepServices(followed, questions);
      const due = questions.filter(({ service }) => followed.services.get(service.name)?.isDue());
      const isOld = this.#take(followed, due, due.length === 0 ? null : await this.#ask(network, followed, due));
      if (isOld) this.#needs.hurry(network.id);
    } finally {
      followed.isAsking = false;
    }
    if (drainingIn(followed) !== before) for (const listener of this.#listeners) listener(network.id);
  }

  #follow(id: string): Followed {
    const known = this.#followed.get(id);
    if (known !== undefined) return known;
    const followed: Followed = { services: new Map(), sandbox: undefined, failures: 0, isAsking: false };
    this.#followed.set(id, followed);
    return followed;
  }

  /** For services with a virtual IP. */
  #questions({ id, name }: DrainingNetwork): readonly Question[] {
    const services = this.#needs.gossip(id)?.services ?? [];
    return services.flatMap((service) => {
      const question = service.vip === null || service.tasks.length === 0 ? null : tasksName(service.name, name);
      return question === null ? [] : [{ service, name: question }];
    });
  }

  /** @returns null if no container can ask */
  async #ask(
    { id, sandboxes }: DrainingNetwork,
    followed: Followed,
    questions: readonly Question[],
  ): Promise<readonly NameAnswer[] | null> {
    const names = questions.map(({ name }) => name);
    const first = sandboxes.filter((sandbox) => sandbox === followed.sandbox);
    const others = sandboxes.filter((sandbox) => sandbox !== followed.sandbox);
    let last: unknown;
    for (const sandbox of [...first, ...others].slice(0, sandboxesAtOnce)) {
      try {
        const answers = await this.#needs.kernel.askNames({ sandbox, names, waitMs });
        this.#heard(id, followed);
        // one that has answered nothing is not the first to be asked again, where there is another
        const isMute = answers.every(({ outcome }) => outcome === "silent");
        followed.sandbox = isMute ? others.find((other) => other !== sandbox) : sandbox;
        return answers;
      } catch (error) {
        last = error;
      }
    }
    this.#unheard(id, followed, last);
    return null;
  }

  #heard(network: string, followed: Followed): void {
    if (followed.failures >= failuresUntilSaid)
      this.#needs.log.info({ network }, "Docker's name server tells again which tasks are to stop");
    followed.failures = 0;
  }

  /** Without containers there is nobody who would open a connection. */
  #unheard(network: string, followed: Followed, error: unknown): void {
    if (error === undefined || ++followed.failures !== failuresUntilSaid) return;
    const message =
      "Docker's name server does not tell which tasks are to stop: they get connections until they have ended";
    this.#needs.log.warn({ network, error: explain(error) }, message);
  }

  /**
   * @param answers to those questions, in their order; null if nobody was asked
   * @returns whether other tasks than those that Docker has listed are there now
   */
  #take({ services }: Followed, asked: readonly Question[], answers: readonly NameAnswer[] | null): boolean {
    const now = this.#needs.now();
    let isOld = false;
    for (const [n, { service }] of asked.entries()) {
      const answer = answers?.[n];
      if (answer !== undefined && services.get(service.name)?.take(service.tasks, answer, now)) isOld = true;
    }
    for (const known of services.values()) known.expire(now);
    return isOld;
  }
}

/** Forgets services and tasks that are not listed any more. */
function keepServices({ services }: Followed, questions: readonly Question[]): void {
  const listed = new Set(questions.map(({ service }) => service.name));
  for (const name of services.keys()) if (!listed.has(name)) services.delete(name);
  for (const { service } of questions) {
    const known = services.get(service.name) ?? new KnownService();
    known.keep(service.tasks);
    services.set(service.name, known);
  }
}

/** The endpoints of those that are draining, as a text. */
const drainingIn = ({ services }: Followed): string =>
  [...services.values()]
    .flatMap((known) => known.draining)
    .toSorted()
    .join(" ");
