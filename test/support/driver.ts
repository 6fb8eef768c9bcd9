/** The use cases of one host on a world and a store, wired as src/main.ts does it. */
import { expect } from "chai";
import { Collector } from "../../src/driver/collector.ts";
import { Endpoints } from "../../src/driver/endpoints.ts";
import { Firewall } from "../../src/driver/firewall.ts";
import { Flows } from "../../src/driver/flows.ts";
import { Forwarding } from "../../src/driver/forwarding.ts";
import { defaultPools } from "../../src/driver/ipam/default-pools.ts";
import { Ipam } from "../../src/driver/ipam/ipam.ts";
import type { HostPort } from "../../src/driver/kernel.ts";
import { Locks } from "../../src/driver/locks.ts";
import type { Log } from "../../src/driver/log.ts";
import { Networks } from "../../src/driver/networks.ts";
import { Ports } from "../../src/driver/ports.ts";
import { Reconciler } from "../../src/driver/reconciler.ts";
import { Removals } from "../../src/driver/removals.ts";
import { State } from "../../src/driver/state.ts";
import { containerVethName, hostVethName, linkAlias } from "../../src/net/names.ts";
import { wantedElements } from "../../src/plan/firewall.ts";
import type { Endpoint, Network, PortMapping } from "../../src/plan/network.ts";
import { serving } from "../../src/plan/ports.ts";
import type { Change, Kind, Store } from "../../src/store/store.ts";
import { Faults } from "./faults.ts";
import type { World } from "./world.ts";
import { WorldPorts } from "./world-ports.ts";

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
  const firewall = new Firewall(kernel, state, mark);
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
  const endpoints = new Endpoints({
    ...{ state, kernel, firewall, forwarding, removals, ports, flows, locks, log },
    collect: (endpoint, atLeast) => collector.collect(endpoint, atLeast),
    leasesAt: (network, addresses) => ipam.leasesAt(network, addresses),
  });
  const networks = new Networks({
    ...{ state, kernel, firewall, forwarding, removals, endpoints, locks, log },
    attach: (network, subnets) => ipam.attach(network, subnets),
  });
  const reconciler = new Reconciler({
    ...{ state, kernel, firewall, forwarding, ports, networks, collector, removals, locks, log },
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
    firewall,
    removals,
    ports,
    flows,
    ipam,
    collector,
    endpoints,
    networks,
    reconciler,
  };
}

/** As `openDriver`, restored. */
export async function startDriver(world: World, store: Store, clock?: { now: number }): Promise<Driver> {
  const driver = openDriver(world, store, clock);
  await driver.ipam.restore();
  await driver.reconciler.restore();
  return driver;
}

/** Ends a process without leaving timers behind. */
export async function stopDriver({ reconciler, removals, flows }: Driver): Promise<void> {
  await reconciler.stop();
  await flows.idle();
  await removals.flush();
}

/** What the durable records say that there should be, in the form of `World.dump`; `kept` is what was there before tsnet. */
async function expected({ store }: Driver, kept: World): Promise<object> {
  const networks = [...(await store.list("network")).values()] as Network[];
  const endpoints = [...(await store.list("endpoint")).values()] as Endpoint[];
  const before = kept.dump() as { links: string[]; addresses: string[] };
  const bridges = networks.flatMap(({ id, bridge, adopted }) =>
    adopted ? [] : [`${bridge} ${linkAlias("bridge", id)}`],
  );
  const pairs = endpoints.flatMap(({ id }) => [
    `${hostVethName(id)} ${linkAlias("veth", id)}`,
    `${containerVethName(id)} ${linkAlias("peer", id)}`,
  ]);
  const addresses = networks.flatMap(({ bridge, subnets }) =>
    subnets.flatMap(({ gateway }) => (gateway === null ? [] : [`${bridge} ${gateway}`])),
  );
  const ports = new WorldPorts(new Set());
  for (const endpoint of endpoints) {
    const network = networks.find(({ id }) => id === endpoint.network);
    if (network !== undefined) ports.reserve(endpoint.ports.map((mapping) => blockOf(mapping, endpoint, network)));
  }
  return {
    links: [...before.links, ...bridges, ...pairs].toSorted(),
    doomed: 0,
    addresses: [...before.addresses, ...addresses].toSorted(),
    elements: wantedElements({ networks, endpoints, dockerLinks: [] }),
    ports: ports.list(),
  };
}

/** What holds a mapping. */
function blockOf(mapping: PortMapping, endpoint: Endpoint, network: Network): HostPort {
  const { protocol, hostAddress: address, hostPort: port, count } = mapping;
  const { target } = serving(mapping, endpoint, network);
  return { protocol, address, port, count, target, sources: target === null ? [] : network.publishFrom };
}

/** The durable records, the memory and the world say the same, and nobody holds a lock. */
export async function expectAgreement(driver: Driver, kept: World): Promise<void> {
  const { world, store, state, locks, removals, flows } = driver;
  await removals.flush();
  await flows.idle();
  const dump = world.dump() as { links: string[]; moved: string[] };
  const moved = dump.moved.map((text) => text.split(" ")[0] ?? "");
  const all = [
    ...dump.links,
    ...moved.map((name) => `${name} ${world.links.all.find((link) => link.name === name)?.alias}`),
  ];
  expect({ ...dump, links: all.toSorted(), moved: undefined }).to.deep.equal({
    ...(await expected(driver, kept)),
    moved: undefined,
  });
  expect(Object.fromEntries(await store.list("network"))).to.deep.equal(
    Object.fromEntries([...state.networks()].map((n) => [n.id, n])),
  );
  expect(Object.fromEntries(await store.list("endpoint"))).to.deep.equal(
    Object.fromEntries([...state.endpoints()].map((e) => [e.id, e])),
  );
  expect([...state.removing]).to.deep.equal([]);
  const ids = [...state.networks(), ...state.endpoints()].map(({ id }) => id);
  expect([...ids, "networks"].filter((id) => locks.isBusy(id))).to.deep.equal([]);
}
