/** Work on etcd that is tried again until a deadline: because another host was faster, or because etcd did not answer. */
import { setTimeout as pause } from "node:timers/promises";
import { explain, TsnetError } from "../../errors.ts";

export interface Timing {
  /** When a request is given up: a little less than the 5 s after which it must have its answer. */
  readonly deadlineMs: number;
  /** Between two attempts while etcd does not answer. A restart of it takes about a second. */
  readonly pauseMs: number;
}

const usualTiming: Timing = { deadlineMs: 4500, pauseMs: 100 };

const poolHint = "shared pools need it, pools of this host alone do not; try again when it can be reached";

/** Returned by an attempt that another host has made void: the next looks at what there is now. */
export const lost = Symbol("lost");
export type Lost = typeof lost;

export interface AttemptsOptions {
  /** For messages: "http://10.0.0.1:2379". */
  readonly endpoints: readonly string[];
  /** What the time was too short for, and what to do; for messages. */
  readonly hint?: string | undefined;
  /** Another one; for tests. */
  readonly timing?: Timing | undefined;
}

/** Whether it is of no use to try again at once: what failed is not that etcd did not answer, or had too much to do. */
export const isLasting = (error: unknown): boolean =>
  !(error instanceof TsnetError && error.code === "store") ||
  (/^etcd refuses: /.test(error.message) && !/too many requests/.test(error.message));

/** What an attempt knows of its deadline. */
export interface Deadline {
  readonly isOver: boolean;
}

export class Attempts {
  readonly #endpoints: readonly string[];
  readonly #hint: string;
  readonly #timing: Timing;
  /** Of those under way. */
  readonly #ends = new Set<() => void>();
  #isClosed = false;

  constructor({ endpoints, hint = poolHint, timing = usualTiming }: AttemptsOptions) {
    this.#endpoints = endpoints;
    this.#hint = hint;
    this.#timing = timing;
  }

  /**
   * Tries until an attempt returns something, or fails for another reason than that etcd did not answer.
   * @param attempt may still be running when the deadline has passed; what it returns then is not heard
   * @param beganAt when the time began to run, by performance.now(), if what is asked for had to wait before
   * @throws TsnetError "store" when the time is over; what the attempt throws
   */
  async run<T>(attempt: (deadline: Deadline) => Promise<T | Lost>, beganAt = performance.now()): Promise<T> {
    const leftMs = Math.max(0, this.#timing.deadlineMs - (performance.now() - beganAt));
    const deadline = { isOver: leftMs === 0 || this.#isClosed };
    const over = Promise.withResolvers<Lost>();
    const end = (): void => {
      deadline.isOver = true;
      over.resolve(lost);
    };
    this.#ends.add(end);
    const timer = setTimeout(end, leftMs);
    const problem: { cause?: unknown } = {};
    const tries = this.#repeat(attempt, deadline, problem);
    try {
      const result = await Promise.race([tries, over.promise]);
      if (result === lost) throw this.#error(problem.cause);
      return result;
    } finally {
      clearTimeout(timer);
      this.#ends.delete(end);
      tries.catch(() => {});
    }
  }

  /** From now on, nothing is waited for. */
  close(): void {
    this.#isClosed = true;
    for (const end of this.#ends) end();
  }

  #error(cause: unknown): TsnetError {
    if (this.#isClosed) return new TsnetError("store", "tsnet ends: etcd was not waited for");
    const why = cause === undefined ? "it did not answer" : explain(cause);
    const seconds = this.#timing.deadlineMs / 1000;
    const text = `etcd at ${this.#endpoints.join(", ")} did not do it within ${seconds} s: ${why}`;
    return new TsnetError("store", `${text}; ${this.#hint}`);
  }

  async #repeat<T>(
    attempt: (deadline: Deadline) => Promise<T | Lost>,
    deadline: Deadline,
    problem: { cause?: unknown },
  ): Promise<T | Lost> {
    while (!deadline.isOver) {
      try {
        const result = await attempt(deadline);
        if (result !== lost) return result;
        problem.cause = new TsnetError("store", "other hosts have been faster each time");
      } catch (error) {
        if (isLasting(error)) throw error;
        problem.cause = error;
        await pause(this.#timing.pauseMs);
      }
    }
    return lost;
  }
}
