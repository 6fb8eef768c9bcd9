import { expect } from "chai";
import type { AttachedSubnet } from "../../../src/driver/ipam/backend.ts";
import { Networks } from "../../../src/driver/networks.ts";
import { explain, TsnetError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { idOf, ipv6, networkRequest, requestedSubnet } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const a = idOf("a1");
const failure = (promise: Promise<unknown>): Promise<string> => promise.then(() => "no error", explain);

describe("the IPAM is told of a network", () => {
  let world: World;
  let driver: Driver;
  let networks: Networks;
  const told: { network: string; subnets: readonly AttachedSubnet[]; isReady: boolean | undefined }[] = [];
  let refusal: Error | undefined;

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    told.length = 0;
    refusal = undefined;
    networks = new Networks({
      ...driver,
      attach: async (network, subnets) => {
        told.push({ network, subnets, isReady: driver.state.network(network)?.ready });
        if (refusal) throw refusal;
      },
      hold: async () => {},
    });
  });
  afterEach(() => stopDriver(driver));

  const auxiliary = { router: "10.0.0.9/24", printer: "10.0.0.8" };
  const request = networkRequest({
    ipv4: [
      requestedSubnet("172.18.0.0/16", "172.18.0.1/16"),
      requestedSubnet("10.0.0.0/24", "10.0.0.1/24", { addressSpace: "tsnet-local", auxiliary }),
    ],
    ipv6,
  });
  const subnets = [
    { addressSpace: "LocalDefault", pool: "172.18.0.0/16", gateway: "172.18.0.1", auxiliary: [] },
    { addressSpace: "tsnet-local", pool: "10.0.0.0/24", gateway: "10.0.0.1", auxiliary: ["10.0.0.9", "10.0.0.8"] },
    { addressSpace: "LocalDefault", pool: "fd00:18::/64", gateway: "fd00:18::1", auxiliary: [] },
  ];

  it("with all its subnets, in the order of the request, before it is ready, and each time that Docker asks", async () => {
    await networks.create(request);
    await networks.create(request);
    expect(told).to.deep.equal([
      { network: a, subnets, isReady: false },
      { network: a, subnets, isReady: true },
    ]);
    expect(driver.state.network(a)?.ready).to.equal(true);
  });

  it("and the network is taken back if it cannot take note of it", async () => {
    refusal = new TsnetError("store", "the disk is full");
    expect(await failure(networks.create(request))).to.equal(`create network ${a}: the disk is full`);
    await expectAgreement(driver, new World());
    expect([...driver.state.networks()]).to.deep.equal([]);
  });

  it("but of none that is refused", async () => {
    const unclear = requestedSubnet("10.0.0.0/24", "10.0.0.1/24", { auxiliary: { router: "nowhere" } });
    const message = 'auxiliary address router=nowhere: expected an IP address, got "nowhere"';
    expect(await failure(networks.create(networkRequest({ ipv4: [unclear] })))).to.equal(message);
    await networks.create(request);
    expect(await failure(networks.create({ ...request, id: idOf("b2") }))).to.include("networks have overlapping IPv4");
    expect(told.map(({ network }) => network)).to.deep.equal([a]);
  });
});
