import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { env } from "node:process";
import { config } from "chai";
import Mocha from "mocha";

/** How many tests passed, and how many failed. */
export interface Count {
  readonly passed: number;
  readonly failed: number;
}

/** What a ring's mocha tells the runner. */
export interface Totals extends Count {
  /** By the name of the file, "network.test.ts". */
  readonly files: Readonly<Record<string, Count>>;
  /** A line each: the file, the test and its error. */
  readonly failures: readonly string[];
  /** What is to be shown again at the end of the run. */
  readonly output?: string;
}

/** Of a failure's line, so many characters are shown at most. */
const lineLength = 1_000;

// a failure that is seen once has to say what was found instead
config.truncateThreshold = 0;

/** Mocha's usual output; the totals also go, as JSON, to the file that TEST_TSNET_TOTALS names. */
export default class Reporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const files: Record<string, Count> = {};
    const failures: string[] = [];
    const count = (test: Mocha.Runnable, passed: number, failed: number): void => {
      const name = basename(test.file ?? "");
      const before = files[name] ?? { passed: 0, failed: 0 };
      files[name] = { passed: before.passed + passed, failed: before.failed + failed };
    };
    runner.on(Mocha.Runner.constants.EVENT_TEST_PASS, (test) => count(test, 1, 0));
    runner.on(Mocha.Runner.constants.EVENT_TEST_FAIL, (test, error: Error) => {
      count(test, 0, 1);
      const line = `${basename(test.file ?? "")}: ${test.fullTitle()}: ${reasons(error)}`;
      failures.push(line.slice(0, lineLength));
    });
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const totals: Totals = { passed: this.stats.passes, failed: this.stats.failures, files, failures };
      if (env["TEST_TSNET_TOTALS"]) writeFileSync(env["TEST_TSNET_TOTALS"], JSON.stringify(totals));
    });
  }
}

/** The first line of an error, and of what caused it, and so on. */
function reasons(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [reason = ""] = error.message.split("\n");
  return error.cause === undefined ? reason : `${reason}: ${reasons(error.cause)}`;
}
