import { setImmediate as nextTurn } from "node:timers/promises";
import { expect } from "chai";
import { absentMs, LeftNetworks } from "../../../../src/driver/swarm/left-networks.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../../support/driver.ts";
import { idOf, networkRequest } from "../../../support/values.ts";
import { World } from "../../../support/world.ts";

const id = "k2d3xyzcarhsmwbp7fa5qtn91";
const endpoint = idOf("e1");

describe("networks of a swarm that Docker has forgotten", () => {
  let world: World;
  let driver: Driver;
  let left: LeftNetworks;
  let now: number;
  let has: boolean | null;
  let asked: string[];
  /** What happens while Docker is asked. */
  let meanwhile: () => unknown;

  const create = () => driver.networks.create(networkRequest({ id }));
  const createEndpoint = (one = endpoint) =>
    driver.endpoints.create({ network: id, id: one, addresses: ["172.18.0.2/16"], mac: null });
  const ids = () => [...driver.state.networks()].map((network) => network.id);
  const later = async (ms: number): Promise<void> => {
    now += ms;
    await left.look();
  };
  const open = (): void => {
    left = new LeftNetworks({
      ...{ state: driver.state, networks: driver.networks, locks: driver.locks, log: driver.log, now: () => now },
      has: async (network) => {
        asked.push(network);
        await meanwhile();
        return has;
      },
    });
  };

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    [now, has, asked] = [0, false, []];
    meanwhile = () => {};
    open();
    await create();
  });
  afterEach(async () => {
    await left.stop();
    await stopDriver(driver);
  });

  it("are removed, with all that they have in the kernel, once Docker has not had them for a while", async () => {
    await left.look();
    await later(absentMs - 1);
    expect(ids()).to.deep.equal([id]);
    await later(1);
    expect(ids()).to.deep.equal([]);
    await expectAgreement(driver, new World());
    expect(driver.log.lines.filter((line) => line.includes(id))).to.have.length(1);
    await later(absentMs);
    expect(asked).to.deep.equal([id, id, id]);
  });

  it("are removed after a start that Docker asks nothing of", async () => {
    await stopDriver(driver);
    driver = await startDriver(world, driver.store);
    open();
    await left.look();
    await later(absentMs);
    expect(ids()).to.deep.equal([]);
  });

  it("are never removed the first time that Docker is asked, however long it takes", async () => {
    meanwhile = () => (now += 2 * absentMs);
    await left.look();
    expect(ids()).to.deep.equal([id]);
  });

  for (const [what, answer] of [
    ["has them", true],
    ["cannot be asked", null],
  ] as const) {
    it(`stay while Docker ${what}, and begin anew then`, async () => {
      await left.look();
      has = answer;
      await later(absentMs);
      has = false;
      await later(absentMs);
      expect(ids()).to.deep.equal([id]);
      await later(absentMs);
      expect(ids()).to.deep.equal([]);
    });
  }

  it("stay with an endpoint, and Docker is not asked", async () => {
    await createEndpoint();
    await left.look();
    await later(absentMs);
    expect([ids(), asked]).to.deep.equal([[id], []]);
    await driver.endpoints.delete(id, endpoint);
    await left.look();
    meanwhile = () => createEndpoint(idOf("e2"));
    await later(absentMs);
    expect(ids()).to.deep.equal([id]);
  });

  it("stay if they are of this host alone", async () => {
    await driver.networks.delete(id);
    await driver.networks.create(networkRequest({ id: idOf("a1") }));
    await left.look();
    await later(absentMs);
    expect([ids(), asked]).to.deep.equal([[idOf("a1")], []]);
  });

  it("stay when Docker asks for them again, as it did not know them when it was asked", async () => {
    await left.look();
    meanwhile = create; // Docker answers, and shows it a moment later
    await later(absentMs);
    meanwhile = () => {};
    await later(absentMs - 1);
    await left.look();
    await later(absentMs - 1);
    expect(ids()).to.deep.equal([id]);
    await createEndpoint();
  });

  it("stay when the request for them comes between Docker's answer and the removal", async () => {
    await left.look();
    let created: Promise<void> | undefined;
    // after the answer was looked at: the removal waits for the lock
    const deleteIf = driver.networks.deleteIf.bind(driver.networks);
    driver.networks.deleteIf = (...args) => {
      created = create();
      return deleteIf(...args);
    };
    await later(absentMs);
    await created;
    expect(ids()).to.deep.equal([id]);
    await createEndpoint();
  });

  it("are made anew when the request for them comes during the removal", async () => {
    await left.look();
    const removed = later(absentMs);
    while (!driver.state.removing.has(id)) await nextTurn();
    await create();
    await removed;
    expect(ids()).to.deep.equal([id]);
    await createEndpoint();
    await driver.endpoints.delete(id, endpoint);
    await left.look();
    await later(absentMs - 1);
    expect(ids(), "counts from then").to.deep.equal([id]);
  });

  it("stay when they were removed and asked for again meanwhile, in whatever order that came", async () => {
    await stopDriver(driver);
    driver = await startDriver(world, driver.store);
    open();
    await left.look();
    await Promise.all([driver.networks.delete(id), create()]);
    await later(absentMs);
    expect(ids()).to.deep.equal([id]);
  });

  it("are tried again when they cannot be removed, and the log says so", async () => {
    await left.look();
    void driver.faults.arm({ kind: "from", at: 1, errno: "EIO" });
    await later(absentMs);
    driver.faults.disarm();
    expect(ids()).to.deep.equal([id]);
    expect(driver.log.lines.at(-1)).to.match(/^error: a network that Docker has forgotten could not be removed yet/);
    await driver.reconciler.run(); // which finishes what was begun
    await later(0);
    expect(ids()).to.deep.equal([]);
  });

  it("are not removed when tsnet is being stopped", async () => {
    await left.look();
    meanwhile = () => void left.stop();
    await later(absentMs);
    expect(ids()).to.deep.equal([id]);
  });
});
