/** Every operation fails, or the process dies, at each of its steps: nothing may be left, and records and kernel agree. */
import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, openDriver, startDriver, stopDriver } from "../../support/driver.ts";
import type { FaultKind } from "../../support/faults.ts";
import { bindingOf, bridgeKey, idOf, ipv6, networkRequest } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const network = idOf("a1");
const endpoint = idOf("e1");
const sandbox = "/var/run/docker/netns/e1";
const container = "tsc-e1000000000";

interface Operation {
  readonly name: string;
  readonly prepare: (driver: Driver) => Promise<void>;
  readonly run: (driver: Driver) => Promise<unknown>;
  /** Whether a failed one has to leave everything as it was; a failed removal may have gone part of the way. */
  readonly isUndone: boolean;
}

const bindings = [
  bindingOf(8080),
  bindingOf(0, { protocol: "udp" }),
  bindingOf(9000, { hostPortEnd: 9005, hostAddress: "127.0.0.1" }),
];
const endpointRequest = { network, id: endpoint, addresses: ["172.18.0.2/16", "fd00:18::2/64"], mac: null };
const steps = {
  nothing: async () => {},
  network: ({ networks }: Driver) => networks.create(networkRequest({ ipv6 })),
  adopted: ({ networks }: Driver) => networks.create(networkRequest({ ipv6, options: { [bridgeKey("name")]: "lan" } })),
  endpoint: async (driver: Driver) => {
    await steps.network(driver);
    await driver.endpoints.create(endpointRequest);
  },
  joined: async (driver: Driver) => {
    await steps.endpoint(driver);
    await driver.endpoints.join(network, endpoint, sandbox);
    driver.world.moveIntoSandbox(container, sandbox);
  },
  published: async (driver: Driver) => {
    await steps.joined(driver);
    await driver.endpoints.publish(network, endpoint, bindings);
  },
  /** As Docker does it: the container leaves, its link comes back, then the endpoint goes. */
  left: async (driver: Driver) => {
    await steps.published(driver);
    await driver.endpoints.leave(network, endpoint);
    driver.world.sandboxes.delete(sandbox);
    driver.world.moveOutOfSandbox(container);
  },
  /** Another endpoint of the same container, so that its addresses count as several. */
  second: async (driver: Driver) => {
    await steps.published(driver);
    const ipv4 = [{ pool: "10.0.0.0/24", gateway: "10.0.0.1/24", auxiliary: {} }];
    await driver.networks.create(networkRequest({ id: idOf("b2"), ipv4 }));
    await driver.endpoints.create({ network: idOf("b2"), id: idOf("e2"), addresses: ["10.0.0.2/24"], mac: null });
  },
};

const operations: readonly Operation[] = [
  { name: "create network", prepare: steps.nothing, run: steps.network, isUndone: true },
  { name: "create network on a bridge of the user's", prepare: steps.nothing, run: steps.adopted, isUndone: true },
  { name: "delete network", prepare: steps.network, run: ({ networks }) => networks.delete(network), isUndone: false },
  {
    name: "delete network on a bridge of the user's",
    prepare: steps.adopted,
    run: ({ networks }) => networks.delete(network),
    isUndone: false,
  },
  {
    name: "delete network with endpoints",
    prepare: steps.left,
    run: ({ networks }) => networks.delete(network),
    isUndone: false,
  },
  {
    name: "create endpoint",
    prepare: steps.network,
    run: ({ endpoints }) => endpoints.create(endpointRequest),
    isUndone: true,
  },
  {
    name: "join",
    prepare: steps.endpoint,
    run: ({ endpoints }) => endpoints.join(network, endpoint, sandbox),
    isUndone: true,
  },
  {
    name: "join a second network",
    prepare: steps.second,
    run: ({ endpoints }) => endpoints.join(idOf("b2"), idOf("e2"), sandbox),
    isUndone: true,
  },
  {
    name: "publish",
    prepare: steps.joined,
    run: ({ endpoints }) => endpoints.publish(network, endpoint, bindings),
    isUndone: true,
  },
  {
    name: "unpublish",
    prepare: steps.published,
    run: ({ endpoints }) => endpoints.unpublish(network, endpoint),
    isUndone: false,
  },
  {
    name: "leave",
    prepare: steps.published,
    run: ({ endpoints }) => endpoints.leave(network, endpoint),
    isUndone: false,
  },
  {
    name: "delete endpoint",
    prepare: steps.left,
    run: ({ endpoints }) => endpoints.delete(network, endpoint),
    isUndone: false,
  },
];

/** A host before tsnet, with a bridge of the user's. */
function hostWithBridge(): World {
  const world = new World();
  world.links.add("lan", "bridge", { up: true });
  return world;
}

/** Runs an operation with a fault; false if it has fewer steps. */
async function runWithFault(operation: Operation, kind: FaultKind, at: number, errno: string) {
  const driver = await startDriver(hostWithBridge(), new MemoryStore());
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
          if (!operation.isUndone) await driver.reconciler.run();
          await expectAgreement(driver, hostWithBridge());
          await stopDriver(driver);
        });
      });
    }

    it(`can be asked for again after it failed: ${operation.name}`, async () => {
      await atEveryStep(operation, "before", "EIO", async ({ driver }) => {
        await operation.run(driver);
        await expectAgreement(driver, hostWithBridge());
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
  return driver;
}

describe("a process that dies", () => {
  for (const operation of operations) {
    for (const kind of ["crash-before", "crash-after"] as const) {
      it(`leaves what its successor brings in order, in ${operation.name}, dying ${kind.slice(6)} a step`, async () => {
        await atEveryStep(operation, kind, "EIO", async ({ driver }) => {
          await driver.reconciler.stop();
          const next = await restart(driver);
          await expectAgreement(next, hostWithBridge());
          await operation.run(next).catch(() => {});
          await next.reconciler.run();
          await expectAgreement(next, hostWithBridge());
          await stopDriver(next);
        });
      });
    }

    it(`leaves the same when its undoing fails as well, in ${operation.name}`, async () => {
      await atEveryStep(operation, "from", "EIO", async ({ driver }) => {
        await driver.reconciler.stop();
        const next = await restart(driver);
        await expectAgreement(next, hostWithBridge());
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
        await expectAgreement(driver, hostWithBridge());
        await stopDriver(driver);
      });
    });
  }
});
