/** Every operation fails, or the process dies, at each of its steps: nothing may be left, and records and kernel agree. */
import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import {
  type Driver,
  expectAgreement,
  openDriver,
  startDriver,
  stopDriver,
  untilComplete,
} from "../../support/driver.ts";
import { hostFor, operations } from "../../support/every-operation.ts";
import type { FaultKind } from "../../support/faults.ts";
import type { Operation } from "../../support/operations.ts";

/** Runs an operation with a fault; false if it has fewer steps. */
async function runWithFault(operation: Operation, kind: FaultKind, at: number, errno: string) {
  const driver = await startDriver(hostFor(operation), new MemoryStore());
  await operation.prepare(driver);
  await driver.removals.flush();
  const before = structuredClone(driver.world.dump());
  const crashed = driver.faults.arm({ kind, at, errno });
  const outcome = operation.run(driver).then(
    () => undefined,
    (error: unknown) => error,
  );
  const error = await Promise.race([outcome, crashed.then(() => "crashed")]);
  const { hit } = driver.faults;
  driver.faults.disarm();
  return { driver, before, error, hit };
}

/** For n = 1, 2, …: `check` after a fault at step n, until the operation has no such step. */
async function atEveryStep(
  operation: Operation,
  kind: FaultKind,
  errno: string,
  check: (run: Awaited<ReturnType<typeof runWithFault>>) => Promise<void>,
): Promise<void> {
  for (let at = 1; ; at++) {
    const run = await runWithFault(operation, kind, at, errno);
    const where = `${kind} ${errno} at step ${at} (${run.driver.faults.steps[at - 1]}) of ${run.driver.faults.steps.join(", ")}`;
    if (!run.hit) {
      expect(at, "steps of the operation").to.be.greaterThan(1);
      expect(run.error, where).to.equal(undefined);
      await stopDriver(run.driver);
      return;
    }
    try {
      await check(run);
    } catch (error) {
      throw new Error(`${where}: ${explain(error)}`, { cause: error });
    }
  }
}

/** What concerns other hosts is no reason to refuse an endpoint. */
const isLeftToRepair = ({ log }: Driver): boolean => log.lines.some((line) => line.includes("it is told again"));

describe("a step that fails", () => {
  for (const operation of operations) {
    for (const kind of ["before", "after"] as const) {
      it(`leaves nothing behind in ${operation.name}, failing ${kind} its effect`, async () => {
        await atEveryStep(operation, kind, "EIO", async ({ driver, before, error }) => {
          if (error !== undefined) expect(explain(error)).to.contain("EIO");
          if (error !== undefined && operation.isUndone) {
            await driver.removals.flush();
            expect(driver.world.dump()).to.deep.equal(before);
          }
          if (!operation.isUndone || isLeftToRepair(driver)) await driver.reconciler.run();
          await expectAgreement(driver, hostFor(operation));
          await stopDriver(driver);
        });
      });
    }

    it(`can be asked for again after it failed: ${operation.name}`, async () => {
      await atEveryStep(operation, "before", "EIO", async ({ driver }) => {
        await operation.run(driver);
        if (isLeftToRepair(driver)) await driver.reconciler.run();
        await expectAgreement(driver, hostFor(operation));
        const once = structuredClone(driver.world.dump());
        await operation.run(driver);
        await driver.removals.flush();
        expect(driver.world.dump()).to.deep.equal(once);
        await stopDriver(driver);
      });
    });
  }
});

/** A new process on what the old one has left. */
async function restart({ world, store, clock }: Driver): Promise<Driver> {
  world.kill();
  const driver = openDriver(world, store, clock);
  await driver.reconciler.restore();
  driver.cluster.overlays.start();
  await untilComplete(driver);
  return driver;
}

describe("a process that dies", () => {
  for (const operation of operations) {
    for (const kind of ["crash-before", "crash-after"] as const) {
      it(`leaves what its successor brings in order, in ${operation.name}, dying ${kind.slice(6)} a step`, async () => {
        await atEveryStep(operation, kind, "EIO", async ({ driver }) => {
          await driver.reconciler.stop();
          const next = await restart(driver);
          await expectAgreement(next, hostFor(operation));
          await operation.run(next).catch(() => {});
          await next.reconciler.run();
          await expectAgreement(next, hostFor(operation));
          await stopDriver(next);
        });
      });
    }

    it(`leaves the same when its undoing fails as well, in ${operation.name}`, async () => {
      await atEveryStep(operation, "from", "EIO", async ({ driver }) => {
        await driver.reconciler.stop();
        const next = await restart(driver);
        await expectAgreement(next, hostFor(operation));
        await stopDriver(next);
      });
    });
  }
});

describe("a failure that cannot be undone", () => {
  for (const operation of operations) {
    it(`is brought in order by the reconciler of the same process, in ${operation.name}`, async () => {
      await atEveryStep(operation, "from", "EIO", async ({ driver }) => {
        driver.clock.now += 3_600_000;
        await driver.reconciler.run();
        await driver.reconciler.run();
        await expectAgreement(driver, hostFor(operation));
        await stopDriver(driver);
      });
    });
  }
});
