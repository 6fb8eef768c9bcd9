/** Overlay networks of one host in a world, of which Docker's gossip tells who else has them. */
import { expect } from "chai";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { local, other, swarmOf } from "../../../support/cluster.ts";
import { type Driver, openDriver, startDriver, stopDriver, untilComplete } from "../../../support/driver.ts";
import { gossipOf, swarmIdOf } from "../../../support/fake-gossip.ts";
import { idOf, ipv6, overlayRequest } from "../../../support/values.ts";
import { World } from "../../../support/world.ts";
import { namespaceOf, textOf } from "../../../support/world-overlay.ts";

const network = swarmIdOf("a1");
const namespace = "tsnet-a1000000000";
const vxlan = "tsx-a1000000000";

const request = (n: number) => ({ network, id: idOf(`e${n}`), addresses: [`10.5.0.${n + 1}/24`], mac: null });
const macOf = (n: number): string => `02:42:0a:05:00:0${n + 1}`;
const sandboxOf = (n: number): string => `/var/run/docker/netns/e${n}`;

/** What the kernel has of who is where. */
const placesIn = (world: World): string[] =>
  [...namespaceOf(world, namespace).places.values()].map(({ place }) => textOf(place)).toSorted();

describe("overlay networks of a swarm", () => {
  const learned = `${other.mac} ${other.ip} at ${vxlan} `;
  const own = `${macOf(1)} 10.5.0.2 at tsv-e1000000000 `;
  const vteps = () => [...namespaceOf(world, namespace).vteps.keys()];
  let world: World;
  let driver: Driver;
  afterEach(() => stopDriver(driver));
  beforeEach(async () => {
    world = new World();
    world.swarm = swarmOf();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(overlayRequest({}, { id: network, ipv6 }));
    await driver.endpoints.create(request(1));
    await driver.endpoints.join(network, idOf("e1"), sandboxOf(1));
    world.moveIntoSandbox("tsc-e1000000000", sandboxOf(1));
    await untilComplete(driver);
  });

  const restart = async (): Promise<void> => {
    await driver.reconciler.stop();
    world.kill();
    driver = openDriver(world, driver.store, driver.clock);
    await driver.reconciler.restore();
    driver.cluster.overlays.start();
  };

  it("have what was known of others as long as Docker tells nothing, and then what it tells", async () => {
    expect([placesIn(world).includes(learned), vteps()]).to.deep.equal([true, [other.vtep]]);
    world.swarm?.docker.delete(network);
    await restart();
    await driver.reconciler.run();
    expect([placesIn(world).includes(learned), vteps()]).to.deep.equal([true, [other.vtep]]);
    expect(driver.reconciler.repairs()).to.deep.equal({});
    expect(driver.cluster.plane.isComplete()).to.equal(false);
    world.swarm?.put(network, gossipOf([local, "192.0.2.3"], { "10.5.0.2": idOf("e1") }));
    await untilComplete(driver);
    await driver.reconciler.run();
    expect([placesIn(world).includes(learned), vteps()]).to.deep.equal([false, ["192.0.2.3"]]);
    expect(placesIn(world)).to.include(own);
  });

  it("are told of tasks with TSNET_PEERS as well, and go on with them until Docker tells something else", async () => {
    await stopDriver(driver);
    world.peers = ["192.0.2.3"];
    await restart();
    await untilComplete(driver);
    expect([placesIn(world).includes(learned), vteps()]).to.deep.equal([true, ["192.0.2.3"]]);
    world.swarm?.docker.delete(network);
    await restart();
    await driver.reconciler.run();
    expect(placesIn(world)).to.include(learned);
    world.swarm?.put(network, gossipOf([local], { "10.5.0.2": idOf("e1") }));
    await untilComplete(driver);
    await driver.reconciler.run();
    expect(placesIn(world)).to.not.include(learned);
    expect(placesIn(world)).to.include(own);
  });

  it("know an endpoint to be here while it is, and elsewhere as soon as it is not", async () => {
    world.swarm?.put(network, gossipOf([local, other.vtep], { "10.5.0.2": idOf("f9") }));
    await untilComplete(driver);
    expect(placesIn(world)).to.include(own);
    await driver.endpoints.create(request(2));
    await removeContainer(1);
    expect(placesIn(world)).to.include(`${macOf(1)} 10.5.0.2 at ${vxlan} `);
  });

  it("know an endpoint that has gone to be nowhere, though Docker still tells of it", async () => {
    world.swarm?.put(network, gossipOf([local, other.vtep], { "10.5.0.2": idOf("e1"), "10.5.0.3": idOf("e2") }));
    await driver.endpoints.create(request(2));
    await removeContainer(1);
    await driver.cluster.overlays.idle();
    expect(placesIn(world).filter((place) => place.startsWith(macOf(1)))).to.deep.equal([]);
    await driver.reconciler.run();
    expect(placesIn(world).filter((place) => place.startsWith(macOf(1)))).to.deep.equal([]);
  });

  it("are followed as long as they have an endpoint here", async () => {
    expect(world.swarm?.followed).to.deep.equal([network]);
    await removeContainer(1);
    expect(world.swarm?.followed).to.deep.equal([]);
  });

  async function removeContainer(n: number): Promise<void> {
    await driver.endpoints.leave(network, idOf(`e${n}`));
    world.moveOutOfSandbox(`tsc-e${n}000000000`);
    await driver.endpoints.delete(network, idOf(`e${n}`));
  }
});
