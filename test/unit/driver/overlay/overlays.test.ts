/** Overlay networks of one host in a world: made with the first endpoint, gone with the last, mended in between. */
import { expect } from "chai";
import fc from "fast-check";
import { explain } from "../../../../src/errors.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { etcdOf, other } from "../../../support/cluster.ts";
import {
  type Driver,
  expectAgreement,
  openDriver,
  startDriver,
  stopDriver,
  untilComplete,
} from "../../../support/driver.ts";
import { until } from "../../../support/poll.ts";
import { idOf, ipv6, overlayRequest, requestedSubnet } from "../../../support/values.ts";
import { World } from "../../../support/world.ts";
import { destroyNamespace, namespaceOf, textOf } from "../../../support/world-overlay.ts";

const network = idOf("a1");
const namespace = "tsnet-a1000000000";
const [bridge, vxlan, gateway] = ["tsb-a1000000000", "tsx-a1000000000", "tsg-a1000000000"];
const repairedMs = 1_000;

const request = (n: number) => ({ network, id: idOf(`e${n}`), addresses: [`10.5.0.${n + 1}/24`], mac: null });
const macOf = (n: number): string => `02:42:0a:05:00:0${n + 1}`;
const sandboxOf = (n: number): string => `/var/run/docker/netns/e${n}`;

/** A host with peers, or with what another host has written into etcd. */
function hostWith(plane: "static" | "etcd"): World {
  const world = new World();
  if (plane === "static") world.peers = [other.vtep];
  else world.etcd = etcdOf();
  return world;
}

async function runContainer({ endpoints, world }: Driver, n: number): Promise<void> {
  await endpoints.create(request(n));
  await endpoints.join(network, idOf(`e${n}`), sandboxOf(n));
  world.moveIntoSandbox(`tsc-e${n}000000000`, sandboxOf(n));
}

async function removeContainer({ endpoints, world }: Driver, n: number): Promise<void> {
  await endpoints.leave(network, idOf(`e${n}`));
  world.moveOutOfSandbox(`tsc-e${n}000000000`);
  await endpoints.delete(network, idOf(`e${n}`));
}

/** What the kernel has of who is where. */
const placesIn = (world: World): string[] =>
  [...namespaceOf(world, namespace).places.values()].map(({ place }) => textOf(place)).toSorted();
const remote = `${other.mac} ${other.ip} at ${vxlan} ${other.vtep}`;

describe("overlay networks", () => {
  let world: World;
  let driver: Driver;
  const open = async (plane: "static" | "etcd"): Promise<void> => {
    world = hostWith(plane);
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(overlayRequest({}, { ipv6 }));
  };
  afterEach(() => stopDriver(driver));

  describe("with endpoints that come and go at once", () => {
    for (const plane of ["static", "etcd"] as const) {
      it(`are whole or gone (${plane})`, async () => {
        const steps = fc.array(fc.record({ n: fc.integer({ min: 1, max: 3 }), creates: fc.boolean() }), {
          ...{ minLength: 2, maxLength: 8 },
        });
        const fault = fc.option(
          fc.record({ at: fc.integer({ min: 1, max: 40 }), kind: fc.constantFrom("before", "after") }),
        );
        const made = { whole: 0, gone: 0 };
        const property = fc.asyncProperty(steps, fault, async (asked, found) => {
          await open(plane);
          if (found !== null)
            void driver.faults.arm({ kind: found.kind as "before" | "after", at: found.at, errno: "EIO" });
          const work = asked.map(({ n, creates }) =>
            creates ? driver.endpoints.create(request(n)) : driver.endpoints.delete(network, idOf(`e${n}`)),
          );
          await Promise.allSettled(work);
          driver.faults.disarm();
          await driver.reconciler.run();
          await expectAgreement(driver, hostWith(plane));
          const isGone = driver.state.endpointsOf(network).length === 0;
          expect(world.namespaces.size).to.equal(isGone ? 0 : 1);
          made[isGone ? "gone" : "whole"]++;
          await stopDriver(driver);
        });
        await fc.assert(property, { numRuns: 60 });
        expect(Math.min(made.whole, made.gone)).to.be.greaterThan(0);
      }).timeout(60_000);
    }

    it("leave nothing where there is no way to other hosts, and all of them fail", async () => {
      await open("static");
      world.path = undefined;
      const outcomes = await Promise.all([1, 2, 3].map((n) => driver.endpoints.create(request(n)).catch(explain)));
      for (const text of outcomes) expect(text).to.contain("there is no route to 192.0.2.2");
      await expectAgreement(driver, hostWith("static"));
      expect(world.namespaces.size).to.equal(0);
    });
  });

  describe("that another process has left", () => {
    const restart = async (): Promise<Driver> => {
      await driver.reconciler.stop();
      world.kill();
      driver = openDriver(world, driver.store, driver.clock);
      await driver.reconciler.restore();
      return driver;
    };

    it("keep their links, and what they know of others, before the others have told it again", async () => {
      await open("etcd");
      await runContainer(driver, 1);
      await runContainer(driver, 2);
      const links = structuredClone(world.links.all);
      const places = placesIn(world);
      expect(places).to.include(remote);
      await restart();
      await driver.reconciler.run();
      expect(world.links.all).to.deep.equal(links);
      expect(placesIn(world)).to.deep.equal(places);
      expect(driver.reconciler.repairs()).to.deep.equal({});
    });

    it("keep the MTU of their links until it is known again who else has them", async () => {
      await open("etcd");
      await runContainer(driver, 1);
      const mtuOf = (name: string) => world.links.find(name, namespace)?.mtuBytes;
      expect(mtuOf(vxlan ?? "")).to.equal(1450);
      Object.assign(world, { path: { ...world.path, mtuBytes: 9000 } });
      await restart();
      await driver.endpoints.create(request(2));
      expect([vxlan, "tsv-e2000000000"].map((name) => mtuOf(name ?? ""))).to.deep.equal([1450, 1450]);
    });

    it("forget who has gone meanwhile, when the others have told it", async () => {
      await open("etcd");
      await runContainer(driver, 1);
      world.kill();
      await world.etcd?.commit([{ remove: "place", id: `${other.vni}/${other.ip}` }]);
      await restart();
      expect(placesIn(world)).to.include(remote);
      driver.cluster.overlays.start();
      await untilComplete(driver);
      expect(placesIn(world)).to.not.include(remote);
      expect(placesIn(world)).to.include(`${macOf(1)} 10.5.0.2 at tsv-e1000000000 `);
      expect([...namespaceOf(world, namespace).vteps.keys()]).to.deep.equal([]);
    });

    it("are removed if nobody has an endpoint in them, and so are those of nobody", async () => {
      await open("static");
      await runContainer(driver, 1);
      driver.kernel.apply([{ op: "ensure-namespace", name: "tsnet-ffffffffff" }]);
      world.destroySandbox(sandboxOf(1));
      await restart();
      expect([...world.namespaces.keys()]).to.deep.equal([]);
      await expectAgreement(driver, hostWith("static"));
    });

    it("are not made for containers that are gone after a reboot", async () => {
      await open("static");
      await runContainer(driver, 1);
      const { store } = driver;
      await stopDriver(driver);
      world = hostWith("static");
      driver = await startDriver(world, store);
      expect([...driver.state.endpoints()]).to.deep.equal([]);
      expect(driver.faults.steps).to.not.include("ensure-vxlan");
      await expectAgreement(driver, hostWith("static"));
    });

    it("are made for a container that lives on without its namespace, but no pair of links, of which it would know nothing", async () => {
      await open("static");
      await runContainer(driver, 1);
      destroyNamespace(world, namespace);
      await restart();
      expect(world.links.find(vxlan ?? "", namespace)).to.include({ up: true });
      expect(world.links.all.filter(({ name }) => /^ts[vc]-/.test(name))).to.deep.equal([]);
    });

    it("can be removed where nothing says any more which other hosts there are, and new ones are refused", async () => {
      await open("static");
      await runContainer(driver, 1);
      world.peers = [];
      await restart();
      expect(world.namespaces.size).to.equal(1);
      expect(await driver.endpoints.create(request(2)).catch(explain)).to.contain(
        "set TSNET_ETCD_ENDPOINTS, or TSNET_PEERS",
      );
      await removeContainer(driver, 1);
      await driver.networks.delete(network);
      await expectAgreement(driver, new World());
    });
  });

  describe("and other hosts", () => {
    beforeEach(async () => {
      await open("etcd");
      await runContainer(driver, 1);
    });
    const id = `${other.vni}/10.5.0.7`;
    const place = (endpoint: string, mac: string) => ({ host: other.host, endpoint: idOf(endpoint), mac });
    const settled = () => driver.cluster.overlays.idle();

    it("have what comes, moves and goes there, in the kernel", async () => {
      expect(placesIn(world)).to.include(remote);
      await world.etcd?.commit([{ put: "place", id, value: place("f2", macOf(6)) }]);
      await settled();
      expect(placesIn(world)).to.include(`${macOf(6)} 10.5.0.7 at ${vxlan} ${other.vtep}`);
      await world.etcd?.commit([{ remove: "place", id }]);
      await settled();
      expect(placesIn(world).filter((text) => text.startsWith(macOf(6)))).to.deep.equal([]);
    });

    it("do not take an endpoint's place that this host has, and have it when it is gone here", async () => {
      const here = `${macOf(1)} 10.5.0.2 at tsv-e1000000000 `;
      await world.etcd?.commit([{ put: "place", id, value: place("f2", macOf(1)) }]);
      await settled();
      expect(placesIn(world)).to.include(here);
      await world.etcd?.commit([{ remove: "place", id }]);
      await settled();
      expect(placesIn(world)).to.include(here);
      await world.etcd?.commit([{ put: "place", id, value: place("f2", macOf(1)) }]);
      await runContainer(driver, 2);
      await removeContainer(driver, 1);
      await settled();
      expect(placesIn(world)).to.include(`${macOf(1)} 10.5.0.7 at ${vxlan} ${other.vtep}`);
    });

    it("ask for the way to another host once, however many of them it has", async () => {
      let asked = 0;
      const { kernel } = driver;
      const observePath = kernel.observePath;
      kernel.observePath = (host) => {
        if (host === other.vtep) asked += 1;
        return observePath(host);
      };
      const repair = async (): Promise<number> => {
        asked = 0;
        await driver.cluster.overlays.repair();
        return asked;
      };
      expect(await repair()).to.equal(1);
      const second = { id: idOf("a2"), ipv4: [requestedSubnet("10.6.0.0/24", "10.6.0.1/24")] };
      await driver.networks.create(overlayRequest({ "tsnet.vni": "77" }, second));
      await world.etcd?.commit([{ put: "place", id: "77/10.6.0.7", value: place("f6", macOf(6)) }]);
      await driver.endpoints.create({ ...request(6), network: idOf("a2"), addresses: ["10.6.0.2/24"] });
      expect(driver.cluster.plane.hostsOf(77)).to.deep.equal([other.vtep]);
      expect(await repair()).to.equal(1);
    });

    it("are told nothing more when the plugin ends, after what it is at", async () => {
      const held = driver.faults.hold("in-namespace");
      await world.etcd?.commit([{ put: "place", id, value: place("f2", macOf(6)) }]);
      await new Promise(setImmediate);
      let isStopped = false;
      const stopped = driver.cluster.overlays.stop().then(() => {
        isStopped = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(isStopped).to.equal(false);
      held.resolve();
      await stopped;
      expect(placesIn(world)).to.include(`${macOf(6)} 10.5.0.7 at ${vxlan} ${other.vtep}`);
      expect(driver.log.lines.filter((line) => line.startsWith("error"))).to.deep.equal([]);
    });
  });

  describe("that somebody damages", () => {
    beforeEach(async () => {
      await open("etcd");
      await runContainer(driver, 1);
      await runContainer(driver, 2);
    });
    const inside = (name: string) => {
      const link = world.links.find(name, namespace);
      if (link === undefined) throw new Error(`no ${name}`);
      return link;
    };
    const told = (): void => world.report({ what: "namespace", name: namespace });
    /** What is said of it, without the forwarding entries that go with a link. */
    const said = (): string[] =>
      driver.log.lines
        .flatMap((line) => /^warn: repaired: overlay network a1\d+: (.*) \{/.exec(line)?.[1] ?? [])
        .toSorted();

    const damages: [what: string, damage: () => void, reasons: string[]][] = [
      ["the way to other hosts", () => world.links.remove(inside(vxlan ?? "")), [`link ${vxlan} is gone`]],
      [
        "a link that is down",
        () => Object.assign(inside("tsv-e1000000000"), { up: false }),
        ["link tsv-e1000000000 is down"],
      ],
      [
        "a link without the bridge",
        () => Object.assign(inside("tsv-e2000000000"), { master: 0 }),
        ["link tsv-e2000000000 is no port of the bridge"],
      ],
      [
        "a port that learns",
        () => Object.assign(inside("tsv-e2000000000"), { flags: { learning: true, suppress: true, flood: true } }),
        ["link tsv-e2000000000 has learning on"],
      ],
      [
        "the bridge",
        () => world.links.remove(inside(bridge ?? "")),
        [
          `link ${bridge} is gone`,
          ...["tsu-a1000000000", "tsv-e1000000000", "tsv-e2000000000", vxlan].map(
            (name) => `link ${name} is no port of the bridge`,
          ),
        ],
      ],
      [
        "the pin",
        () => Object.assign(namespaceOf(world, namespace), { isPinned: false }),
        [`namespace ${namespace} is not pinned`],
      ],
      [
        "a tunnel address",
        () => Object.assign(world, { path: { ...world.path, source: "192.0.2.7" } }),
        [`link ${vxlan} has the tunnel address 192.0.2.1, not 192.0.2.7`],
      ],
    ];
    for (const [what, damage, reasons] of damages) {
      it(`have ${what} again, and no more is touched and told`, async () => {
        const before = world.links.all.map(({ index }) => index);
        damage();
        told();
        await until("mended", repairedMs, async () => said().length > 0);
        await driver.reconciler.run();
        expect(said()).to.deep.equal(reasons);
        expect(world.links.all.filter(({ index }) => !before.includes(index)).length).to.be.at.most(1);
        if (what !== "a tunnel address") await expectAgreement(driver, hostWith("etcd"));
        expect(driver.reconciler.repairs()["overlays"]?.count).to.be.at.least(reasons.length);
      });
    }

    const gateways: [what: string, damage: () => void, reason: string][] = [
      ["their gateway", () => world.removeLink(gateway ?? ""), `gateway ${gateway} is gone`],
      [
        "a gateway with a smaller MTU",
        () => {
          world.changeLink(gateway ?? "", { mtuBytes: 1300 });
          world.report({ what: "addresses" });
        },
        `gateway ${gateway} has the MTU 1300, not 1450`,
      ],
      ["a gateway that is down", () => world.changeLink(gateway ?? "", { up: false }), `gateway ${gateway} is down`],
      [
        "a gateway with another MAC address",
        () => world.changeLink(gateway ?? "", { mac: "02:00:00:00:00:99" }),
        `gateway ${gateway} has the MAC address 02:00:00:00:00:99`,
      ],
      [
        "an address of the gateway's",
        () => {
          world.links.removeAddress(world.links.require(gateway ?? ""), "10.5.0.1/24");
          world.report({ what: "addresses" });
        },
        `gateway ${gateway} lacks its address 10.5.0.1/24`,
      ],
      [
        "the gateway's route",
        () => {
          world.links.dropRoutes(world.links.require(gateway ?? ""));
          world.report({ what: "addresses" });
        },
        `gateway ${gateway} lacks its route to 10.5.0.0/24`,
      ],
    ];
    for (const [what, damage, reason] of gateways) {
      it(`have ${what} again`, async () => {
        damage();
        await until("mended", repairedMs, async () => said().length > 0);
        await driver.reconciler.run();
        // both ends of a pair go at once
        expect(said().filter((text) => !text.includes("tsu-") || what !== "their gateway")).to.deep.equal(
          said().includes(reason) ? [reason] : [],
        );
        await expectAgreement(driver, hostWith("etcd"));
        const link = world.links.require(gateway ?? "");
        expect(link).to.include({ up: true });
        expect(world.links.routes.filter(({ link: index }) => index === link.index)).to.have.length.greaterThan(0);
      });
    }

    it("lose an entry to nobody", async () => {
      namespaceOf(world, namespace).places.delete(other.mac);
      told();
      await until("mended", repairedMs, async () => placesIn(world).includes(remote));
    });

    it("have a link taken away of which no record knows", async () => {
      world.links.add("tsv-cc000000000", "veth", { namespace, alias: `tsnet:veth:${idOf("cc")}` });
      told();
      await until("gone", repairedMs, async () => world.links.find("tsv-cc000000000", namespace) === undefined);
      await driver.removals.flush();
      await expectAgreement(driver, hostWith("etcd"));
    });

    it("are mended for the next container that comes, whoever notices it first", async () => {
      destroyNamespace(world, namespace);
      await driver.endpoints.create(request(3));
      expect(world.links.find("tsv-e3000000000", namespace)).to.include({ up: true });
      expect(placesIn(world)).to.include(remote);
    });

    it("are left alone where everything is as it should be", async () => {
      driver.faults.steps.length = 0;
      await driver.reconciler.run();
      const changes = driver.faults.steps.filter((step) => !step.startsWith("observe") && step !== "set-sysctl");
      expect(changes).to.deep.equal([]);
      expect(driver.reconciler.repairs()).to.deep.equal({});
    });
  });
});
