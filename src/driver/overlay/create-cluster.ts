import { parseHostAddress } from "../../net/cidr.ts";
import { isSwarmNetwork } from "../../plan/gossip.ts";
import type { HostFacts } from "../../plan/host-facts.ts";
import type { Firewall } from "../firewall.ts";
import type { Kernel } from "../kernel.ts";
import type { Locks } from "../locks.ts";
import type { Log } from "../log.ts";
import type { Records, SharedRecords } from "../records.ts";
import type { State } from "../state.ts";
import { Services } from "../swarm/services.ts";
import { besides } from "./beside.ts";
import type { ControlPlane } from "./control-plane.ts";
import { Direct } from "./direct.ts";
import { directOverlays } from "./direct-left.ts";
import { Doctor } from "./doctor.ts";
import { EtcdPlane } from "./etcd-plane.ts";
import { noHostList, type PoolHolders } from "./host-list.ts";
import { findLocal6 } from "./local6.ts";
import { Overlays } from "./overlays.ts";
import { endpointsHere, ownOverlays } from "./own-overlays.ts";
import { StaticPlane } from "./static-plane.ts";
import type { GossipFeedNeeds, SwarmDraining, SwarmGossip, SwarmNodes } from "./swarm-needs.ts";
import { SwarmPlane } from "./swarm-plane.ts";
import { findUnderlay, type Paths } from "./underlay.ts";

/** How overlay networks reach other hosts. */
export interface ClusterSettings {
  /** UDP port of VXLAN, on all hosts the same. */
  readonly port: number;
  /** This host's tunnel address, or the name of the link that has it; null for the one that the routing takes. */
  readonly advertise: string | null;
  /** The other hosts' tunnel addresses, where no etcd knows them. */
  readonly peers: readonly string[];
  /** After how long without a sign of life a host's entries are dropped. */
  readonly hostTtlMs: number;
}

export interface ClusterNeeds {
  readonly kernel: Kernel;
  readonly state: State;
  readonly locks: Locks;
  readonly log: Log;
  readonly firewall: Firewall;
  readonly settings: ClusterSettings;
  /** This host's own. */
  readonly records: Records;
  /** What hosts share, and where that is. */
  readonly etcd: { readonly records: SharedRecords; readonly endpoints: readonly string[] } | undefined;
  readonly hostId: string;
  readonly hostName: string;
  /** What this host tells others of itself. */
  readonly facts: HostFacts;
  /** Whether another host says that it is this one. */
  readonly hasTwin: () => boolean;
  readonly pools: PoolHolders;
  /** What this node of a swarm has heard, whoever else knows of other hosts; undefined where Docker is not to be asked. */
  readonly gossip: SwarmGossip | undefined;
  readonly nodes: SwarmNodes;
  /** Which tasks of services get no new connections; undefined where nobody can say. */
  readonly draining?: SwarmDraining;
  /** Whether tsnet makes endpoints' MAC addresses, and Docker none: TSNET_REQUIRES_MAC_ADDRESS. */
  readonly makesMacs: boolean;
}

/** What overlay networks need, wired to each other. */
export function createCluster(needs: ClusterNeeds) {
  const { kernel, state, locks, firewall, log, etcd, hostId, hostName, gossip, nodes, makesMacs } = needs;
  const { peers, advertise, port, hostTtlMs } = needs.settings;
  const underlay = (hosts: readonly string[] = [], paths?: Paths) => {
    const { somewhere, knowsPlaces } = plane;
    const facts = { kernel, advertise, port, peers, somewhere, knowsPlaces, probed: doctor.probed };
    return findUnderlay(facts, hosts, paths);
  };
  const isFree = async (vni: number): Promise<boolean> => {
    const { local } = await underlay();
    return kernel.isVniFree({ vni, port, local });
  };
  const etcdPlane =
    etcd &&
    new EtcdPlane({
      ...{ records: etcd.records, disk: needs.records, etcd: etcd.endpoints, hostId, hostName, hostTtlMs, log },
      local: async () => (await underlay()).local,
      local6: (local) => findLocal6(kernel, local),
      own: () => ownOverlays(state),
      ...{ isFree, hasTwin: needs.hasTwin, pools: needs.pools, now: () => Date.now() },
    });
  const tasks: GossipFeedNeeds = {
    ...{ gossip, nodes, makesMacs, log },
    own: () => ownOverlays(state),
    isOwn: (endpoint) => state.endpoint(endpoint) !== undefined,
  };
  const swarmPlane = () =>
    new SwarmPlane({
      ...{ ...tasks, isFree },
      ownAddresses: async () =>
        (await kernel.observeAddresses()).map(({ address }) => parseHostAddress(address).ip.text),
    });
  const plane: ControlPlane =
    etcdPlane ?? (peers.length === 0 ? swarmPlane() : new StaticPlane({ ...tasks, peers, isFree }));
  const hosts = etcdPlane?.list ?? noHostList;
  const recorded = () => directOverlays({ state, plane });
  const direct = new Direct({ kernel, plane, firewall, log, recorded }, () =>
    overlays.active().map(({ network, underlay }) => ({
      ...{ network, local: underlay.local, endpoints: endpointsHere(state, network) },
    })),
  );
  const services = gossip && createServices({ ...needs, gossip }, plane, () => overlays);
  const beside = besides(direct, services);
  const onChange = (): void => {
    doctor.lookSoon();
    const active = overlays.active().map(({ network }) => network);
    gossip?.follow(active.filter(isSwarmNetwork).map(({ id }) => id));
  };
  const overlays: Overlays = new Overlays({ state, kernel, locks, plane, underlay, log, direct: beside, onChange });
  const doctor = new Doctor({
    ...{ kernel, plane, peers, facts: needs.facts, log, now: () => Date.now() },
    active: () => overlays.active(),
    vnis: () => [...ownOverlays(state)].map(({ network }) => network.vni),
    find: () => underlay(),
  });
  return { plane, hosts, overlays, doctor, isFree, services };
}

/** Virtual IPs of services, which are those that Docker tells of. */
function createServices(
  { kernel, state, log, gossip, draining }: ClusterNeeds & { readonly gossip: SwarmGossip },
  plane: ControlPlane,
  overlays: () => Overlays,
): Services {
  const services = new Services({
    ...{ kernel, view: gossip, draining: draining ?? { isDraining: () => false }, log },
    now: () => performance.now(),
    networks: () =>
      overlays()
        .active()
        .map(({ network }) => ({ network, endpoints: endpointsHere(state, network) })),
    remotes: (network) => overlays().remotes(network),
    isTold: async ({ vni }) => {
      if (!plane.isTold() && !plane.isComplete(vni)) return false;
      await overlays().idle();
      return true;
    },
  });
  gossip.onChange((id) => services.schedule(id));
  draining?.onChange((id) => services.schedule(id));
  return services;
}
