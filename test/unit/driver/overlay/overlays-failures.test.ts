/** Overlay networks of one host in a world where something is refused, late, or under way at the same time. */
import { expect } from "chai";
import { Overlays } from "../../../../src/driver/overlay/overlays.ts";
import { explain } from "../../../../src/errors.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { etcdOf, hostId, other } from "../../../support/cluster.ts";
import { type Driver, expectAgreement, openDriver, startDriver, stopDriver } from "../../../support/driver.ts";
import { FakeGossip } from "../../../support/fake-gossip.ts";
import { until } from "../../../support/poll.ts";
import { idOf, ipv6, networkRequest, overlayRequest, requestedSubnet } from "../../../support/values.ts";
import { World } from "../../../support/world.ts";
import { kernelError } from "../../../support/world-links.ts";
import { destroyNamespace, namespaceOf, textOf } from "../../../support/world-overlay.ts";

const network = idOf("a1");
const namespace = "tsnet-a1000000000";
const vxlan = "tsx-a1000000000";
const remote = `${other.mac} ${other.ip} at ${vxlan} ${other.vtep}`;
const request = (n: number) => ({ network, id: idOf(`e${n}`), addresses: [`10.5.0.${n + 1}/24`], mac: null });
const macOf = (n: number): string => `02:42:0a:05:00:0${n + 1}`;

function worldWithEtcd(): World {
  const world = new World();
  world.etcd = etcdOf();
  return world;
}

describe("overlay networks", () => {
  let world: World;
  let driver: Driver;
  beforeEach(async () => {
    world = worldWithEtcd();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(overlayRequest({}, { ipv6 }));
  });
  afterEach(() => stopDriver(driver));

  const placesIn = (): string[] => [...namespaceOf(world, namespace).places.values()].map(({ place }) => textOf(place));
  const settled = () => driver.cluster.overlays.idle();
  /** Somebody on the other host. */
  const put = (n: number, host = other.host) =>
    world.etcd?.commit([
      { put: "place", id: `${other.vni}/10.5.0.${n + 1}`, value: { host, endpoint: idOf(`f${n}`), mac: macOf(n) } },
    ]);
  const elsewhere = (n: number): string => `${macOf(n)} 10.5.0.${n + 1} at ${vxlan} ${other.vtep}`;
  const repairs = (): string[] => driver.log.lines.filter((line) => line.startsWith("warn: repaired"));

  describe("with something that the kernel refuses", () => {
    it("have what other hosts have as soon as it does not refuse it any more", async () => {
      await driver.endpoints.create(request(1));
      await put(5);
      await settled();
      void driver.faults.arm({ kind: "from", at: 1, errno: "ENODEV" });
      await put(6);
      await world.etcd?.commit([{ remove: "place", id: `${other.vni}/10.5.0.6` }]);
      await settled();
      driver.faults.disarm();
      expect(placesIn()).to.include(elsewhere(5)).and.to.not.include(elsewhere(6));
      await put(7);
      await settled();
      expect(placesIn()).to.include(elsewhere(7));
      await driver.reconciler.run();
      expect(placesIn()).to.include(elsewhere(6)).and.to.not.include(elsewhere(5));
      expect(repairs().join()).to.contain("not all that other hosts have was in the kernel");
    });

    it("are made for their first endpoint although it is of another host's, which has it later", async () => {
      const held = driver.faults.hold("ensure-vxlan");
      const created = driver.endpoints.create(request(1));
      await until("begun", 1000, async () => world.namespaces.has(namespace));
      const { vteps } = namespaceOf(world, namespace);
      const add = vteps.set.bind(vteps);
      vteps.set = () => {
        throw kernelError("EAFNOSUPPORT", "set-flood-list");
      };
      held.resolve();
      await created;
      vteps.set = add;
      expect([...vteps.keys()]).to.deep.equal([]);
      expect(placesIn())
        .to.include(remote)
        .and.to.include(`${macOf(1)} 10.5.0.2 at tsv-e1000000000 `);
      await put(6);
      await settled();
      expect(placesIn()).to.include(elsewhere(6));
      await driver.reconciler.run();
      expect([...vteps.keys()]).to.deep.equal([other.vtep]);
    });
  });

  describe("with an endpoint that is refused, as another host has its address", () => {
    it("keep the other's place all the time", async () => {
      await driver.endpoints.create(request(1));
      await put(5);
      await settled();
      const { places } = namespaceOf(world, namespace);
      const removed: string[] = [];
      const remove = places.delete.bind(places);
      places.delete = (mac) => {
        removed.push(mac);
        return remove(mac);
      };
      expect(await driver.endpoints.create(request(5)).catch(explain)).to.contain(other.host);
      expect(removed).to.deep.equal([]);
      expect(placesIn()).to.include(elsewhere(5));
    });
  });

  describe("whose first endpoint waits for its claim", () => {
    it("are not made by a comparison meanwhile, which nothing was wrong for", async () => {
      // also when the endpoint, which is recorded already, is put back into etcd
      const held = driver.faults.holdAll("commit claims in etcd");
      const created = driver.endpoints.create(request(1));
      await until("recorded", 1000, async () => driver.state.endpointsOf(network).length === 1);
      await driver.reconciler.run();
      expect(world.namespaces.size).to.equal(0);
      held.resolve();
      await created;
      expect(driver.reconciler.repairs()).to.deep.equal({});
      expect(placesIn()).to.include(remote);
    });
  });

  describe("that are compared", () => {
    it("are only the one of which the kernel has told", async () => {
      await driver.networks.create(
        overlayRequest({}, { id: idOf("a2"), ipv4: [requestedSubnet("10.6.0.0/24", "10.6.0.1/24")] }),
      );
      await driver.endpoints.create(request(1));
      await driver.endpoints.create({ network: idOf("a2"), id: idOf("e2"), addresses: ["10.6.0.2/24"], mac: null });
      const ends = [
        world.links.find("tsv-e1000000000", namespace),
        world.links.find("tsv-e2000000000", "tsnet-a2000000000"),
      ];
      for (const end of ends) Object.assign(end ?? {}, { up: false });
      world.report({ what: "namespace", name: "tsnet-a2000000000" });
      await until("mended", 1000, async () => ends[1]?.up === true);
      // comparisons are made one after the other: this one finds what the first has left alone
      expect(repairs().join()).to.not.contain("tsv-e1000000000");
      await driver.reconciler.run();
      expect(repairs().filter((line) => line.includes("tsv-e1000000000"))).to.have.length(1);
      expect(ends.map((end) => end?.up)).to.deep.equal([true, true]);
    });

    it("do not come back with a comparison when their last endpoint goes at the same time", async () => {
      await driver.endpoints.create(request(1));
      destroyNamespace(world, namespace);
      const held = driver.faults.hold("observe namespace");
      const compared = driver.reconciler.run();
      await until("compared", 1000, async () => driver.locks.isBusy(`overlay ${network}`));
      const removed = driver.endpoints.delete(network, idOf("e1"));
      await until("removed", 1000, async () => driver.state.removing.has(idOf("e1")));
      held.resolve();
      await Promise.all([compared, removed]);
      expect(world.namespaces.size).to.equal(0);
      await expectAgreement(driver, worldWithEtcd());
    });
  });

  describe("of a host that is told of no others any more", () => {
    for (const [what, docker] of [
      ["is in no swarm", { isIn: false, isAsked: true, address: null }],
      ["does not answer yet", { isIn: false, isAsked: false, address: null }],
      ["is a node of a swarm", { isIn: true, isAsked: true }],
    ] as const)
      it(`stay as they are, which is said, with what to do, where Docker ${what}`, async () => {
        await driver.endpoints.create(request(1));
        await driver.endpoints.join(network, idOf("e1"), "/var/run/docker/netns/e1");
        world.moveIntoSandbox("tsc-e1000000000", "/var/run/docker/netns/e1");
        for (const { name } of world.links.all.filter((link) => link.vxlan))
          Object.assign(world.links.find(name, namespace) ?? {}, {
            flags: { learning: true, suppress: true, flood: true },
          });
        const links = structuredClone(world.links.all);
        const places = placesIn();
        await driver.cluster.overlays.stop();
        await driver.reconciler.stop();
        world.kill();
        world.etcd = null;
        world.swarm = Object.assign(new FakeGossip(), docker);
        driver = openDriver(world, driver.store, driver.clock);
        await driver.reconciler.restore();
        await driver.reconciler.run();
        expect(world.links.all).to.deep.equal(links);
        expect(placesIn()).to.deep.equal(places);
        expect(driver.log.lines.join()).to.match(/error: an overlay network stays as it is .*set TSNET_ETCD_ENDPOINTS/);
        expect(await driver.endpoints.create(request(1)).catch(explain)).to.contain("set TSNET_ETCD_ENDPOINTS");
        expect(world.links.all).to.deep.equal(links);
      });
  });

  describe("that are created while etcd does not answer", () => {
    const second = () => overlayRequest({}, { id: idOf("a2"), ipv4: [requestedSubnet("10.6.0.0/24", "10.6.0.1/24")] });

    it("keep no other network waiting", async () => {
      const held = driver.faults.hold("list overlay in etcd");
      const created = driver.networks.create(second());
      await driver.networks.create(networkRequest({ id: idOf("a3") }));
      expect(world.links.find("tsb-a3000000000")).to.include({ up: true });
      expect(driver.state.network(idOf("a2"))).to.equal(undefined);
      held.resolve();
      await created;
      expect(driver.state.network(idOf("a2"))).to.include({ ready: true });
    });

    it("are refused, and no host hears of them, if another has taken their subnet meanwhile", async () => {
      const held = driver.faults.hold("list overlay in etcd");
      const created = driver.networks.create(second()).catch(explain);
      const ipv4 = [requestedSubnet("10.6.0.0/16", "10.6.0.1/16")];
      await driver.networks.create(networkRequest({ id: idOf("a3"), ipv4 }));
      held.resolve();
      expect(await created).to.contain("10.6.0.0/24");
      expect(driver.state.network(idOf("a2"))).to.equal(undefined);
      const records = [...((await world.etcd?.list("overlay")) ?? [])].map(([, value]) => value as { hosts: object });
      expect(records.map(({ hosts }) => hosts)).to.not.deep.include({ [hostId]: idOf("a2") });
    });
  });

  describe("that are removed", () => {
    it("have nothing left of the short way when Docker is told so", async () => {
      const forgotten = Promise.withResolvers<void>();
      const direct = {
        ...{ schedule: () => {}, renew: () => {}, stop: async () => {}, repair: async () => [] },
        forget: () => forgotten.promise,
      };
      const { state, kernel, locks, log, cluster } = driver;
      const { plane } = cluster;
      const underlay = async () => ({ local: "192.0.2.1", port: 4789, mtuBytes: 1500, knowsPlaces: true });
      const overlays = new Overlays({ state, kernel, locks, log, plane, underlay, direct });
      const known = state.network(network);
      if (known?.mode !== "overlay") throw new Error("no network");
      let isRemoved = false;
      const removed = overlays.removeNetwork(known).then(() => {
        isRemoved = true;
      });
      await until("gone", 1000, async () => !locks.isBusy(`overlay ${network}`));
      await new Promise(setImmediate);
      expect(isRemoved).to.equal(false);
      forgotten.resolve();
      await removed;
    });
  });
});
