import { expect } from "chai";
import type { PortBinding } from "../../../src/plan/ports.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { bindingOf, bindingsOf, idOf, ipv6, networkRequest } from "../../support/values.ts";
import { World, type WorldFlow } from "../../support/world.ts";

const network = idOf("a1");
const endpoint = idOf("e1");
const sandbox = "/var/run/docker/netns/e1";
const udp = bindingOf(8080, { protocol: "udp" });

/** Flows that began when nobody, an earlier container or this one had the port; and one that has nothing to do with it. */
const toHost: WorldFlow = { port: 8080, target: "192.0.2.1" };
const toEarlier: WorldFlow = { port: 8080, target: "172.18.0.9" };
const toThis: WorldFlow = { port: 8081, target: "172.18.0.2" };
const toThis6: WorldFlow = { port: 8081, target: "fd00:18::2" };
const other: WorldFlow = { port: 9090, target: "172.18.0.9" };
const all = [toHost, toEarlier, toThis, toThis6, other];

describe("UDP flows under way", () => {
  let world: World;
  let driver: Driver;
  const publish = (...bindings: PortBinding[]) => driver.endpoints.publish(network, endpoint, bindings);
  /** From here on: flows are there, and steps are counted. */
  const begin = async (): Promise<void> => {
    await driver.flows.idle();
    world.udpFlows = [...all];
    driver.faults.steps.length = 0;
  };
  const walks = (): number => driver.faults.steps.filter((step) => step === "forget-flows").length;
  /** Another endpoint, in a container of its own. */
  const join = async (digits: string, address: string): Promise<void> => {
    await driver.endpoints.create({ network, id: idOf(digits), addresses: [address], mac: null });
    await driver.endpoints.join(network, idOf(digits), `/var/run/docker/netns/${digits}`);
  };

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(networkRequest({ ipv6 }));
    await driver.endpoints.create({
      network,
      id: endpoint,
      addresses: ["172.18.0.2/16", "fd00:18::2/64"],
      mac: null,
    });
    await driver.endpoints.join(network, endpoint, sandbox);
    world.moveIntoSandbox("tsc-e1000000000", sandbox);
  });
  afterEach(() => stopDriver(driver));

  it("are forgotten when their port is published, after the firewall has it", async () => {
    await begin();
    await publish(udp, bindingOf(8080));
    await driver.flows.idle();
    expect(world.udpFlows).to.deep.equal([other]);
    expect(driver.faults.steps.indexOf("forget-flows")).to.be.greaterThan(driver.faults.steps.indexOf("run-nft"));
    expect(walks()).to.equal(1);
  });

  it("are forgotten for each port of a block", async () => {
    await begin();
    world.udpFlows = [7999, 8000, 8009, 8010].map((port) => ({ port, target: "192.0.2.1" }));
    await publish(...bindingsOf(8000, 8000, 10, { protocol: "udp" }));
    await driver.flows.idle();
    expect(world.udpFlows.map(({ port }) => port)).to.deep.equal([7999, 8010]);
  });

  const ends: [what: string, end: (driver: Driver) => Promise<unknown>][] = [
    ["is taken back", ({ endpoints }) => endpoints.unpublish(network, endpoint)],
    ["leaves with its container", ({ endpoints }) => endpoints.leave(network, endpoint)],
    ["goes with its endpoint", ({ endpoints }) => endpoints.delete(network, endpoint)],
    ["makes way for others", ({ endpoints }) => endpoints.publish(network, endpoint, [bindingOf(1)])],
  ];
  for (const [what, end] of ends) {
    it(`are forgotten when their port ${what}, after the firewall has forgotten it`, async () => {
      await publish(udp);
      await begin();
      await end(driver);
      await driver.flows.idle();
      expect(world.udpFlows).to.deep.equal([other]);
      const { steps } = driver.faults;
      expect(steps.indexOf("forget-flows")).to.be.greaterThan(steps.indexOf("run-nft"));
    });

    it(`keep nobody waiting when their port ${what}, but who publishes it next`, async () => {
      await publish(udp);
      await join("e2", "172.18.0.3/16");
      await join("e3", "172.18.0.4/16");
      await begin();
      const walk = driver.faults.hold("forget-flows");
      await end(driver);
      await driver.endpoints.publish(network, idOf("e2"), [bindingOf(8080), bindingOf(8081, { protocol: "udp" })]);
      let isPublished = false;
      const next = driver.endpoints.publish(network, idOf("e3"), [udp]).then(() => {
        isPublished = true;
      });
      await turns(50);
      expect([isPublished, world.udpFlows.length]).to.deep.equal([false, all.length]);
      walk.resolve();
      await next;
      await driver.flows.idle();
      expect(world.udpFlows).to.deep.equal([other]);
    });

    it(`are not looked at when a tcp port ${what}`, async () => {
      await publish(bindingOf(8080), bindingOf(8080, { protocol: "sctp" }));
      await begin();
      await end(driver);
      await driver.flows.idle();
      expect(world.udpFlows).to.deep.equal(all);
      expect(walks()).to.equal(0);
    });
  }

  it("keep a container waiting that gets the address", async () => {
    await publish(udp);
    await begin();
    const walk = driver.faults.hold("forget-flows");
    await driver.endpoints.delete(network, endpoint);
    let isJoined = false;
    const joined = join("e2", "172.18.0.2/16").then(() => {
      isJoined = true;
    });
    await join("e3", "172.18.0.3/16");
    await turns(50);
    expect(isJoined).to.equal(false);
    walk.resolve();
    await joined;
    expect(world.udpFlows).to.deep.equal([other]);
  });

  it("are not looked at when the same is published again, and when a container without ports leaves and goes", async () => {
    await publish(udp);
    await begin();
    await publish(udp);
    await driver.flows.idle();
    expect(walks()).to.equal(0);
    await driver.endpoints.unpublish(network, endpoint);
    await begin();
    await driver.endpoints.leave(network, endpoint);
    await driver.endpoints.delete(network, endpoint);
    await driver.flows.idle();
    expect(walks()).to.equal(0);
  });

  it("that cannot be forgotten do not fail the request, and are told in the log", async () => {
    await begin();
    await publish(udp);
    await driver.flows.idle();
    const at = 1 + driver.faults.steps.indexOf("forget-flows");
    await driver.endpoints.unpublish(network, endpoint);
    await driver.flows.idle();
    void driver.faults.arm({ kind: "before", at, errno: "EINVAL" });
    await publish(udp);
    await driver.flows.idle();
    expect(driver.faults.steps[at - 1]).to.equal("forget-flows");
    driver.faults.disarm();
    expect(driver.log.lines.join()).to.contain('"hostPorts":[8080],"error":"forget-flows: EINVAL"');
    await expectAgreement(driver, new World());
  });

  it("of many containers that start at once are forgotten together", async () => {
    const ids = Array.from({ length: 20 }, (_, n) => idOf(`f${(n + 16).toString(16)}`));
    for (const [n, id] of ids.entries()) {
      await driver.endpoints.create({ network, id, addresses: [`172.18.1.${n}/16`], mac: null });
    }
    world.udpFlows = ids.map((_, n) => ({ port: 9000 + n, target: "192.0.2.1" }));
    driver.faults.steps.length = 0;
    const walk = driver.faults.hold("forget-flows");
    await Promise.all(
      ids.map((id, n) => driver.endpoints.publish(network, id, [bindingOf(9000 + n, { protocol: "udp" })])),
    );
    walk.resolve();
    await driver.flows.idle();
    expect(world.udpFlows).to.deep.equal([]);
    expect(walks()).to.equal(2);
  });
});

/** So many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise(setImmediate);
}
