/** What a process does at its start with what another has left of the short way, before it knows of other hosts. */
import { expect } from "chai";
import { directOverlays } from "../../../../src/driver/overlay/direct-left.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { etcdOf } from "../../../support/cluster.ts";
import { type Driver, openDriver, startDriver, stopDriver } from "../../../support/driver.ts";
import { FakeGossip } from "../../../support/fake-gossip.ts";
import { idOf, ipv6, overlayRequest } from "../../../support/values.ts";
import { World } from "../../../support/world.ts";

const network = idOf("a1");
const bridge = "tsb-a1000000000";
const endpoint = { network, id: idOf("e1"), addresses: ["10.5.0.2/24"], mac: null };
const own4 = ["eth0 . 10.5.0.0/24 . 10.5.0.0/24", `${bridge} . 10.5.0.0/24 . 10.5.0.0/24`];
const own6 = ["eth0 . fd00:18::/64 . fd00:18::/64"];
const others = ["eth0 . 10.6.0.0/24 . 10.6.0.0/24", "eth0 . 10.5.0.0/24 . 10.6.0.0/24"];

describe("the short way that an earlier process has left", () => {
  let world: World;
  let driver: Driver;
  const open = async (options: Readonly<Record<string, string>> = {}): Promise<void> => {
    world = new World();
    world.etcd = etcdOf();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(overlayRequest(options, { ipv6 }));
    await driver.endpoints.create(endpoint);
    await driver.endpoints.join(network, endpoint.id, "/var/run/docker/netns/e1");
    world.moveIntoSandbox("tsc-e1000000000", "/var/run/docker/netns/e1");
    for (const key of [...own4, ...others]) world.nft.run(`add element inet tsnet direct4 { ${quoted(key)} }\n`);
    for (const key of own6) world.nft.run(`add element inet tsnet direct6 { ${quoted(key)} }\n`);
  };
  afterEach(() => stopDriver(driver));

  const quoted = (key: string): string => key.replace(/^\S+/, (link) => `"${link}"`);
  const passing = (set: string): string[] => Object.keys(world.nft.observe()?.elements[set] ?? {}).toSorted();
  /** The control plane is never complete. */
  const restart = async (): Promise<void> => {
    await driver.reconciler.stop();
    world.kill();
    driver = openDriver(world, driver.store, driver.clock);
    await driver.reconciler.restore();
  };

  it("passes the firewall as before, where it is a network's, also after repairs", async () => {
    await open();
    expect(passing("direct4")).to.have.length(4);
    await restart();
    expect(passing("direct4")).to.have.members(own4);
    expect(passing("direct6")).to.have.members(own6);
    await driver.reconciler.run();
    expect(passing("direct4")).to.have.members(own4);
    world.nft.run("add table inet tsnet\ndelete table inet tsnet\n");
    await driver.reconciler.run();
    expect(passing("direct4")).to.have.members(own4);
  });

  it("passes the firewall with more, until it is said that no more than that passes", async () => {
    await open();
    await restart();
    const eth1 = "eth1 . 10.5.0.0/24 . 10.5.0.0/24";
    for (const _ of [1, 2]) await driver.firewall.setDirect(network, [["direct4", eth1, ""]], true);
    expect(passing("direct4")).to.have.members([...own4, eth1]);
    expect(passing("direct6")).to.have.members(own6);
    await driver.firewall.setDirect(network, [["direct4", eth1, ""]]);
    expect([...passing("direct4"), ...passing("direct6")]).to.deep.equal([eth1]);
  });

  it("passes as before where nobody could tell of other hosts any more, whatever Docker says of swarms", async () => {
    for (const answered of [false, true]) {
      await open();
      world.etcd = null;
      world.swarm = Object.assign(new FakeGossip(), { isIn: answered, isAsked: answered });
      await restart();
      await driver.reconciler.run();
      expect([...passing("direct4"), ...passing("direct6")]).to.have.members([...own4, ...own6]);
      expect(directOverlays({ state: driver.state, plane: driver.cluster.plane })).to.have.length(1);
      if (!answered) await stopDriver(driver);
    }
  });

  it("passes no more where the network is gone, never had it, or no control plane will say which hosts there are", async () => {
    await open({ "tsnet.datapath": "vxlan" });
    await restart();
    expect([...passing("direct4"), ...passing("direct6")]).to.deep.equal([]);
    await stopDriver(driver);

    await open();
    world.etcd = null;
    world.peers = ["192.0.2.2"];
    await restart();
    expect([...passing("direct4"), ...passing("direct6")]).to.deep.equal([]);
    await stopDriver(driver);

    await open();
    await driver.endpoints.leave(network, endpoint.id);
    world.moveOutOfSandbox("tsc-e1000000000");
    await driver.endpoints.delete(network, endpoint.id);
    await restart();
    expect([...passing("direct4"), ...passing("direct6")]).to.deep.equal([]);
  });
});
