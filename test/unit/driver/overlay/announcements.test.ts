import { expect } from "chai";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { etcdOf, other } from "../../../support/cluster.ts";
import { type Driver, startDriver, stopDriver } from "../../../support/driver.ts";
import { idOf, ipv6, networkRequest, overlayRequest } from "../../../support/values.ts";
import { World } from "../../../support/world.ts";

const network = idOf("a1");
const sandbox = "/var/run/docker/netns/e1";

describe("other hosts are told of a container", () => {
  let driver: Driver;
  afterEach(() => stopDriver(driver));

  async function run(world: World, create: (driver: Driver) => Promise<unknown>, ...addresses: string[]) {
    driver = await startDriver(world, new MemoryStore());
    await create(driver);
    await driver.endpoints.create({ network, id: idOf("e1"), addresses, mac: null });
    await driver.endpoints.join(network, idOf("e1"), sandbox);
    expect(world.announcements).to.deep.equal([]);
    world.moveIntoSandbox("tsc-e1000000000", sandbox);
    await driver.announcements.idle();
    return world.announcements;
  }
  const overlay = ({ networks }: Driver) => networks.create(overlayRequest({}, { ipv6 }));

  it("by its own host when dockerd has taken its link, where they know nothing but each other", async () => {
    const world = new World();
    world.peers = [other.vtep];
    expect(await run(world, overlay, "10.5.0.2/24", "fd00:18::2/64")).to.deep.equal([
      {
        sandbox: "tsnet-a1000000000",
        alias: `tsnet:veth:${idOf("e1")}`,
        addresses: ["10.5.0.2", "fd00:18::2"],
        through: { link: "tsx-a1000000000", mac: "02:42:0a:05:00:02" },
      },
    ]);
  });

  it("by the control plane where it knows who is where", async () => {
    const world = new World();
    world.etcd = etcdOf();
    expect(await run(world, overlay, "10.5.0.2/24")).to.deep.equal([]);
  });

  it("not at all where there are none", async () => {
    const bridge = ({ networks }: Driver) => networks.create(networkRequest());
    expect(await run(new World(), bridge, "172.18.0.2/16")).to.deep.equal([]);
  });
});
