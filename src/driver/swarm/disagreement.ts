import type { GossipTask } from "../../plan/gossip.ts";
import type { NameAnswer } from "../../plan/name-questions.ts";

/** Who was believed in vain is believed again after 2 answers, then after 4, up to this, which is two minutes. */
const mostAnswers = 256;

/**
 * Whether Docker's name server and what Docker's API has listed disagree on a service's tasks, so that the list is worth asking for.
 * What goes on differing is no news: a task that is to stop is listed until it has ended. Nor is it if it differs otherwise each time
 * and the list stays, as somebody else answers.
 */
export class Disagreement {
  #listed = "";
  #differing = "";
  #isAnswered = false;
  /** How often in a row there was news, and how many answers are left out now. */
  #times = 0;
  #skip = 0;

  /** @returns whether it is news */
  hear(tasks: readonly GossipTask[], { outcome, addresses }: NameAnswer): boolean {
    const ips = new Set(tasks.map(({ ip }) => ip));
    this.#list([...ips].toSorted().join(" "));
    if (outcome === "truncated" || outcome === "malformed") return false;
    const isAnswer = outcome === "answered";
    // a name that was never there may be asked for too early, or be nobody's
    if (!isAnswer && !this.#isAnswered) return false;
    const named = new Set(addresses);
    this.#isAnswered ||= tasks.some(({ ip }) => named.has(ip));
    const differing = [...new Set([...ips, ...named])].filter((ip) => !(ips.has(ip) && named.has(ip)));
    return this.#differ(isAnswer ? differing.toSorted().join(" ") : "nothing");
  }

  #differ(differing: string): boolean {
    if (differing === "") this.#times = this.#skip = 0;
    if (this.#skip > 0) {
      this.#skip--;
      return false;
    }
    const isNews = differing !== "" && differing !== this.#differing;
    this.#differing = differing;
    if (isNews) this.#skip = Math.min(2 ** ++this.#times, mostAnswers) - 1;
    return isNews;
  }

  /** With another list, it was worth asking. */
  #list(listed: string): void {
    if (listed !== this.#listed) this.#times = this.#skip = 0;
    this.#listed = listed;
  }
}
