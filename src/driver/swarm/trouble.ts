import { explain, hasErrno } from "../../errors.ts";
import type { Log } from "../log.ts";

/** What has failed is tried again after so long, then after twice as long, and so on. */
const firstPauseMs = 500;
const longestPauseMs = 10_000;

export interface TroubleNeeds {
  /** Its ID. */
  readonly network: string;
  readonly log: Log;
  /** Tries again. */
  readonly again: () => void;
}

/** What keeps the virtual IPs of a network from being up to date: it is said once, and tried again by itself. */
export class Trouble {
  readonly #needs: TroubleNeeds;
  #pauseMs = firstPauseMs;
  #timer: NodeJS.Timeout | undefined;
  #said: string | undefined;
  #isFirst = true;

  constructor(needs: TroubleNeeds) {
    this.#needs = needs;
  }

  /** It has failed. The first time, something may just be gone. */
  note(error: unknown): void {
    if (!this.#isFirst || !hasErrno(error, "ENOENT")) this.#say(explain(error));
    this.#isFirst = false;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#pauseMs = Math.min(2 * this.#pauseMs, longestPauseMs);
      this.#needs.again();
    }, this.#pauseMs);
  }

  /** All is as it should be. */
  end(): void {
    this.stop();
    const { network, log } = this.#needs;
    if (this.#said !== undefined) log.info({ network }, "virtual IPs of services are up to date again");
    this.#said = undefined;
    this.#isFirst = true;
    this.#pauseMs = firstPauseMs;
  }

  /** Does not try again. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #say(error: string): void {
    if (error === this.#said) return;
    this.#said = error;
    const { network, log } = this.#needs;
    log.error({ network, error }, "virtual IPs of services could not be brought up to date: it is tried again");
  }
}
