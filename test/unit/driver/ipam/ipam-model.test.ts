/** Address management against a model that is as plain as can be. */
import { expect } from "chai";
import fc from "fast-check";
import { runBoth } from "../../../support/ipam-both.ts";
import { anyStep, optionSets, type Step } from "../../../support/ipam-steps.ts";

/** A swarm's network with two pools, the first of which is full; what came of it once: the second gave an address twice. */
const overflow: Step[] = [
  { call: "request pool", space: "tsnet-global", form: ["10.0.0.20/31"], options: optionSets[0] },
  { call: "request pool", space: "tsnet-global", form: ["10.0.0.22/32"], options: optionSets[0] },
  { call: "attach", network: "c".repeat(25), pools: [0, 1], gateway: 0, auxiliary: 0 },
  { call: "new epoch" },
  { call: "replay", pool: 0 },
  { call: "replay", pool: 1 },
  { call: "request any address", pool: 2, serial: false, identity: null, isGateway: false },
  { call: "request any address", pool: 2, serial: false, identity: null, isGateway: false },
  { call: "request any address", pool: 2, serial: false, identity: null, isGateway: false },
  { call: "request address", pool: 1, address: 1, identity: null, isGateway: false },
];

describe("address management, in any sequence of calls and restarts,", () => {
  it("gives nothing twice that overflowed from a pool of a swarm", async () => {
    const seen = new Map<string, number>();
    await runBoth(overflow, seen);
    expect(seen.get("10.0.0.")).to.equal(3);
    expect(seen.get("conflict")).to.equal(1);
  });

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
      expect(seen.get(answer), answer).to.be.greaterThan(100);
  });
});
