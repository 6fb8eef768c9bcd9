import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import type { EndpointRequest } from "../../../src/plan/endpoint-request.ts";
import type { NetworkRequest } from "../../../src/plan/network-request.ts";
import type { PortBinding } from "../../../src/plan/ports.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { bindingOf, bindingsOf, bridgeKey, idOf, ipv6, networkRequest, requestedSubnet } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const failure = (promise: Promise<unknown>): Promise<string | null> => promise.then(() => "no error", explain);
const a = idOf("a1");
const b = idOf("b2");
const other = [requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];

describe("published ports of endpoints", () => {
  let world: World;
  let driver: Driver;
  const create = (digits: string, values: Partial<EndpointRequest> = {}): Promise<string | null> =>
    driver.endpoints.create({ network: a, id: idOf(digits), addresses: ["172.18.0.2/16"], mac: null, ...values });
  const agree = (): Promise<void> => expectAgreement(driver, new World());
  const pathOf = (digits: string): string => `/var/run/docker/netns/${digits}`;
  /** An endpoint in a running container. */
  const start = async (digits: string, address: string, bindings: readonly PortBinding[] = []): Promise<void> => {
    await create(digits, { addresses: [address] });
    await driver.endpoints.join(a, idOf(digits), pathOf(digits));
    world.moveIntoSandbox(`tsc-${idOf(digits).slice(0, 11)}`, pathOf(digits));
    await driver.endpoints.publish(a, idOf(digits), bindings);
  };
  const publish = (digits: string, ...bindings: PortBinding[]): Promise<void> =>
    driver.endpoints.publish(a, idOf(digits), bindings);
  const elementsOf = (map: string) => ({ ...world.nft.observe()?.elements[map] });

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(networkRequest({ ipv6 }));
  });
  afterEach(() => stopDriver(driver));

  it("publish ports, and have them back after they were taken back", async () => {
    await start("e1", "172.18.0.2/16", [bindingOf(8080)]);
    await agree();
    expect(elementsOf("port4")).to.deep.equal({ "tcp . 8080": "172.18.0.2 . 80" });
    await driver.endpoints.unpublish(a, idOf("e1"));
    await agree();
    expect(world.heldPorts).to.deep.equal([]);
    await start("e2", "172.18.0.3/16", [bindingOf(8080)]);
    await agree();
  });

  it("keep their ports if the same are published again, ephemeral ones too, and change to others", async () => {
    await start("e1", "172.18.0.2/16", [bindingOf(0)]);
    const { ports } = driver.state.endpoint(idOf("e1")) ?? {};
    await publish("e1", bindingOf(0));
    expect(driver.state.endpoint(idOf("e1"))?.ports).to.deep.equal(ports);
    await publish("e1", bindingOf(81), bindingOf(82));
    await agree();
    expect(world.heldPorts).to.deep.equal(["tcp 0.0.0.0 81", "tcp 0.0.0.0 82", "tcp :: 81", "tcp :: 82"]);
  });

  it("publish a block by one record, one reservation, one transaction and one element a family", async () => {
    await start("e1", "172.18.0.2/16");
    driver.faults.steps.length = 0;
    await publish("e1", ...bindingsOf(8000, 8000, 200));
    expect(driver.faults.steps).to.deep.equal(["reserve-ports", "commit endpoint", "run-nft"]);
    expect(world.ports.list()).to.deep.equal(["tcp 0.0.0.0 8000-8199", "tcp :: 8000-8199 to 172.18.0.2 8000"]);
    expect(elementsOf("range4")).to.deep.equal({ "tcp . 8000-8199": "172.18.0.2" });
    await agree();
    driver.faults.steps.length = 0;
    await driver.endpoints.unpublish(a, idOf("e1"));
    expect(driver.faults.steps).to.deep.equal(["commit endpoint", "run-nft", "release-ports"]);
    await agree();
  });

  it("publish one port more at the same cost, however many there are", async () => {
    const measure = async (digits: string, address: string): Promise<object> => {
      await start(digits, address);
      const apply = driver.kernel.apply;
      let bytes = 0;
      driver.kernel.apply = (ops) => {
        for (const op of ops) if (op.op === "run-nft") bytes += op.script.length;
        return apply(ops);
      };
      driver.faults.steps.length = 0;
      await publish(digits, bindingOf(0));
      driver.kernel.apply = apply;
      return { steps: [...driver.faults.steps], bytes };
    };
    world.ephemeral = { first: 10_000, last: 60_000 };
    const few = await measure("e1", "172.18.0.2/16");
    await start("e3", "172.18.0.3/16");
    const many = Array.from({ length: 20_000 }, (_, n) =>
      bindingOf(10_001 + n, { containerPort: 1 + ((n * 7) % 20_000) }),
    );
    await publish("e3", ...many);
    expect(await measure("e2", "172.18.0.4/16")).to.deep.equal(few);
    expect(Object.keys(elementsOf("port4"))).to.have.length(20_002);
  }).timeout(30_000);

  it("are served by a socket where the kernel cannot", async () => {
    await start("e1", "172.18.0.2/16", [
      bindingOf(8080, { hostAddress: "::1" }),
      bindingOf(8081, { hostAddress: "::" }),
    ]);
    expect(world.ports.list()).to.deep.equal(["tcp :: 8081 to 172.18.0.2 80", "tcp ::1 8080 to 172.18.0.2 80"]);
    await agree();
  });

  it("are held again after a restart, with what they pass on", async () => {
    const options = { "tsnet.publish_policy": "host", "tsnet.publish_from": "192.0.2.0/24" };
    await driver.networks.create(networkRequest({ id: b, options, ipv4: other }));
    await create("e1", { network: b, addresses: ["10.0.0.2/24"] });
    await driver.endpoints.join(b, idOf("e1"), pathOf("e1"));
    world.moveIntoSandbox("tsc-e1000000000", pathOf("e1"));
    await driver.endpoints.publish(b, idOf("e1"), bindingsOf(8000, 80, 3));
    const before = world.ports.list();
    expect(before).to.deep.equal([
      "tcp 0.0.0.0 8000-8002 to 10.0.0.2 80 from 192.0.2.0/24",
      "tcp :: 8000-8002 to 10.0.0.2 80 from 192.0.2.0/24",
    ]);
    driver = await startDriver(world, driver.store);
    expect(world.ports.list()).to.deep.equal(before);
    await agree();
  });

  const unserved: [hostAddress: string, address: string][] = [
    ["::1", "172.18.0.2/16"],
    ["::", "172.18.0.2/16"],
    ["127.0.0.1", "fd00:18::2/64"],
  ];
  for (const [hostAddress, address] of unserved) {
    it(`leave ${hostAddress} to the container's other gateway, if the endpoint has only ${address}`, async () => {
      await start("e1", address);
      await driver.endpoints.publish(a, idOf("e1"), [bindingOf(8080, { hostAddress }), bindingOf(8081)], true);
      expect(driver.state.endpoint(idOf("e1"))?.ports.map(({ hostPort }) => hostPort)).to.deep.equal([8081]);
      await agree();
    });
  }

  it("say so in the log where a host address is of a family that the container does not have", async () => {
    await start("e1", "fd00:18::2/64", [bindingOf(8080, { hostAddress: "127.0.0.1" })]);
    expect(driver.log.lines.join()).to.match(/warn: published ports that the endpoint cannot serve .*127\.0\.0\.1/);
  });

  describe("of a container with a gateway for each family", () => {
    beforeEach(async () => {
      for (const [digits, address] of [
        ["e1", "172.18.0.2/16"],
        ["e2", "fd00:18::2/64"],
      ] as const) {
        await create(digits, { addresses: [address] });
        await driver.endpoints.join(a, idOf(digits), pathOf("e1"));
      }
    });
    const both = ["tcp 0.0.0.0 8080", "tcp :: 8080 to fd00:18::2 80"];

    it("are published by both, each in its family, as Docker 28 asks", async () => {
      await driver.endpoints.publish(a, idOf("e1"), [bindingOf(8080)], true);
      await publish("e2", bindingOf(8080));
      expect(world.ports.list()).to.deep.equal(both);
    });

    it("are published by both, each in its family, whoever is asked first, as Docker 29 asks", async () => {
      await publish("e1", bindingOf(8080));
      await publish("e2", bindingOf(8080));
      expect(world.ports.list()).to.deep.equal(both);
      await driver.endpoints.unpublish(a, idOf("e1"));
      await publish("e1", bindingOf(8080));
      expect(world.ports.list()).to.deep.equal(both);
    });
  });

  it("publish at the address that the network names", async () => {
    const options = { [bridgeKey("host_binding_ipv4")]: "127.0.0.1" };
    await driver.networks.create(networkRequest({ id: b, options, ipv4: other }));
    await create("e1", { network: b, addresses: ["10.0.0.2/24"] });
    await driver.endpoints.publish(b, idOf("e1"), [bindingOf(80), bindingOf(81, { hostAddress: "0.0.0.0" })]);
    expect(world.heldPorts).to.deep.equal(["tcp 0.0.0.0 81", "tcp 127.0.0.1 80"]);
  });

  const without: [what: string, values: Partial<NetworkRequest>][] = [
    ["an internal network", { internal: true }],
    ["a routed network", { options: { [bridgeKey("gateway_mode_ipv4")]: "routed" } }],
    ["a network whose ports Docker publishes", { options: { "tsnet.publish": "engine" } }],
  ];
  for (const [what, values] of without) {
    it(`take no port of the host on ${what}`, async () => {
      await driver.networks.create(networkRequest({ id: b, ipv4: other, ...values }));
      await create("e1", { network: b, addresses: ["10.0.0.2/24"] });
      await driver.endpoints.publish(b, idOf("e1"), [
        bindingOf(80),
        bindingOf(0),
        bindingOf(81, { hostAddress: "10.9.9.9" }),
      ]);
      expect([world.heldPorts, driver.state.endpoint(idOf("e1"))?.ports]).to.deep.equal([[], []]);
    });
  }

  it("cannot publish a port of a living container: then nothing is held, and it may be tried again", async () => {
    await start("e1", "172.18.0.2/16", [bindingOf(8080)]);
    await start("e2", "172.18.0.3/16");
    const asked = [...bindingsOf(8070, 8070, 20), bindingOf(0, { containerPort: 9 })];
    const message = "Bind for 0.0.0.0:8080 failed: port is already allocated";
    expect(await failure(publish("e2", ...asked))).to.equal(message);
    await agree();
    expect(world.heldPorts).to.deep.equal(["tcp 0.0.0.0 8080", "tcp :: 8080"]);
    expect(driver.state.endpoint(idOf("e2"))?.ports).to.deep.equal([]);
    await driver.endpoints.delete(a, idOf("e1"));
    await publish("e2", ...asked);
    await agree();
  });

  it("wait for a port that is on its way out, and for no other", async () => {
    await start("e1", "172.18.0.2/16", bindingsOf(8080, 80, 3));
    await start("e2", "172.18.0.3/16");
    await start("e3", "172.18.0.4/16");
    const commit = driver.faults.hold("commit endpoint");
    const ended = driver.endpoints.leave(a, idOf("e1"));
    await publish("e3", bindingOf(8083));
    const published = publish("e2", bindingOf(8081));
    setTimeout(commit.resolve, 20);
    await Promise.all([ended, published]);
    await agree();
    expect(world.heldPorts.map((port) => port.split(" ")[2])).to.deep.equal(["8081", "8083", "8081", "8083"]);
  });

  it("take the port of a container that died without a word", async () => {
    await start("e1", "172.18.0.2/16", [bindingOf(8080)]);
    await start("e2", "172.18.0.3/16");
    world.destroySandbox("/var/run/docker/netns/e1");
    await driver.endpoints.publish(a, idOf("e2"), [bindingOf(8080)]);
    await agree();
    expect([...driver.state.endpoints()].map(({ id }) => id)).to.deep.equal([idOf("e2")]);
  });

  it("go on publishing a port in use by nobody after two want it at once", async () => {
    await start("e1", "172.18.0.2/16");
    await start("e2", "172.18.0.3/16");
    const results = await Promise.all(
      ["e1", "e2"].map((digits) => failure(driver.endpoints.publish(a, idOf(digits), [bindingOf(8080)]))),
    );
    expect(results.toSorted()).to.deep.equal(["Bind for 0.0.0.0:8080 failed: port is already allocated", "no error"]);
    await agree();
  });
});
