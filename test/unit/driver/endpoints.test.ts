import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import type { EndpointRequest } from "../../../src/plan/endpoint-request.ts";
import type { PortBinding } from "../../../src/plan/ports.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { bindingOf, idOf, ipv6, networkRequest, requestedSubnet } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const failure = (promise: Promise<unknown>): Promise<string | null> => promise.then(() => "no error", explain);
const a = idOf("a1");
const b = idOf("b2");
const sandbox = "/var/run/docker/netns/e1";

describe("endpoints", () => {
  let world: World;
  let driver: Driver;
  const create = (digits: string, values: Partial<EndpointRequest> = {}): Promise<string | null> =>
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

  it("are a veth pair: one end an active port of the bridge, the other waiting for dockerd", async () => {
    expect(await create("e1", { addresses: ["172.18.0.2/16", "fd00:18::2/64"] })).to.equal("02:42:ac:12:00:02");
    await agree();
    const bridge = world.links.require("tsb-a1000000000");
    expect(world.links.require("tsv-e1000000000")).to.include({ master: bridge.index, up: true, hairpin: true });
    expect(world.links.require("tsc-e1000000000")).to.include({ master: 0, up: false });
  });

  it("keep the MAC address that is asked for", async () => {
    expect(await create("e1", { mac: "02:aa:bb:cc:dd:ee" })).to.equal("02:aa:bb:cc:dd:ee");
    expect(driver.state.endpoint(idOf("e1"))?.mac).to.equal("02:aa:bb:cc:dd:ee");
  });

  it("made twice, also at once, are there once, also when the container has its end already", async () => {
    expect(await Promise.all([create("e1"), create("e1")])).to.deep.equal(["02:42:ac:12:00:02", "02:42:ac:12:00:02"]);
    await agree();
    world.moveIntoSandbox("tsc-e1000000000", sandbox);
    const once = structuredClone(world.dump());
    await create("e1");
    expect(world.dump()).to.deep.equal(once);
  });

  const refused: [what: string, values: Partial<EndpointRequest>, message: string][] = [
    ["an unknown network", { network: b }, `network ${b} is unknown to tsnet`],
    [
      "no address",
      { addresses: [] },
      `endpoint ${idOf("e1")} has no address; mode bridge needs an IPAM driver that gives one`,
    ],
    [
      "an address outside",
      { addresses: ["10.0.0.2/8"] },
      `address 10.0.0.2/8 is not in a subnet of network ${a}: 172.18.0.0/16, fd00:18::/64`,
    ],
    [
      "two addresses of a family",
      { addresses: ["172.18.0.2/16", "172.18.0.3/16"] },
      `endpoint ${idOf("e1")} has two addresses of one family: 172.18.0.2/16 and 172.18.0.3/16`,
    ],
  ];
  for (const [what, values, message] of refused) {
    it(`are refused, and nothing changes: ${what}`, async () => {
      const before = structuredClone(world.dump());
      expect(await failure(create("e1", values))).to.equal(message);
      expect(world.dump()).to.deep.equal(before);
    });
  }

  it("made again with other content are refused, with the difference", async () => {
    await create("e1");
    const other = 'addresses is ["172.18.0.2/16"], not ["172.18.0.3/16"]';
    expect(await failure(create("e1", { addresses: ["172.18.0.3/16"] }))).to.equal(
      `endpoint ${idOf("e1")} exists, and its ${other}`,
    );
    const mac = 'mac is "02:42:ac:12:00:02", not "02:aa:bb:cc:dd:ee"';
    expect(await failure(create("e1", { mac: "02:aa:bb:cc:dd:ee" }))).to.equal(
      `endpoint ${idOf("e1")} exists, and its ${mac}`,
    );
    await agree();
  });

  it("of another network are unknown to this one", async () => {
    await driver.networks.create(networkRequest({ id: b, ipv4: [requestedSubnet("10.0.0.0/24", "10.0.0.1/24")] }));
    await create("e1");
    const message = `endpoint ${idOf("e1")} belongs to network ${a}, not ${b}`;
    expect(await failure(driver.endpoints.join(b, idOf("e1"), sandbox))).to.equal(message);
    expect(() => driver.endpoints.operInfo(b, idOf("e1"))).to.throw(message);
    expect(await failure(driver.endpoints.publish(b, idOf("e1"), []))).to.equal(message);
    await Promise.all([
      driver.endpoints.leave(b, idOf("e1")),
      driver.endpoints.unpublish(b, idOf("e1")),
      driver.endpoints.delete(b, idOf("e1")),
    ]);
    await agree();
    expect(driver.state.endpoint(idOf("e1"))).to.not.equal(undefined);
  });

  it("that are unknown cannot join or publish, and are gone already", async () => {
    const message = `endpoint ${idOf("e1")} is unknown to tsnet`;
    expect(await failure(driver.endpoints.join(a, idOf("e1"), sandbox))).to.equal(message);
    expect(await failure(driver.endpoints.publish(a, idOf("e1"), []))).to.equal(message);
    expect(() => driver.endpoints.operInfo(a, idOf("e1"))).to.throw(message);
    for (const method of ["leave", "unpublish", "delete"] as const) {
      expect(await failure(driver.endpoints[method](a, idOf("e1")))).to.equal("no error");
      expect(await failure(driver.endpoints[method](b, idOf("e1")))).to.equal("no error");
    }
  });

  it("are told how to join: link, name in the container, gateways", async () => {
    await create("e1", { addresses: ["172.18.0.2/16", "fd00:18::2/64"] });
    const gateways = { gateway4: "172.18.0.1", gateway6: "fd00:18::1" };
    const names = { link: "tsc-e1000000000", interfacePrefix: "eth" };
    const answer = { ...names, ...gateways, onLink: [], withoutGatewayService: false };
    expect(await driver.endpoints.join(a, idOf("e1"), sandbox)).to.deep.equal(answer);
    expect(await driver.endpoints.join(a, idOf("e1"), sandbox)).to.deep.equal(answer);
    expect(driver.state.endpoint(idOf("e1"))?.sandbox).to.equal(sandbox);
    expect(driver.endpoints.operInfo(a, idOf("e1"))).to.deep.equal({
      "com.docker.network.endpoint.macaddress": "02:42:ac:12:00:02",
    });
  });

  it("may be in any subnet of the network, and know the way to the others", async () => {
    const ipv4 = [requestedSubnet("10.0.1.0/24", "10.0.1.1/24"), requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    await driver.networks.create(networkRequest({ id: b, ipv4 }));
    await create("e1", { network: b, addresses: ["10.0.0.2/24"] });
    await create("e2", { network: b, addresses: ["10.0.1.2/24"] });
    expect(await driver.endpoints.join(b, idOf("e1"), sandbox)).to.deep.include({
      gateway4: "10.0.0.1",
      onLink: ["10.0.1.0/24"],
    });
    expect(await driver.endpoints.join(b, idOf("e2"), "/run/e2")).to.deep.include({
      gateway4: "10.0.1.1",
      onLink: ["10.0.0.0/24"],
    });
    await agree();
  });

  it("have no gateway on an internal network", async () => {
    const ipv4 = [requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    await driver.networks.create(networkRequest({ id: b, internal: true, ipv4 }));
    await create("e1", { network: b, addresses: ["10.0.0.2/24"] });
    expect(await driver.endpoints.join(b, idOf("e1"), sandbox)).to.include({ gateway4: "", gateway6: "" });
  });

  it("of one container on two networks are known as such, also if they join and leave at once", async () => {
    const ipv4 = [requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    await driver.networks.create(networkRequest({ id: b, ipv4 }));
    await create("e1");
    await create("e2", { network: b, addresses: ["10.0.0.2/24"] });
    await Promise.all([driver.endpoints.join(a, idOf("e1"), sandbox), driver.endpoints.join(b, idOf("e2"), sandbox)]);
    expect({ ...world.nft.observe()?.elements["multihomed4"] }).to.deep.equal({ "172.18.0.2": "", "10.0.0.2": "" });
    await agree();
    await Promise.all([driver.endpoints.leave(a, idOf("e1")), driver.endpoints.leave(b, idOf("e2"))]);
    expect(world.nft.observe()?.elements["multihomed4"]).to.equal(undefined);
    await agree();
  });

  it("cannot have the address of a living endpoint", async () => {
    await start("e1", "172.18.0.2/16");
    expect(await failure(create("e2"))).to.equal(
      `create endpoint ${idOf("e2")}: address 172.18.0.2 of network ${a} is held by endpoint ${idOf("e1")}: give another --ip`,
    );
    await agree();
  });

  it("asked for at once with one address are one endpoint and one refusal", async () => {
    const results = await Promise.all([
      failure(create("e1")),
      failure(create("e2", { addresses: ["172.18.0.2/16", "fd00:18::2/64"] })),
    ]);
    expect(results.filter((result) => result === "no error")).to.have.length(1);
    expect(results.find((result) => result !== "no error")).to.contain("address 172.18.0.2 of network");
    await agree();
  });

  it("take the address of one that died without a word", async () => {
    await start("e1", "172.18.0.2/16");
    world.destroySandbox("/var/run/docker/netns/e1");
    await create("e2");
    await agree();
    expect([...driver.state.endpoints()].map(({ id }) => id)).to.deep.equal([idOf("e2")]);
  });

  it("made, joined, published and removed at once, again and again, leave nothing", async () => {
    const life = async (n: number): Promise<void> => {
      const id = idOf(`f${n.toString(16).padStart(2, "0")}`);
      const request = { network: a, id, addresses: [`172.18.1.${n}/16`], mac: null };
      await Promise.all([driver.endpoints.create(request), driver.endpoints.create(request)]);
      await Promise.all([
        driver.endpoints.join(a, id, `/run/${n}`),
        driver.endpoints.publish(a, id, [bindingOf(9000 + n)]),
      ]);
      await Promise.all([
        driver.endpoints.leave(a, id),
        driver.endpoints.delete(a, id),
        driver.endpoints.delete(a, id),
      ]);
    };
    const before = structuredClone(world.dump());
    await Promise.all(Array.from({ length: 50 }, (_, n) => life(n + 2)));
    await driver.removals.flush();
    expect(world.dump()).to.deep.equal(before);
    await agree();
  });
});
