import { expect } from "chai";
import type { Kernel } from "../../../src/driver/kernel.ts";
import type { Ports } from "../../../src/driver/ports.ts";
import { explain } from "../../../src/errors.ts";
import type { Endpoint, PortMapping } from "../../../src/plan/network.ts";
import type { Faults } from "../../support/faults.ts";
import { asker, openPorts, reservations } from "../../support/ports-fixture.ts";
import { bindingOf, endpointOf, ipv6, mappingOf, networkOf } from "../../support/values.ts";
import type { World } from "../../support/world.ts";

const network = networkOf({ ipv6 });
const endpoint = endpointOf();

describe("ports of the host after a restart", () => {
  let world: World;
  let faults: Faults;
  let kernel: Kernel;
  let ports: Ports;
  beforeEach(() => {
    ({ world, faults, kernel, ports } = openPorts());
  });
  const held = (): string[] => world.heldPorts;
  const calls = (): number => reservations(faults);

  const restore = (...mappings: PortMapping[]): Promise<string[]> => restoreFor({ ...endpoint, ports: mappings });
  const restoreFor = async (...published: Endpoint[]): Promise<string[]> =>
    (await ports.restore(published.map((one) => ({ endpoint: one, network })))).map(({ message }) => message);

  it("are held again, with what they pass on; those that somebody else has meanwhile are named", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 81");
    const mappings = [80, 81, 82].map((hostPort) => mappingOf({ hostPort }));
    const lost = await restore(...mappings, mappingOf({ hostAddress: "::1", hostPort: 90, count: 2 }));
    expect(lost).to.deep.equal(["failed to bind host port 0.0.0.0:81/tcp: address already in use"]);
    expect(world.ports.list()).to.deep.equal(["tcp 0.0.0.0 80", "tcp 0.0.0.0 82", "tcp ::1 90-91 to 172.18.0.2 80"]);
  });

  it("are held as far as can be where somebody has some of a block; the rest is let go of with it", async () => {
    for (const port of [8000, 8003, 8004]) world.foreignPorts.add(`tcp 127.0.0.1 ${port}`);
    const block = mappingOf({ hostAddress: "::", hostPort: 8000, containerPort: 70, count: 6 });
    const blocked = { ...block, hostAddress: "0.0.0.0" };
    const lost = await restore(block, blocked);
    expect(lost.map((text) => /:(\d+)\/tcp: address already in use/.exec(text)?.[1])).to.deep.equal([
      "8000",
      "8003",
      "8004",
    ]);
    expect(world.ports.list()).to.deep.equal([
      "tcp 0.0.0.0 8001-8002",
      "tcp 0.0.0.0 8005",
      "tcp :: 8000-8005 to 172.18.0.2 70",
    ]);
    await ports.release([blocked, block]);
    expect(held()).to.deep.equal([]);
  });

  it("pass on in step what is held of a block", async () => {
    world.foreignPorts.add("tcp ::1 8001");
    await restore(mappingOf({ hostAddress: "::1", hostPort: 8000, containerPort: 70, count: 4 }));
    expect(world.ports.list()).to.deep.equal(["tcp ::1 8000 to 172.18.0.2 70", "tcp ::1 8002-8003 to 172.18.0.2 72"]);
  });

  it("are tried again by a repair, and held once they are free, unless they are not wanted any more", async () => {
    for (const port of [81, 8001, 9000]) world.foreignPorts.add(`tcp 0.0.0.0 ${port}`);
    const [single, block, unwanted] = [
      mappingOf({ hostPort: 81 }),
      mappingOf({ hostPort: 8000, count: 3 }),
      mappingOf({ hostPort: 9000 }),
    ];
    expect(await restore(single, block, unwanted)).to.have.length(3);
    expect(await ports.repair()).to.equal(false);
    await ports.release([unwanted]);
    world.foreignPorts.clear();
    expect(await ports.repair()).to.equal(true);
    expect(held()).to.deep.equal(["tcp 0.0.0.0 8000", "tcp 0.0.0.0 8001", "tcp 0.0.0.0 8002", "tcp 0.0.0.0 81"]);
    expect(await ports.repair()).to.equal(false);
    await ports.release([single, block]);
    expect(held()).to.deep.equal([]);
  });

  it("are let go of again if they are not wanted any more when a repair has them", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 81");
    await restore(mappingOf({ hostPort: 81 }));
    world.foreignPorts.clear();
    const repaired = ports.repair();
    await ports.release([mappingOf({ hostPort: 81 })]);
    expect(await repaired).to.equal(false);
    expect(held()).to.deep.equal([]);
  });

  it("are not given to another while they are not held", async () => {
    for (const port of [81, 8001]) world.foreignPorts.add(`tcp 0.0.0.0 ${port}`);
    const [single, block] = [mappingOf({ hostPort: 81 }), mappingOf({ hostPort: 8000, count: 3 })];
    await restore(single, block);
    world.foreignPorts.clear();
    const allocate = (...hostPorts: number[]): Promise<string> =>
      ports
        .allocate(
          hostPorts.map((port) => bindingOf(port, { containerPort: port })),
          asker,
        )
        .then(() => "held", explain);
    expect(await allocate(81)).to.equal("Bind for 0.0.0.0:81 failed: port is already allocated");
    expect(await allocate(7999, 8000, 8001)).to.equal("Bind for 0.0.0.0:8000 failed: port is already allocated");
    expect(await ports.repair()).to.equal(true);
    await ports.release([single, block]);
    expect(await allocate(81, 8001)).to.equal("held");
  });

  it("are 10,000, held by few calls, also if some are taken", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 5000");
    const endpoints = Array.from({ length: 100 }, (_, n) => ({
      ...endpoint,
      ports: Array.from({ length: 100 }, (_, m) => mappingOf({ hostPort: 1 + 100 * n + m })),
    }));
    expect(await restoreFor(...endpoints)).to.deep.equal([
      "failed to bind host port 0.0.0.0:5000/tcp: address already in use",
    ]);
    expect(held()).to.have.length(9999);
    expect(calls()).to.be.lessThan(30);
  });

  it("are let go of at once, and tried again by small calls, when thousands of them are not held", async () => {
    const mappings = Array.from({ length: 4000 }, (_, n) => mappingOf({ hostPort: 1 + n, containerPort: 5000 - n }));
    void faults.arm({ kind: "from", at: 1, errno: "EMFILE" });
    await restore(...mappings);
    const reserve = kernel.reservePorts;
    let most = 0;
    kernel.reservePorts = (blocks) => {
      most = Math.max(most, blocks.length);
      return reserve(blocks);
    };
    await ports.repair();
    expect(most).to.equal(500);
    faults.disarm();
    const startedAt = performance.now();
    await ports.release(mappings);
    expect(performance.now() - startedAt).to.be.lessThan(100);
    expect(await ports.repair()).to.equal(false);
  }).timeout(10_000);

  it("are each tried where the kernel refuses for a reason that names none", async () => {
    const mappings = Array.from({ length: 8 }, (_, n) => mappingOf({ hostPort: 80 + n }));
    void faults.arm({ kind: "from", at: 1, errno: "EMFILE" });
    expect(await restore(...mappings)).to.have.length(8);
    faults.disarm();
    expect(await ports.repair()).to.equal(true);
    expect(held()).to.have.length(8);
  });
});
