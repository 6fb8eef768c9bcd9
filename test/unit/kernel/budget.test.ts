import { expect } from "chai";
import { Budget } from "../../../src/kernel/underlay/budget.ts";

describe("a budget", () => {
  it("is spent after so many, and comes back with the time, but no more than that is saved", () => {
    let now = 1_000;
    const budget = new Budget(100, () => now);
    const spendAll = (): number => {
      let spent = 0;
      for (; !budget.isSpent; spent++) budget.spend();
      return spent;
    };
    expect(spendAll()).to.equal(100);
    now += 9;
    expect(spendAll()).to.equal(0);
    now += 2;
    expect(spendAll()).to.equal(1);
    now += 500;
    expect(spendAll()).to.equal(50);
    now += 3_600_000;
    expect(spendAll()).to.equal(100);
  });

  it("lets through what it promises, however it is asked", () => {
    let now = 0;
    const budget = new Budget(100, () => now);
    let passed = 0;
    for (; now < 10_000; now += 0.7) {
      if (budget.isSpent) continue;
      budget.spend();
      passed++;
    }
    expect(passed).to.be.within(1_099, 1_100);
  });
});
