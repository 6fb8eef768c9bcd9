import { expect } from "chai";
import type { PortBinding } from "../../../src/driver/ports.ts";
import { explain } from "../../../src/errors.ts";
import type { EndpointRequest } from "../../../src/plan/endpoint-request.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { bindingOf, bridgeKey, idOf, ipv6, networkRequest } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const failure = (promise: Promise<unknown>): Promise<string> => promise.then(() => "no error", explain);
const a = idOf("a1");
const b = idOf("b2");

describe("published ports of endpoints", () => {
  let world: World;
  let driver: Driver;
  const create = (digits: string, values: Partial<EndpointRequest> = {}): Promise<string> =>
    driver.endpoints.create({ network: a, id: idOf(digits), addresses: ["172.18.0.2/16"], mac: null, ...values });
  const agree = (): Promise<void> => expectAgreement(driver, new World());
  /** An endpoint in a running container. */
  const start = async (digits: string, address: string, bindings: readonly PortBinding[] = []): Promise<void> => {
    const path = `/var/run/docker/netns/${digits}`;
    await create(digits, { addresses: [address] });
    await driver.endpoints.join(a, idOf(digits), path);
    world.moveIntoSandbox(`tsc-${idOf(digits).slice(0, 11)}`, path);
    await driver.endpoints.publish(a, idOf(digits), bindings);
  };

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(networkRequest({ ipv6 }));
  });
  afterEach(() => stopDriver(driver));

  it("publish ports, and have them back after they were taken back", async () => {
    await start("e1", "172.18.0.2/16", [bindingOf(8080)]);
    await agree();
    expect({ ...world.nft.observe()?.elements["port4"] }).to.deep.equal({ "tcp . 8080": "172.18.0.2 . 80" });
    await driver.endpoints.unpublish(a, idOf("e1"));
    await agree();
    expect([...world.heldPorts]).to.deep.equal([]);
    await start("e2", "172.18.0.3/16", [bindingOf(8080)]);
    await agree();
  });

  it("keep their ports if the same are published again, ephemeral ones too, and change to others", async () => {
    await start("e1", "172.18.0.2/16", [bindingOf(0)]);
    const { ports } = driver.state.endpoint(idOf("e1")) ?? {};
    await driver.endpoints.publish(a, idOf("e1"), [bindingOf(0)]);
    expect(driver.state.endpoint(idOf("e1"))?.ports).to.deep.equal(ports);
    await driver.endpoints.publish(a, idOf("e1"), [bindingOf(81), bindingOf(82)]);
    await agree();
    expect([...world.heldPorts].toSorted()).to.deep.equal(["tcp 0.0.0.0 81", "tcp 0.0.0.0 82"]);
  });

  const unserved: [hostAddress: string, address: string][] = [
    ["::1", "172.18.0.2/16"],
    ["::", "172.18.0.2/16"],
    ["127.0.0.1", "fd00:18::2/64"],
  ];
  for (const [hostAddress, address] of unserved) {
    it(`leave ${hostAddress} to the container's other gateway, if the endpoint has only ${address}`, async () => {
      await start("e1", address, [bindingOf(8080, { hostAddress }), bindingOf(8081)]);
      expect(driver.state.endpoint(idOf("e1"))?.ports.map(({ hostPort }) => hostPort)).to.deep.equal([8081]);
      await agree();
    });
  }

  it("refuse ::1, and hold nothing", async () => {
    const bindings = [bindingOf(8081), bindingOf(8080, { hostAddress: "::1" })];
    const refused = await start("e1", "fd00:18::2/64", bindings).then(() => "no error", explain);
    expect(refused).to.match(/^cannot publish container port 80\/tcp on ::1, which tsnet does not serve; name another/);
    expect([...world.heldPorts]).to.deep.equal([]);
    await agree();
  });

  it("are published by both gateways of a container, each in its family, as Docker 28 asks", async () => {
    await start("e1", "172.18.0.2/16", [bindingOf(8080)]);
    await start("e2", "fd00:18::2/64", [bindingOf(8080)]);
    expect([...world.heldPorts].toSorted()).to.deep.equal(["tcp 0.0.0.0 8080", "tcp :: 8080"]);
    await agree();
  });

  it("publish at the address that the network names", async () => {
    const options = { [bridgeKey("host_binding_ipv4")]: "127.0.0.1" };
    await driver.networks.create(
      networkRequest({ id: b, options, ipv4: [{ pool: "10.0.0.0/24", gateway: "10.0.0.1/24", auxiliary: {} }] }),
    );
    await create("e1", { network: b, addresses: ["10.0.0.2/24"] });
    await driver.endpoints.publish(b, idOf("e1"), [bindingOf(80), bindingOf(81, { hostAddress: "0.0.0.0" })]);
    expect([...world.heldPorts]).to.deep.equal(["tcp 127.0.0.1 80", "tcp 0.0.0.0 81"]);
  });

  it("cannot publish a port of a living container: then nothing is held", async () => {
    await start("e1", "172.18.0.2/16", [bindingOf(8080)]);
    await start("e2", "172.18.0.3/16");
    const message = "Bind for 0.0.0.0:8080 failed: port is already allocated";
    expect(await failure(driver.endpoints.publish(a, idOf("e2"), [bindingOf(8079), bindingOf(8080)]))).to.equal(
      message,
    );
    await agree();
    expect([...world.heldPorts]).to.deep.equal(["tcp 0.0.0.0 8080"]);
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
