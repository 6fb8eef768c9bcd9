import { judgeTasks, keepTasks, type TaskStates } from "../../plan/draining.ts";
import type { GossipTask } from "../../plan/gossip.ts";
import type { NameAnswer } from "../../plan/name-questions.ts";
import { Disagreement } from "./disagreement.ts";

/** What was answered last counts for so long after an answer that did not come. */
const holdMs = 5000;

/**
 * Docker passes on what it does not know to the host's name servers, and 28.5 writes each time to its log that they do not answer: what has
 * no answer is asked for again after 1 round, then after 2, and then after every 4.
 */
const mostRounds = 4;

/** What Docker's name server has said of the tasks of a service with a virtual IP. */
export class KnownService {
  #states: TaskStates = new Map();
  #draining: readonly string[] = [];
  #answeredMs = 0;
  /** Rounds in a row without an answer, and how many are left out now. */
  #failures = 0;
  #skip = 0;
  readonly #disagreement = new Disagreement();

  get states(): TaskStates {
    return this.#states;
  }

  /** Endpoints. */
  get draining(): readonly string[] {
    return this.#draining;
  }

  /** Forgets tasks that are not listed any more. */
  keep(tasks: readonly GossipTask[]): void {
    this.#set(keepTasks(this.#states, tasks));
  }

  /** Whether to ask in this round. */
  isDue(): boolean {
    if (this.#skip === 0) return true;
    this.#skip--;
    return false;
  }

  /**
   * @param now by the same clock each time
   * @returns whether other tasks than these are there now, or some of them are not
   */
  take(tasks: readonly GossipTask[], answer: NameAnswer, now: number): boolean {
    this.#judge(tasks, answer, now);
    return this.#disagreement.hear(tasks, answer);
  }

  #judge(tasks: readonly GossipTask[], { outcome, addresses }: NameAnswer, now: number): void {
    const states = outcome === "answered" ? judgeTasks(this.#states, tasks, new Set(addresses)) : null;
    if (states === null) {
      this.#skip = Math.min(2 ** this.#failures++, mostRounds) - 1;
      return;
    }
    this.#set(states);
    this.#answeredMs = now;
    this.#failures = 0;
  }

  /** Forgets what is too old. */
  expire(now: number): void {
    if (now - this.#answeredMs > holdMs) this.#set(new Map());
  }

  #set(states: TaskStates): void {
    this.#states = states;
    this.#draining = [...states].flatMap(([endpoint, state]) => (state === "draining" ? [endpoint] : []));
  }
}
