import { expect } from "chai";
import type { Kernel } from "../../../src/driver/kernel.ts";
import { type PortBinding, Ports, satisfies } from "../../../src/driver/ports.ts";
import { explain } from "../../../src/errors.ts";
import { Faults } from "../../support/faults.ts";
import { bindingOf, mappingOf } from "../../support/values.ts";
import { World } from "../../support/world.ts";

describe("ports of the host", () => {
  let world: World;
  let faults: Faults;
  let kernel: Kernel;
  let ports: Ports;
  beforeEach(() => {
    world = new World();
    faults = new Faults();
    kernel = world.open(faults);
    ports = new Ports(kernel);
  });
  const allocate = (...bindings: PortBinding[]): Promise<string[]> =>
    ports.allocate(bindings, ["0.0.0.0"]).then(
      (mappings) => mappings.map(({ hostAddress, hostPort }) => `${hostAddress} ${hostPort}`),
      (error: unknown) => [explain(error)],
    );
  const held = (): string[] => [...world.heldPorts].toSorted();

  it("are held one for each binding, at the network's default address unless another is named", async () => {
    expect(await allocate(bindingOf(80), bindingOf(81, { hostAddress: "127.0.0.1", protocol: "udp" }))).to.deep.equal([
      "0.0.0.0 80",
      "127.0.0.1 81",
    ]);
    expect(held()).to.deep.equal(["tcp 0.0.0.0 80", "udp 127.0.0.1 81"]);
  });

  it("of another container are refused in Docker's words", async () => {
    await allocate(bindingOf(80), bindingOf(80, { hostAddress: "::" }));
    expect(await allocate(bindingOf(80))).to.deep.equal(["Bind for 0.0.0.0:80 failed: port is already allocated"]);
    expect(await allocate(bindingOf(80, { hostAddress: "::1" }))).to.deep.equal([
      "Bind for [::1]:80 failed: port is already allocated",
    ]);
    expect(await allocate(bindingOf(80, { protocol: "udp" }))).to.deep.equal(["0.0.0.0 80"]);
  });

  it("of a program of the host are refused in Docker's words", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 80");
    world.foreignPorts.add("tcp :: 80");
    expect(await allocate(bindingOf(80))).to.deep.equal([
      "failed to bind host port 0.0.0.0:80/tcp: address already in use",
    ]);
    expect(await allocate(bindingOf(80, { hostAddress: "::1" }))).to.deep.equal([
      "failed to bind host port [::1]:80/tcp: address already in use",
    ]);
  });

  it("at an address that no link has are refused with that, and other errors keep their cause", async () => {
    for (const [errno, text] of [
      [
        "EADDRNOTAVAIL",
        "failed to bind host port 192.0.2.9:80/tcp: cannot assign requested address: no link of this host has it",
      ],
      ["EMFILE", "failed to bind host port 192.0.2.9:80/tcp: reserve-ports: EMFILE"],
    ] as const) {
      void faults.arm({ kind: "before", at: 1, errno });
      expect(await allocate(bindingOf(80, { hostAddress: "192.0.2.9" }))).to.deep.equal([text]);
    }
  });

  it("are all let go of if one cannot be had", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 82");
    await allocate(bindingOf(80), bindingOf(81), bindingOf(82));
    expect(held()).to.deep.equal([]);
  });

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

  it("that are ephemeral follow the host's range when it changes", async () => {
    await allocate(bindingOf(0));
    world.ephemeral = { first: 50000, last: 50001 };
    expect(await allocate(bindingOf(0), bindingOf(0))).to.deep.equal(["0.0.0.0 50000", "0.0.0.0 50001"]);
  });

  it("of a range are the first one free, until there is none", async () => {
    const range = bindingOf(8000, { hostPortEnd: 8002 });
    world.foreignPorts.add("tcp 0.0.0.0 8000");
    expect(await allocate(range, range)).to.deep.equal(["0.0.0.0 8001", "0.0.0.0 8002"]);
    expect(await allocate(range)).to.deep.equal(["all ports are allocated: 8000-8002 on 0.0.0.0"]);
  });

  it("are held again after a restart; those that somebody else has meanwhile are named", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 81");
    const mappings = [80, 81, 82].map((hostPort) => mappingOf({ hostPort }));
    const lost = (await ports.restore(mappings)).map(({ message }) => message);
    expect(lost).to.deep.equal(["failed to bind host port 0.0.0.0:81/tcp: address already in use"]);
    expect(held()).to.deep.equal(["tcp 0.0.0.0 80", "tcp 0.0.0.0 82"]);
  });

  it("whose release fails go with the next one", async () => {
    await allocate(bindingOf(80), bindingOf(81));
    void faults.arm({ kind: "before", at: 1, errno: "EIO" });
    expect(await ports.release([mappingOf({ hostPort: 80 })]).catch(explain)).to.equal("release-ports: EIO");
    expect(held()).to.have.length(2);
    expect(await allocate(bindingOf(80))).to.deep.equal(["0.0.0.0 80"]);
    await ports.release([]);
    expect(held()).to.deep.equal(["tcp 0.0.0.0 80", "tcp 0.0.0.0 81"]);
  });
});

describe("ports that an endpoint has", () => {
  const has = (values: Parameters<typeof mappingOf>[0], binding: PortBinding): boolean =>
    satisfies([mappingOf(values)], [binding], ["0.0.0.0"]);
  it("satisfy what is asked for: the port, any of a range, any at all", () => {
    expect([
      has({}, bindingOf(8080)),
      has({}, bindingOf(8000, { hostPortEnd: 8100 })),
      has({}, bindingOf(0)),
    ]).to.deep.equal([true, true, true]);
  });
  it("do not satisfy another port, address, protocol, container port or number of ports", () => {
    const others = [
      bindingOf(8081),
      bindingOf(8080, { hostAddress: "::" }),
      bindingOf(8080, { protocol: "udp" }),
      bindingOf(8080, { containerPort: 81 }),
    ];
    expect(others.map((binding) => has({}, binding))).to.deep.equal([false, false, false, false]);
    expect(satisfies([mappingOf()], [], ["0.0.0.0"])).to.equal(false);
    expect(satisfies([], [bindingOf(8080)], ["0.0.0.0"])).to.equal(false);
  });
});
