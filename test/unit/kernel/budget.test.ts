import { expect } from "chai";
import { Budget } from "../../../src/kernel/underlay/budget.ts";

describe("a budget", () => {
  const limits = { atOnce: 10, perSecond: 100 };

  it("is spent after so many, and comes back with the time, but no more than that is saved", () => {
    let now = 1_000;
    const budget = new Budget(limits, () => now);
    const spendAll = (): number => {
      let spent = 0;
      for (; !budget.isSpent; spent++) budget.spend();
      return spent;
    };
    expect(spendAll()).to.equal(10);
    now += 9;
    expect(spendAll()).to.equal(0);
    now += 2;
    expect(spendAll()).to.equal(1);
    now += 50;
    expect(spendAll()).to.equal(5);
    now += 3_600_000;
    expect(spendAll()).to.equal(10);
  });

  it("lets through what it promises, however it is asked, and in no second more than both together", () => {
    let now = 0;
    const budget = new Budget(limits, () => now);
    const passed: number[] = [];
    for (; now < 10_000; now += 0.7) {
      if (budget.isSpent) continue;
      budget.spend();
      passed.push(now);
    }
    expect(passed.length).to.be.within(1_009, 1_010);
    const inSecond = passed.map((from) => passed.filter((at) => at >= from && at < from + 1_000).length);
    expect(Math.max(...inSecond)).to.be.within(100, 110);
  });
});
