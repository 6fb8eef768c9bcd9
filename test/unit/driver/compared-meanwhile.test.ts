/** Everything is compared at each moment of every operation: what a request is about is not repaired. */
import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { hostFor, operations } from "../../support/every-operation.ts";
import type { Operation } from "../../support/operations.ts";

type Work = (driver: Driver) => Promise<unknown>;

const compare: Work = ({ reconciler }) => reconciler.run();

describe("a comparison", () => {
  for (const operation of operations) {
    it(`that begins during the request finds nothing to repair in ${operation.name}`, () =>
      atEachTurn(operation, operation.run, compare));

    it(`that began before the request finds nothing to repair in ${operation.name}`, () =>
      atEachTurn(operation, compare, operation.run));
  }
});

/** The second begins 0, 1, 2, … turns of the event loop after the first, until that has ended. */
async function atEachTurn(operation: Operation, first: Work, second: Work): Promise<void> {
  let isAtOnce = true;
  for (let turns = 0; isAtOnce; turns++) {
    const driver = await startDriver(hostFor(operation), new MemoryStore());
    await operation.prepare(driver);
    let isOver = false;
    const done = first(driver).finally(() => {
      isOver = true;
    });
    for (let turn = 0; turn < turns; turn++) await setImmediate();
    isAtOnce = !isOver;
    await Promise.all([done, second(driver)]);
    const repairs = driver.log.lines.filter((line) => line.startsWith("warn: repaired"));
    expect(repairs, `${turns} turns after the first`).to.deep.equal([]);
    await expectAgreement(driver, hostFor(operation));
    await stopDriver(driver);
  }
}
