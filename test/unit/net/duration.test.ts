import { expect } from "chai";
import fc from "fast-check";
import { parseDuration } from "../../../src/net/duration.ts";

describe("a length of time", () => {
  it("is a sum of amounts with their units", () => {
    const texts = ["0", "0s", "90s", "10m", "24h", "1h30m", "1.5h", "250ms", "1m0.5s", "1500us", "1m1m"];
    expect(texts.map(parseDuration)).to.deep.equal([
      ...[0, 0, 90_000, 600_000, 86_400_000, 5_400_000, 5_400_000, 250, 60_500, 2, 120_000],
    ]);
  });

  it("is nothing else", () => {
    for (const text of [
      "",
      "10",
      "s",
      "-5s",
      "+5s",
      "1 h",
      " 1h",
      "1h ",
      "1d",
      "1H",
      "1h30",
      "1.s",
      ".5s",
      "1e3s",
      "∞",
    ]) {
      expect(() => parseDuration(text), text).to.throw(
        `expected a length of time with its unit, such as 90s, 10m or 1h30m, got ${JSON.stringify(text)}`,
      );
    }
    expect(() => parseDuration("9999999h")).to.throw('expected at most 292 years, got "9999999h"');
    expect(() => parseDuration("1".repeat(100_000))).to.throw("expected a length of time");
  });

  it("is read as it was written", () => {
    const amount = fc.integer({ min: 0, max: 100_000 });
    fc.assert(
      fc.property(amount, amount, amount, amount, (h, m, s, ms) => {
        expect(parseDuration(`${h}h${m}m${s}s${ms}ms`)).to.equal(((h * 60 + m) * 60 + s) * 1000 + ms);
      }),
    );
  });
});
