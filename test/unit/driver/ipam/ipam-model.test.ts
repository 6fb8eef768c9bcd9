/** Address management against a model that is as plain as can be. */
import { expect } from "chai";
import fc from "fast-check";
import { runBoth } from "../../../support/ipam-both.ts";
import { anyStep } from "../../../support/ipam-steps.ts";

describe("address management, in any sequence of calls and restarts,", () => {
  it("does what a plain model does", async function () {
    this.timeout(60_000);
    const seen = new Map<string, number>();
    const sequences = fc.array(anyStep, { minLength: 10, maxLength: 60, size: "max" });
    await fc.assert(
      fc.asyncProperty(sequences, (steps) => runBoth(steps, seen)),
      { numRuns: 10_000 },
    );
    // of each kind of answer there were many
    for (const answer of ["10.0.0.", "fd00::", "conflict", "exhausted", "invalid", "not-found", "released 1"])
      expect(seen.get(answer), answer).to.be.greaterThan(1000);
  });
});
