/** What does not agree between leases, endpoints, networks and what Docker tells. */
import type { DockerNetwork } from "../../plan/docker-network.ts";
import type { SwarmRole } from "../../plan/docker-swarm.ts";
import type { Endpoint, Network } from "../../plan/network.ts";
import type { State } from "../state.ts";
import { Turn } from "../turn.ts";
import { addressSpaces } from "./default-pools.ts";
import { canonical, isLeftPool, isOfThisHost, isOrphanPool, isOthers, networkOf } from "./unused-pools.ts";
import type { IpamView, LeaseView, PoolView } from "./views.ts";

export type FindingKind =
  /** An address that was given out, and that no endpoint has. */
  | "orphan-lease"
  /** A pool that no network has, neither one of tsnet nor one that Docker knows. */
  | "orphan-pool"
  /** A pool that no network of tsnet has, while Docker cannot be asked. */
  | "unattached-pool"
  /** An address that an endpoint or a gateway has, and that is not held for it: somebody else may get it. */
  | "missing-lease"
  /** A network of tsnet that Docker does not know, with its subnets. */
  | "unknown-network"
  /** A pool that is used up by more than 80 %. */
  | "nearly-full"
  /** An address that a swarm's leader did not ask for again when it replayed the rest. */
  | "stale-lease"
  /** A pool of which the same is true. */
  | "stale-pool"
  /** A pool that this host has given addresses from as a swarm's leader, and that is no network's any more. */
  | "left-pool";

/** Whether it is given back when it stays so: by itself, or only when an administrator says so. */
export type Remedy = "none" | "release" | "by hand";

/** Something that does not agree at this moment: it may be on its way to being so. */
export interface Suspicion {
  readonly kind: FindingKind;
  /** The pool's ID. */
  readonly pool: string;
  /** "172.18.0.2"; null where it is about the whole pool. */
  readonly address: string | null;
  /** By what the address is held. */
  readonly grant: string | null;
  /** ID of the network that the address is held for; null where it is not about a network's address. */
  readonly network: string | null;
  readonly text: string;
  readonly remedy: Remedy;
  /** Of a pool that can be given back: what has been asked for since is another finding. @see PoolView */
  readonly lastRequest: number | null;
}

/** What is compared. */
export interface CheckedIpam extends IpamView {
  /** false until etcd has told of its pools, where it is used: one that is not here may be there. */
  readonly isComplete: boolean;
  /** The grants by which addresses ("172.18.0.2/16") are held in this network's pools. */
  leasesAt(network: string, addresses: readonly string[]): string[];
  /** Whether a lease is of a pool in the global address space, and was not asked for again when the rest was. */
  isUnclaimed(lease: Pick<LeaseView, "pool" | "address" | "grant">): boolean;
  /** Whether a pool is in the global address space, and was not asked for again when others were. */
  isUnclaimedPool(poolId: string): boolean;
  /**
   * Lets go of a pool if nobody has asked for it or its addresses since it was looked at; says whether it did.
   * @throws TsnetError "store"
   */
  releaseUnused(pool: Pick<PoolView, "id" | "lastRequest">): Promise<boolean>;
}

export interface Compared {
  readonly ipam: CheckedIpam;
  readonly state: Pick<
    State,
    "network" | "networks" | "endpoint" | "endpoints" | "endpointsOf" | "endpointAt" | "removing"
  >;
  /** This host, as leases of pools name it that hosts share. */
  readonly hostId: string;
  /** null while Docker cannot be asked. */
  readonly docker: readonly DockerNetwork[] | null;
  /** What this host was in a swarm before and after Docker was asked for its networks; null if it is not known. */
  readonly role: SwarmRole | null;
}

/** A pool is nearly full from here on, in percent of what containers can get. */
const nearlyFullPercent = 80n;

/**
 * Everything that does not agree, in turns. Each single comparison is made in one turn, on what there is at that moment; what is
 * given out or taken back between two turns is in it or not.
 */
export async function* suspicions(compared: Compared): AsyncGenerator<Suspicion> {
  const turn = new Turn();
  for (const found of all(compared)) {
    if (found !== undefined) yield found;
    if (turn.isOver) await turn.next();
  }
}

/** With undefined for each thing that agrees, so that a turn can end there too. */
function* all(compared: Compared): Generator<Suspicion | undefined> {
  const pools = [...compared.ipam.pools()];
  for (const pool of pools) {
    yield nearlyFull(pool);
    const network = networkOf(pool, compared.state);
    if (pool.addressSpace === addressSpaces.global) yield* stale(pool, compared);
    else if (network === undefined) yield unattached(pool, compared);
    else yield* orphanLeases(pool, network, compared);
  }
  const attached: Attached = new Map(pools.map(({ network, subnet, id }) => [`${network} ${subnet}`, id]));
  for (const endpoint of compared.state.endpoints()) yield missingLease(endpoint, attached, compared);
  for (const network of compared.state.networks()) {
    yield unknownNetwork(network, attached, compared);
    yield* missingGateways(network, attached, compared);
  }
}

function nearlyFull(pool: PoolView): Suspicion | undefined {
  const usable = pool.size - pool.reserved;
  const held = usable - pool.resting - pool.free;
  if (usable === 0n || held * 100n < usable * nearlyFullPercent) return undefined;
  const text =
    held === usable
      ? `all of its ${usable} addresses are held: ${fullFor(pool)}, or make the network with a larger subnet`
      : `${held} of its ${usable} addresses are held: the subnet is too small for much more`;
  return ofPool("nearly-full", pool, text, "none");
}

/** Docker says it of a container, and of a task only in the log of the swarm's leader. */
const fullFor = ({ addressSpace }: PoolView): string =>
  addressSpace === addressSpaces.global
    ? 'further tasks and services wait, which docker service ps shows as "New" without a reason; remove some'
    : "there is none for another container; remove some";

/** The pools of the global address space are a swarm's: what is known of them here is the leader's, and not this host's. */
function* stale(pool: PoolView, compared: Compared): Generator<Suspicion | undefined> {
  const { ipam } = compared;
  if (isLeftPool(pool, compared)) {
    yield ofPool(
      "left-pool",
      pool,
      "it was given out for a swarm, and no network of the swarm has it here any more",
      "release",
    );
    return;
  }
  const text = "the swarm's leader did not ask for it again with the rest";
  if (ipam.isUnclaimedPool(pool.id)) yield ofPool("stale-pool", pool, `${text}: its network is gone`, "by hand");
  for (const lease of ipam.leasesOf(pool.id))
    yield ipam.isUnclaimed(lease) ? ofLease("stale-lease", lease, text, "release") : undefined;
}

function unattached(pool: PoolView, compared: Compared): Suspicion | undefined {
  if (isOrphanPool(pool, compared))
    return ofPool("orphan-pool", pool, "neither tsnet nor Docker has a network with it", remedyOf(pool, compared));
  if (compared.docker !== null || isOthers(pool.hosts, compared)) return undefined;
  const text = "no network of tsnet has it, and Docker, which may have one of another driver, cannot be asked";
  return ofPool("unattached-pool", pool, `${text}: see TSNET_DOCKER_SOCKET`, "none");
}

/** A pool with containers may be that of a Docker other than the one that is asked. */
function remedyOf({ id }: PoolView, { ipam }: Compared): Remedy {
  for (const { role, restsUntilMs } of ipam.leasesOf(id))
    if (role === "endpoint" && restsUntilMs === null) return "by hand";
  return "release";
}

/** @see Collector */
const deadGo = "those that no container has any more are removed within three minutes";

/** Docker was not answered when it removed the network, and does not ask again. */
function unknownNetwork(network: Network, attached: Attached, compared: Compared): Suspicion | undefined {
  if (!isUnknownNetwork(network, compared)) return undefined;
  const [subnet = ""] = network.subnets.map(({ pool }) => pool);
  const isUnused = compared.state.endpointsOf(network.id).length === 0;
  const text = `network ${network.id.slice(0, 12)} is not known to Docker (any more)${isUnused ? "" : `, and has endpoints: ${deadGo}`}`;
  return {
    ...{ kind: "unknown-network", pool: attached.get(`${network.id} ${subnet}`) ?? subnet, address: null, grant: null },
    ...{ network: network.id, text, remedy: isUnused ? "by hand" : "none", lastRequest: null },
  };
}

/** Whether Docker can be asked, and does not have this network. */
export const isUnknownNetwork = ({ id }: Network, { docker, state }: Pick<Compared, "docker" | "state">): boolean =>
  docker !== null && isOfThisHost(id) && !state.removing.has(id) && !docker.some((known) => known.id === id);

/** Gateway and auxiliary addresses go with their pool. */
function* orphanLeases(pool: PoolView, network: Network, compared: Compared): Generator<Suspicion | undefined> {
  for (const lease of compared.ipam.leasesOf(pool.id)) {
    const { role, restsUntilMs, hosts, identity, address } = lease;
    const isHeld = role === "endpoint" && restsUntilMs === null && !isOthers(hosts, compared);
    const isOrphan = isHeld && compared.state.endpointAt(network.id, address) === undefined;
    if (!isOrphan) {
      yield undefined;
      continue;
    }
    const text = `no endpoint has it${identity === null ? "" : `; it was for ${identity}`}`;
    yield { ...ofLease("orphan-lease", lease, text, "release"), network: network.id };
  }
}

/** The IDs of pools, by "NETWORK SUBNET". */
type Attached = ReadonlyMap<string, string>;

function missingLease(endpoint: Endpoint, attached: Attached, { ipam, state }: Compared): Suspicion | undefined {
  const { id, network, addresses, leases } = endpoint;
  if (leases.length === 0 || state.removing.has(id)) return undefined;
  const held = ipam.leasesAt(network, addresses);
  if (leases.every((grant) => held.includes(grant))) return undefined;
  const isKnown = (text: string): boolean => attached.has(`${network} ${canonical(text)}`);
  if (!ipam.isComplete && !addresses.every(isKnown)) return undefined;
  const [address = ""] = addresses;
  const subnet = canonical(address);
  const text = `endpoint ${id.slice(0, 12)} has ${addresses.join(" and ")}, not all of which is held for it`;
  return missing(attached.get(`${network} ${subnet}`) ?? subnet, address, `${text}: connect its container anew`);
}

function* missingGateways(
  network: Network,
  attached: Attached,
  { ipam, state }: Compared,
): Generator<Suspicion | undefined> {
  if (state.removing.has(network.id)) return;
  for (const each of network.subnets) {
    const subnet = each.pool;
    const gateway = "gateway" in each ? each.gateway : each.defaultGateway;
    const pool = attached.get(`${network.id} ${subnet}`);
    if (gateway === null || pool === undefined || ipam.leasesAt(network.id, [gateway]).length > 0) continue;
    yield missing(pool, gateway, `the gateway of network ${network.id.slice(0, 12)} is not held`);
  }
}

const missing = (pool: string, address: string, text: string): Suspicion => ({
  ...{ kind: "missing-lease", pool, address: address.split("/")[0] ?? "", grant: null, network: null, text },
  ...{ remedy: "none", lastRequest: null },
});

const ofPool = (kind: FindingKind, { id, lastRequest }: PoolView, text: string, remedy: Remedy): Suspicion => ({
  ...{ kind, pool: id, address: null, grant: null, network: null, text, remedy },
  lastRequest: remedy === "none" ? null : lastRequest,
});

const ofLease = (kind: FindingKind, lease: LeaseView, text: string, remedy: Remedy): Suspicion => ({
  ...{ kind, pool: lease.pool, address: lease.address, grant: lease.grant, network: null, text },
  ...{ remedy, lastRequest: null },
});
