import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import type { PortBinding } from "../../../src/plan/ports.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { bindingOf, idOf, ipv6, networkRequest } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const network = idOf("a1");

describe("published ports that several want at once", () => {
  let world: World;
  let driver: Driver;
  const pathOf = (digits: string): string => `/var/run/docker/netns/${digits}`;
  const join = async (digits: string, addresses: string[], sandbox = pathOf(digits)): Promise<void> => {
    await driver.endpoints.create({ network, id: idOf(digits), addresses, mac: null });
    await driver.endpoints.join(network, idOf(digits), sandbox);
    world.moveIntoSandbox(`tsc-${idOf(digits).slice(0, 11)}`, sandbox);
  };
  const publish = (digits: string, ...bindings: PortBinding[]): Promise<string> =>
    driver.endpoints.publish(network, idOf(digits), bindings).then(() => "no error", explain);
  const hostPortsOf = (digits: string) => driver.state.endpoint(idOf(digits))?.ports.map(({ hostPort }) => hostPort);

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(networkRequest({ ipv6 }));
  });
  afterEach(() => stopDriver(driver));

  it("are published by two endpoints of one container that both have IPv6", async () => {
    await join("e1", ["172.18.0.2/16", "fd00:18::2/64"]);
    await join("e2", ["172.18.0.3/16", "fd00:18::3/64"], pathOf("e1"));
    const results = await Promise.all([publish("e1", bindingOf(8080)), publish("e2", bindingOf(8081))]);
    expect(results).to.deep.equal(["no error", "no error"]);
    await expectAgreement(driver, new World());
  });

  it("are published by two endpoints of one container, one of which has the other's port and takes its IPv6", async () => {
    await join("e1", ["172.18.0.2/16"]);
    await join("e2", ["172.18.0.3/16", "fd00:18::3/64"], pathOf("e1"));
    await publish("e2", bindingOf(8080));
    const commit = driver.faults.hold("commit endpoint");
    const published = [publish("e2", bindingOf(8081)), publish("e1", bindingOf(8080))];
    setTimeout(commit.resolve, 20);
    expect(await Promise.all(published)).to.deep.equal(["no error", "no error"]);
    await expectAgreement(driver, new World());
  });

  const range = bindingOf(8000, { hostPortEnd: 8001 });

  it("are taken from containers that died without a word, by those that ask for a range", async () => {
    for (const [digits, address] of [
      ["e1", "172.18.0.2/16"],
      ["e2", "172.18.0.3/16"],
    ] as const) {
      await join(digits, [address]);
      await publish(digits, range);
      world.destroySandbox(pathOf(digits));
    }
    await join("e3", ["172.18.0.4/16"]);
    await join("e4", ["172.18.0.5/16"]);
    const results = await Promise.all([publish("e3", range), publish("e4", range)]);
    expect(results).to.deep.equal(["no error", "no error"]);
    await expectAgreement(driver, new World());
    expect([...(hostPortsOf("e3") ?? []), ...(hostPortsOf("e4") ?? [])]).to.have.members([8000, 8000, 8001, 8001]);
  });

  it("are waited for while they are on their way out, by those that ask for a range", async () => {
    await join("e1", ["172.18.0.2/16"]);
    await publish("e1", bindingOf(8000), bindingOf(8001, { containerPort: 81 }));
    await join("e2", ["172.18.0.3/16"]);
    const commit = driver.faults.hold("commit endpoint");
    const ended = driver.endpoints.leave(network, idOf("e1"));
    const published = publish("e2", range);
    setTimeout(commit.resolve, 20);
    expect(await published).to.equal("no error");
    await ended;
    await expectAgreement(driver, new World());
  });

  it("stay with living containers, which say so to those that ask for a range", async () => {
    await join("e1", ["172.18.0.2/16"]);
    await publish("e1", bindingOf(8000), bindingOf(8001, { containerPort: 81 }));
    await join("e2", ["172.18.0.3/16"]);
    expect(await publish("e2", range)).to.equal("all ports are allocated: 8000-8001 on 0.0.0.0, ::");
    await expectAgreement(driver, new World());
  });

  it("are waited for while their container, busy with something else, is about to leave", async () => {
    await join("e1", ["172.18.0.2/16"]);
    await publish("e1", bindingOf(8080));
    await join("e2", ["172.18.0.3/16"]);
    const before = driver.faults.hold("ensure-veth");
    const busy = driver.endpoints.create({ network, id: idOf("e1"), addresses: ["172.18.0.2/16"], mac: null });
    const ended = driver.endpoints.leave(network, idOf("e1"));
    const published = publish("e2", bindingOf(8080));
    setTimeout(before.resolve, 20);
    expect(await published).to.equal("no error");
    await Promise.all([busy, ended]);
  });
});
