import { expect } from "chai";
import type { Ports } from "../../../src/driver/ports.ts";
import { explain } from "../../../src/errors.ts";
import type { PortBinding } from "../../../src/plan/ports.ts";
import type { Faults } from "../../support/faults.ts";
import { asker, openPorts, reservations, textsOf } from "../../support/ports-fixture.ts";
import { bindingOf, bindingsOf, mappingOf } from "../../support/values.ts";
import type { World } from "../../support/world.ts";

describe("ports of the host that are looked for", () => {
  let world: World;
  let faults: Faults;
  let ports: Ports;
  beforeEach(() => {
    ({ world, faults, ports } = openPorts());
  });
  const allocate = (...bindings: PortBinding[]): Promise<string[]> =>
    ports.allocate(bindings, asker).then(textsOf, (error: unknown) => [explain(error)]);
  const calls = (): number => reservations(faults);

  it("that are ephemeral go on after the last one given, around the host's range, past those in use", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 32769");
    const given: string[] = [];
    for (let n = 0; n < 3; n++) given.push(...(await allocate(bindingOf(0))));
    expect(given).to.deep.equal(["0.0.0.0 32768", "0.0.0.0 32770", "0.0.0.0 32771"]);
    await ports.release([mappingOf({ hostPort: 32768 }), mappingOf({ hostPort: 32770 })]);
    expect(await allocate(bindingOf(0))).to.deep.equal(["0.0.0.0 32768"]);
    expect(await allocate(bindingOf(0))).to.deep.equal(["0.0.0.0 32770"]);
    expect(await allocate(bindingOf(0))).to.deep.equal([
      "all ports are allocated: net.ipv4.ip_local_port_range on 0.0.0.0",
    ]);
  });

  it("that are ephemeral are counted for each protocol, and the same in both families and at each address", async () => {
    world.foreignPorts.add("tcp :: 32768");
    const bindings = [
      bindingOf(0),
      bindingOf(0, { protocol: "udp" }),
      bindingOf(0, { hostAddress: "127.0.0.1", containerPort: 9 }),
      bindingOf(0, { hostAddress: "127.0.0.2", containerPort: 9 }),
    ];
    const mappings = await ports.allocate(bindings, { ...asker, noProxy6To4: false });
    expect(
      mappings.map(({ protocol, hostAddress, hostPort }) => `${protocol} ${hostAddress} ${hostPort}`),
    ).to.deep.equal([
      "tcp 127.0.0.1 32768",
      "tcp 127.0.0.2 32768",
      "tcp 0.0.0.0 32769",
      "tcp :: 32769",
      "udp 0.0.0.0 32768",
      "udp :: 32768",
    ]);
  });

  it("that are ephemeral follow the host's range when it changes, and leave out what it reserves", async () => {
    await allocate(bindingOf(0));
    world.ephemeral = { first: 50000, last: 50004 };
    world.reserved = [
      { first: 1, last: 50000 },
      { first: 50002, last: 50003 },
    ];
    expect(await allocate(bindingOf(0), bindingOf(0, { containerPort: 81 }))).to.deep.equal([
      "0.0.0.0 50001",
      "0.0.0.0 50004",
    ]);
    expect(await allocate(bindingOf(0))).to.deep.equal([
      "all ports are allocated: net.ipv4.ip_local_port_range on 0.0.0.0",
    ]);
  });

  it("that are ephemeral are many at once, past any that are in use", async () => {
    world.ephemeral = { first: 10_000, last: 19_999 };
    for (let port = 10_000; port < 10_500; port += 5) world.foreignPorts.add(`tcp 0.0.0.0 ${port}`);
    await allocate(...bindingsOf(10_601, 1, 300));
    faults.steps.length = 0;
    const found = await ports.allocate(
      Array.from({ length: 1000 }, (_, n) => bindingOf(0, { containerPort: n + 1 })),
      asker,
    );
    const given = found.map(({ hostPort }) => hostPort);
    expect(new Set(given).size).to.equal(1000);
    expect(given).to.deep.equal([...given].sort((a, b) => a - b));
    expect([given[0], given.at(-1)]).to.deep.equal([10_001, 11_399]);
    expect(found.map(({ containerPort }) => containerPort)).to.deep.equal(
      Array.from({ length: 1000 }, (_, n) => n + 1),
    );
    expect(calls()).to.be.lessThan(250);
  });

  it("that are ephemeral are each given once, to whomever asks at the same time", async () => {
    world.ephemeral = { first: 40_000, last: 40_099 };
    const results = await Promise.all(
      Array.from({ length: 10 }, () =>
        allocate(...Array.from({ length: 10 }, (_, n) => bindingOf(0, { containerPort: n + 1 }))),
      ),
    );
    expect(new Set(results.flat()).size).to.equal(100);
    expect(calls()).to.equal(10);
  });

  it("at an address and at all addresses are one, which is there at that address too", async () => {
    const given = await allocate(bindingOf(0), bindingOf(0, { hostAddress: "127.0.0.1" }));
    expect(given).to.deep.equal(["0.0.0.0 32768"]);
    const range = [undefined, "0.0.0.0", "192.0.2.1"].map((hostAddress) =>
      bindingOf(8000, { hostPortEnd: 8001, ...(hostAddress && { hostAddress }) }),
    );
    expect(await allocate(...range)).to.deep.equal(["0.0.0.0 8000"]);
  });

  it("of a range are the first one free, until there is none", async () => {
    const range = (containerPort: number) => bindingOf(8000, { hostPortEnd: 8002, containerPort });
    world.foreignPorts.add("tcp 0.0.0.0 8000");
    expect(await allocate(range(80), range(81))).to.deep.equal(["0.0.0.0 8001", "0.0.0.0 8002"]);
    expect(await allocate(range(80))).to.deep.equal(["all ports are allocated: 8000-8002 on 0.0.0.0"]);
    await ports.release([mappingOf({ hostPort: 8001 })]);
    faults.steps.length = 0;
    expect(await allocate(range(80))).to.deep.equal(["0.0.0.0 8001"]);
  });

  it("of a range that is ours cost no call", async () => {
    await allocate(...bindingsOf(8000, 8000, 1000));
    faults.steps.length = 0;
    expect(await allocate(bindingOf(8000, { hostPortEnd: 9000 }))).to.deep.equal(["0.0.0.0 9000"]);
    expect(calls()).to.equal(1);
  });

  it("of a range and ephemeral ones are looked for after those that are asked for by number", async () => {
    const bindings = [
      bindingOf(8000, { hostPortEnd: 8001 }),
      bindingOf(8000, { containerPort: 81 }),
      bindingOf(32768, { containerPort: 82 }),
      bindingOf(0, { containerPort: 83 }),
    ];
    expect(await allocate(...bindings)).to.deep.equal([
      "0.0.0.0 8000",
      "0.0.0.0 32768",
      "0.0.0.0 8001",
      "0.0.0.0 32769",
    ]);
  });
});
