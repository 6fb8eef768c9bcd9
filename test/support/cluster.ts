/** What overlay networks of a test's host know of others: nothing, TSNET_PEERS, what its swarm says, or what is in etcd. */
import type { Kernel } from "../../src/driver/kernel.ts";
import type { Locks } from "../../src/driver/locks.ts";
import type { Log } from "../../src/driver/log.ts";
import type { ControlPlane } from "../../src/driver/overlay/control-plane.ts";
import { EtcdPlane } from "../../src/driver/overlay/etcd-plane.ts";
import { Overlays } from "../../src/driver/overlay/overlays.ts";
import { ownOverlays } from "../../src/driver/overlay/own-overlays.ts";
import { StaticPlane } from "../../src/driver/overlay/static-plane.ts";
import type { GossipFeedNeeds } from "../../src/driver/overlay/swarm-needs.ts";
import { SwarmPlane } from "../../src/driver/overlay/swarm-plane.ts";
import { findUnderlay, type Paths } from "../../src/driver/overlay/underlay.ts";
import type { SharedRecords } from "../../src/driver/records.ts";
import type { State } from "../../src/driver/state.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Change, Condition, Kind } from "../../src/store/store.ts";
import { FakeGossip, FakeNodes, gossipOf, swarmIdOf } from "./fake-gossip.ts";
import type { Faults } from "./faults.ts";
import { noPoolHolders } from "./plane-host.ts";
import { idOf } from "./values.ts";
import type { World } from "./world.ts";

export type PlaneKind = "none" | "static" | "etcd" | "swarm";

export const hostId = "host-1";
export const local = "192.0.2.1";
/** The other host, and its endpoint of the network that `overlayRequest` asks for. */
export const other = {
  ...{ host: "host-2", vtep: "192.0.2.2", vni: 8_388_700, endpoint: idOf("f1") },
  ...{ mac: "02:42:0a:05:00:09", ip: "10.5.0.9" },
};

/** An etcd with what the other host has: the networks that `overlayRequest` asks for, with IPv6 and internal. */
export function etcdOf(): MemoryStore {
  const store = new MemoryStore();
  const { host, vtep, vni, endpoint, mac, ip } = other;
  const subnets = ["10.5.0.0/24", "fd00:18::/64"];
  const gateways = ["10.5.0.1", "fd00:18::1"];
  void store.commit([
    { put: "overlay", id: `${vni}`, value: { subnets, gateways, hosts: { [host]: idOf("b1") } } },
    { put: "overlay", id: `${vni + 1}`, value: { subnets: subnets.slice(0, 1), hosts: { [host]: idOf("b2") } } },
    { put: "vtep", id: vtep, value: { host, name: host, seenMs: 0 } },
    { put: "place", id: `${vni}/${ip}`, value: { host, endpoint, mac } },
  ]);
  return store;
}

/** A swarm whose other node has the networks that `overlayRequest` asks for, with a task; Docker gives them these IDs. */
export function swarmOf(): FakeGossip {
  const gossip = new FakeGossip();
  gossip.docker.set(swarmIdOf("a1"), gossipOf([local, other.vtep], { [other.ip]: other.endpoint }));
  return gossip;
}

/** A host that is in no swarm. */
function noSwarm(): FakeGossip {
  return Object.assign(new FakeGossip(), { address: null, isIn: false });
}

export interface ClusterNeeds {
  readonly world: World;
  readonly kernel: Kernel;
  readonly state: State;
  readonly locks: Locks;
  readonly log: Log;
  readonly faults: Faults;
  readonly clock: { readonly now: number };
}

/** As create-cluster.ts does it. */
export function openCluster({ world, kernel, state, locks, log, faults, clock }: ClusterNeeds) {
  const { peers, etcd } = world;
  const gossip = (world.swarm ?? noSwarm()).begin();
  const underlay = (hosts: readonly string[] = [], paths?: Paths) =>
    findUnderlay({ kernel, advertise: null, port: 4789, peers, ...planeFacts() }, hosts, paths);
  const planeFacts = () => ({ somewhere: plane.somewhere, knowsPlaces: plane.knowsPlaces });
  const isFree = (vni: number) => kernel.isVniFree({ vni, port: 4789, local });
  const tasks: GossipFeedNeeds = {
    ...{ gossip, nodes: new FakeNodes(), makesMacs: true, log },
    own: () => ownOverlays(state),
    isOwn: (endpoint) => state.endpoint(endpoint) !== undefined,
  };
  const swarmPlane = () => new SwarmPlane({ ...tasks, isFree, ownAddresses: async () => [local] });
  const createPlane = (): ControlPlane => {
    if (etcd === null) return peers.length === 0 ? swarmPlane() : new StaticPlane({ ...tasks, peers, isFree });
    return new EtcdPlane({
      ...{
        records: failing(etcd, faults),
        disk: new MemoryStore(),
        etcd: ["http://192.0.2.9:2379"],
        hostId,
        hostName: hostId,
        log,
        isFree,
      },
      ...{ hasTwin: () => false, pools: noPoolHolders, hostTtlMs: 3_600_000, now: () => clock.now },
      local: async () => (await underlay()).local,
      own: () => ownOverlays(state),
      timing: { deadlineMs: 400, pauseMs: 1, patienceMs: 50, settleMs: 1, twinMs: 0 },
    });
  };
  const plane = createPlane();
  const onChange = (): void => gossip.follow(overlays.active().map(({ network }) => network.id));
  const overlays: Overlays = new Overlays({ state, kernel, locks, plane, underlay, log, onChange });
  return { plane, overlays };
}

/** Each call is a step that may fail; what is followed is told in any case. */
const failing = (store: MemoryStore, faults: Faults): SharedRecords => ({
  maxChanges: store.maxChanges,
  list: (kind: Kind) => faults.run(`list ${kind} in etcd`, () => store.list(kind)),
  each: (kind, use) => faults.run(`list ${kind} in etcd`, () => store.each(kind, use)),
  get: (kind, id) => faults.run(`get ${kind} in etcd`, () => store.get(kind, id)),
  commit: (changes: readonly Change[]) => faults.run(commitOf(changes), () => store.commit(changes)),
  commitIf: (changes: readonly Change[], conditions: readonly Condition[]) =>
    faults.run(commitOf(changes), () => store.commitIf(changes, conditions)),
  follow: (kind, follower) => store.follow(kind, follower),
});

/** A host's signs of life come when they like: who holds a claim means no other. */
const commitOf = (changes: readonly Change[]): string =>
  changes.some((change) => "put" in change && change.put === "place") ? "commit claims in etcd" : "commit in etcd";

/** What etcd has, by kind; of hosts, who they are. */
export async function etcdContent(store: MemoryStore): Promise<Record<string, Record<string, unknown>>> {
  const [overlay, place, vtep] = await Promise.all(
    (["overlay", "place", "vtep"] as const).map(async (kind) => [...(await store.list(kind))].toSorted()),
  );
  const hosts = vtep?.map(([address, value]) => [address, (value as { host: string }).host] as const);
  return {
    overlay: Object.fromEntries(overlay ?? []),
    place: Object.fromEntries(place ?? []),
    vtep: Object.fromEntries(hosts ?? []),
  };
}
