import { writeFileSync } from "node:fs";
import { env } from "node:process";
import Mocha from "mocha";

/** What a ring's mocha tells the runner. */
export interface Totals {
  readonly passed: number;
  readonly failed: number;
}

/** Mocha's usual output; the totals also go, as JSON, to the file that TEST_TSNET_TOTALS names. */
export default class Reporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const totals: Totals = { passed: this.stats.passes, failed: this.stats.failures };
      if (env["TEST_TSNET_TOTALS"]) writeFileSync(env["TEST_TSNET_TOTALS"], JSON.stringify(totals));
    });
  }
}
