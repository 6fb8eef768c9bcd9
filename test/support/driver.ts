/** The use cases of one host on a world and a store, wired as src/main.ts does it. */
import { isDeepStrictEqual } from "node:util";
import { expect } from "chai";
import { Allocations } from "../../src/driver/allocations.ts";
import { Announcements } from "../../src/driver/announcements.ts";
import { BridgeMode } from "../../src/driver/bridge-mode.ts";
import { Collector } from "../../src/driver/collector.ts";
import { Endpoints } from "../../src/driver/endpoints.ts";
import { Firewall } from "../../src/driver/firewall.ts";
import { Flows } from "../../src/driver/flows.ts";
import { Forwarding } from "../../src/driver/forwarding.ts";
import { HostAccess } from "../../src/driver/host-access.ts";
import { defaultPools } from "../../src/driver/ipam/default-pools.ts";
import { holdForHost } from "../../src/driver/ipam/hold.ts";
import { Ipam } from "../../src/driver/ipam/ipam.ts";
import { LanMode } from "../../src/driver/lan-mode.ts";
import { Locks } from "../../src/driver/locks.ts";
import type { Log } from "../../src/driver/log.ts";
import { Modes } from "../../src/driver/mode.ts";
import { Networks } from "../../src/driver/networks.ts";
import { DiscoveredNodes } from "../../src/driver/overlay/discovered-nodes.ts";
import { OverlayMode } from "../../src/driver/overlay/overlay-mode.ts";
import { ParentWatch } from "../../src/driver/parent-watch.ts";
import { Ports } from "../../src/driver/ports.ts";
import { Reconciler } from "../../src/driver/reconciler.ts";
import { Removals } from "../../src/driver/removals.ts";
import { State } from "../../src/driver/state.ts";
import type { Change, Kind, Store } from "../../src/store/store.ts";
import { etcdContent, local, openCluster } from "./cluster.ts";
import { expectedEtcd, expectedWorld } from "./expected-world.ts";
import { Faults } from "./faults.ts";
import { until } from "./poll.ts";
import type { World } from "./world.ts";

export const mark = 0x0100_0000;

/** A log to look into. */
export class TestLog implements Log {
  readonly lines: string[] = [];
  readonly debug = (): void => {};
  readonly info = (fields: object, message: string): void => this.#add("info", fields, message);
  readonly warn = (fields: object, message: string): void => this.#add("warn", fields, message);
  readonly error = (fields: object, message: string): void => this.#add("error", fields, message);

  #add(level: string, fields: object, message: string): void {
    this.lines.push(`${level}: ${message} ${JSON.stringify(fields)}`);
  }
}

export type Driver = ReturnType<typeof openDriver>;

/** A process of tsnet on this world and store, not yet restored. */
export function openDriver(world: World, store: Store, clock: { now: number } = { now: 0 }) {
  const faults = new Faults();
  const kernel = world.open(faults);
  const commit = (changes: readonly Change[]): Promise<void> =>
    faults.run(`commit ${changes.map((change) => ("put" in change ? change.put : change.remove)).join()}`, () =>
      store.commit(changes),
    );
  const records = {
    list: (kind: Kind) => faults.run(`list ${kind}`, () => store.list(kind)),
    each: (kind: Kind, use: (id: string, value: unknown) => void) =>
      faults.run(`list ${kind}`, () => store.each(kind, use)),
    commit,
  };
  const log = new TestLog();
  const state = new State(records);
  const locks = new Locks();
  const firewall = new Firewall(kernel, state, records, mark);
  const forwarding = new Forwarding(kernel);
  const removals = new Removals(kernel, log);
  const ports = new Ports(kernel);
  const flows = new Flows(kernel, log);
  const ipam = new Ipam({
    ...{ records, log, hostId: "host-1", hostName: "host-1", defaultPools: defaultPools("host-1") },
    excluded: async () => [],
    now: () => clock.now,
  });
  const collector: Collector = new Collector({
    ...{ state, kernel, locks, log },
    releaseLeases: ({ network, addresses, leases }) => ipam.releaseLeases(network, addresses, leases),
    remove: (id) => endpoints.remove(id),
    now: () => clock.now,
  });
  const hostAccess = new HostAccess({ state, kernel, log });
  const parents = new ParentWatch({ state, kernel, log });
  const cluster = openCluster({ world, kernel, state, locks, log, faults, clock });
  const announcements = new Announcements({ state, kernel, log, plane: cluster.plane, namespacePath: (name) => name });
  const modes = new Modes({
    bridge: new BridgeMode({ kernel, firewall, forwarding, removals }),
    overlay: new OverlayMode({ firewall, forwarding, removals, ...cluster }),
    lan: new LanMode({ state, kernel, hostAccess, parents, removals, log, dockerNetworks: () => world.dockerNetworks }),
  });
  const endpoints = new Endpoints({
    ...{ state, modes, firewall, ports, flows, locks, log },
    collect: (endpoint, atLeast) => collector.collect(endpoint, atLeast),
    leasesAt: (network, addresses) => ipam.leasesAt(network, addresses),
  });
  const networks = new Networks({
    ...{ state, modes, endpoints, locks, log },
    defaultMode: world.scope === "global" ? "overlay" : "bridge",
    vxlanPort: 4789,
    attach: (network, subnets) => ipam.attach(network, subnets),
    hold: (network, addresses) => holdForHost(ipam, network, addresses),
  });
  const allocations = new Allocations({
    ...{ records, state, locks, log, shared: () => cluster.plane.networks?.() ?? new Map() },
    networks: () => world.dockerNetworks,
    refresh: async () => world.dockerNetworks,
    role: async () => "manager",
    isFree: (vni) => kernel.isVniFree({ vni, port: 4789, local }),
    now: () => clock.now,
  });
  const nodes = new DiscoveredNodes({ records, locks, log, ttlMs: 3_600_000, now: () => clock.now });
  const reconciler = new Reconciler({
    ...{ state, kernel, firewall, forwarding, ports, networks, collector, removals, locks, log },
    ...{ hostAccess, parents, announcements, overlays: cluster.overlays },
  });
  return {
    world,
    store,
    clock,
    faults,
    kernel,
    log,
    state,
    locks,
    modes,
    hostAccess,
    parents,
    announcements,
    cluster,
    firewall,
    removals,
    ports,
    flows,
    ipam,
    collector,
    endpoints,
    networks,
    allocations,
    nodes,
    reconciler,
  };
}

/** As `openDriver`, restored. */
export async function startDriver(world: World, store: Store, clock?: { now: number }): Promise<Driver> {
  const driver = openDriver(world, store, clock);
  await driver.ipam.restore();
  await driver.allocations.restore();
  await driver.nodes.restore();
  await driver.reconciler.restore();
  driver.cluster.overlays.start();
  await untilComplete(driver);
  return driver;
}

/** What other hosts have is told by etcd, or the swarm, at once, where there is one. */
export async function untilComplete({ cluster, world }: Driver): Promise<void> {
  if (world.etcd !== null || world.swarm !== null) await until("told", 2000, async () => cluster.plane.isComplete());
  await cluster.overlays.idle();
}

/** Ends a process without leaving timers behind. */
export async function stopDriver({
  reconciler,
  removals,
  flows,
  announcements,
  cluster,
  nodes,
}: Driver): Promise<void> {
  await nodes.stop();
  await reconciler.stop();
  await cluster.overlays.stop();
  await flows.idle();
  await announcements.idle();
  await removals.flush();
}

/** The durable records, the memory and the world say the same, and nobody holds a lock. */
export async function expectAgreement(driver: Driver, kept: World): Promise<void> {
  const { world, store, state, locks, removals, flows, announcements } = driver;
  await removals.flush();
  await flows.idle();
  await announcements.idle();
  await untilComplete(driver);
  const dump = world.dump() as { links: string[]; moved: string[] };
  const moved = dump.moved.map((text) => text.split(" ")[0] ?? "");
  const all = [
    ...dump.links,
    ...moved.map((name) => `${name} ${world.links.all.find((link) => link.name === name)?.alias}`),
  ];
  expect({ ...dump, links: all.toSorted(), moved: undefined }).to.deep.equal({
    ...(await expectedWorld(driver, kept)),
    moved: undefined,
  });
  expect(Object.fromEntries(await store.list("network"))).to.deep.equal(
    Object.fromEntries([...state.networks()].map((n) => [n.id, n])),
  );
  expect(Object.fromEntries(await store.list("endpoint"))).to.deep.equal(
    Object.fromEntries([...state.endpoints()].map((e) => [e.id, e])),
  );
  await expectEtcd(driver);
  expect([...state.removing]).to.deep.equal([]);
  const ids = [...state.networks(), ...state.endpoints()].map(({ id }) => id);
  expect([...ids, "networks"].filter((id) => locks.isBusy(id))).to.deep.equal([]);
}

/** What is told later is told soon. */
async function expectEtcd(driver: Driver): Promise<void> {
  const { etcd } = driver.world;
  if (etcd === null) return;
  const wanted = await expectedEtcd(driver);
  const isRight = async (): Promise<boolean> => isDeepStrictEqual(await etcdContent(etcd), wanted);
  await until("told", 2000, isRight).catch(() => {});
  const content = await etcdContent(etcd);
  expect(content, JSON.stringify({ content, wanted }, null, 1)).to.deep.equal(wanted);
}
