/** What is tried, and who is told. */
export interface WayTrialsNeeds {
  /** Tries all ways of a network once. @returns whether something is known now that was not, or otherwise */
  readonly run: (network: string) => Promise<boolean>;
  /** Whether one of them is not known to be good. */
  readonly isOpen: (network: string) => boolean;
  readonly onNews: (network: string) => void;
}

interface Trial {
  /** Until it is tried again; undefined while that is under way. */
  timer: NodeJS.Timeout | undefined;
  isAgain: boolean;
  attempt: number;
}

/** When ways that have failed are tried again, from one time to the next; after that, whenever they are asked for. */
const pausesMs = [500, 1_000, 2_000, 4_000, 8_000] as const;

/** Tries the ways of networks in the background, each network's one after another. */
export class WayTrials {
  readonly #needs: WayTrialsNeeds;
  /** By network ID. */
  readonly #trials = new Map<string, Trial>();
  #isStopped = false;

  constructor(needs: WayTrialsNeeds) {
    this.#needs = needs;
  }

  /** Now; while it is under way, once more after it. */
  start(network: string): void {
    const known = this.#trials.get(network);
    const trial = known ?? { timer: undefined, isAgain: true, attempt: 0 };
    trial.isAgain = true;
    this.#trials.set(network, trial);
    const isRunning = known !== undefined && known.timer === undefined;
    clearTimeout(trial.timer);
    trial.timer = undefined;
    if (!isRunning) void this.#keepOn(network, trial);
  }

  forget(network: string): void {
    clearTimeout(this.#trials.get(network)?.timer);
    this.#trials.delete(network);
  }

  stop(): void {
    this.#isStopped = true;
    for (const network of [...this.#trials.keys()]) this.forget(network);
  }

  async #keepOn(network: string, trial: Trial): Promise<void> {
    const { run, isOpen, onNews } = this.#needs;
    const isWanted = (): boolean => !this.#isStopped && this.#trials.get(network) === trial;
    while (trial.isAgain && isWanted()) {
      trial.isAgain = false;
      if ((await run(network)) && isWanted()) onNews(network);
    }
    if (!isWanted()) return;
    const pauseMs = pausesMs[trial.attempt++];
    if (pauseMs === undefined || !isOpen(network)) this.#trials.delete(network);
    else trial.timer = setTimeout(() => this.start(network), pauseMs);
  }
}
