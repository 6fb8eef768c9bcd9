/** So often each is asked for while it changes. */
const everyMs = 500;

/**
 * So often otherwise. Docker 27 and 28 write a line to their log for each of the swarm's nodes with each answer (moby#49139): "Inconsistent
 * driver and libnetwork state".
 */
const calmMs = 2000;

/** So long after a change, there may be another. */
const livelyMs = 10_000;

/** Who is in a hurry has this time between two questions. */
const hurryMs = 250;

/**
 * At most 40 questions a second, however many there are to ask for: an answer takes dockerd 2 ms, with 50 networks 4 ms, since it looks
 * at all networks for each (FilterNetworks() in daemon/network takes no notice of the ID); seen with 20.10.
 */
const gapMs = 25;

/** So many questions wait for their answers at the same time. */
const atOnce = 4;

/** After an event, Docker is given a moment to do what it is about. */
const settleMs = 100;

/** One that is asked for. */
interface Poll {
  /** undefined: as often as all. */
  readonly everyMs: number | undefined;
  /** When it is asked for next, by performance.now(). */
  dueMs: number;
  askedMs: number;
  /** Until then, it may change. */
  livelyUntilMs: number;
  isAsking: boolean;
}

/** Only tests have others. */
export interface Pace {
  readonly everyMs?: number | undefined;
  readonly calmMs?: number | undefined;
  readonly livelyMs?: number | undefined;
}

/** Asks for several things again and again: each in its turn, more often while it changes, and for none of them twice at the same time. */
export class Polls {
  readonly #ask: (name: string) => Promise<void>;
  readonly #pace: { readonly everyMs: number; readonly calmMs: number; readonly livelyMs: number };
  readonly #polls = new Map<string, Poll>();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #isOn = false;

  /** @param ask must not reject */
  constructor(ask: (name: string) => Promise<void>, pace: Pace = {}) {
    this.#ask = ask;
    const { everyMs: often = everyMs, calmMs: seldom = calmMs, livelyMs: lively = livelyMs } = pace;
    this.#pace = { everyMs: often, calmMs: Math.max(often, seldom), livelyMs: lively };
  }

  start(): void {
    this.#isOn = true;
    this.#go();
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    this.#isOn = false;
    clearTimeout(this.#timer);
    await Promise.all(this.#running);
  }

  /** Is asked for at once, and from then on; it may change soon. @param ms the same time between all questions */
  add(name: string, ms?: number): void {
    if (this.#polls.has(name)) return;
    const livelyUntilMs = performance.now() + this.#pace.livelyMs;
    this.#polls.set(name, { everyMs: ms, dueMs: 0, askedMs: 0, livelyUntilMs, isAsking: false });
    this.#go();
  }

  remove(name: string): void {
    this.#polls.delete(name);
  }

  /** Is asked for within this time, or once more after the answer that is under way. */
  soon(name: string, ms = settleMs): void {
    const poll = this.#polls.get(name);
    if (poll === undefined) return;
    poll.dueMs = Math.min(poll.dueMs, performance.now() + ms);
    this.#go();
  }

  /** It has changed, or is about to: for a while, it is asked for more often. */
  quicken(name: string): void {
    const poll = this.#polls.get(name);
    if (poll === undefined) return;
    poll.livelyUntilMs = performance.now() + this.#pace.livelyMs;
    poll.dueMs = Math.min(poll.dueMs, poll.askedMs + this.#intervalOf(poll));
    this.#go();
  }

  /** It has changed, as others have it: it is asked for now, and more often for a while. */
  hurry(name: string): void {
    const poll = this.#polls.get(name);
    if (poll === undefined) return;
    this.quicken(name);
    this.soon(name, Math.max(0, poll.askedMs + hurryMs - performance.now()));
  }

  /** All of those that are asked for often: twice as often as while they change, at most. */
  soonAll(): void {
    const now = performance.now();
    for (const poll of this.#polls.values()) {
      if (poll.everyMs !== undefined) continue;
      const atMs = Math.max(now + settleMs, poll.askedMs + this.#often / 2);
      poll.dueMs = Math.min(poll.dueMs, atMs);
    }
    this.#go();
  }

  #go(): void {
    clearTimeout(this.#timer);
    if (!this.#isOn) return;
    const now = performance.now();
    const idle = [...this.#polls].filter(([, { isAsking }]) => !isAsking);
    for (const [name, poll] of idle.toSorted(([, one], [, other]) => one.dueMs - other.dueMs)) {
      if (this.#running.size >= atOnce) return; // the next to be answered goes on
      if (poll.dueMs > now) {
        this.#timer = setTimeout(() => this.#go(), poll.dueMs - now).unref();
        return;
      }
      this.#begin(name, poll);
    }
  }

  #begin(name: string, poll: Poll): void {
    const now = performance.now();
    Object.assign(poll, { isAsking: true, askedMs: now, dueMs: now + this.#intervalOf(poll) });
    const done = this.#ask(name).then(() => {
      poll.isAsking = false;
      this.#running.delete(done);
      this.#go();
    });
    this.#running.add(done);
  }

  #intervalOf(poll: Poll): number {
    if (poll.everyMs !== undefined) return poll.everyMs;
    return performance.now() < poll.livelyUntilMs ? this.#often : Math.max(this.#often, this.#pace.calmMs);
  }

  /** The time between two questions for the same, while it changes. */
  get #often(): number {
    return Math.max(this.#pace.everyMs, this.#polls.size * gapMs);
  }
}
