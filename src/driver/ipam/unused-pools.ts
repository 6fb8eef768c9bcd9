/** Pools that are no network's: neither one of tsnet's, nor one that Docker knows. */
import { parseHostAddress } from "../../net/cidr.ts";
import type { DockerNetwork } from "../../plan/docker-network.ts";
import type { Network } from "../../plan/network.ts";
import { addressSpaces } from "./default-pools.ts";
import type { Compared } from "./findings.ts";
import type { PoolView } from "./views.ts";

/**
 * Whether a pool of the global address space is nobody's: a former leader is told nothing, and if it leads again, it is asked for all
 * that there is (engine-contract.md, section 3.3). Only a manager knows all networks of the swarm; but who is none leads none.
 */
export function isLeftPool(pool: PoolView, { docker, role }: Pick<Compared, "docker" | "role">): boolean {
  if (pool.addressSpace !== addressSpaces.global || pool.lastRequest === null || docker === null || role === null)
    return false;
  const mayHave = ({ id, ipamDriver, subnets }: DockerNetwork): boolean =>
    (role === "manager" || isOfThisHost(id)) &&
    ipamDriver !== "default" &&
    subnets.some(({ subnet }) => mayBe(pool, subnet));
  return !docker.some(mayHave);
}

/** Whether a pool of this host is no network's, as far as Docker can be asked. */
export function isOrphanPool(pool: PoolView, compared: Omit<Compared, "ipam" | "role">): boolean {
  if (networkOf(pool, compared.state) !== undefined || isOthers(pool.hosts, compared)) return false;
  const isOfNetwork = ({ subnets }: DockerNetwork): boolean => subnets.some(({ subnet }) => mayBe(pool, subnet));
  return compared.docker !== null && !compared.docker.some(isOfNetwork);
}

/** Of a network that was asked for with any subnet of a size, Docker tells just that: "0.0.0.0/24", "::/64". */
function mayBe(pool: PoolView, subnet: string): boolean {
  const text = canonical(subnet);
  const prefix = pool.subnet.split("/")[1];
  return text === pool.subnet || text === `${pool.family === 4 ? "0.0.0.0" : "::"}/${prefix}`;
}

/** Whether it is shared, and not with this host. */
export const isOthers = (hosts: readonly string[], { hostId }: Pick<Compared, "hostId">): boolean =>
  hosts.length > 0 && !hosts.includes(hostId);

/** The subnet of "172.18.0.2/16": "172.18.0.0/16". */
export function canonical(subnet: string): string {
  try {
    return parseHostAddress(subnet).subnet.text;
  } catch {
    return subnet; // of another IPAM driver
  }
}

/** Of a swarm's networks (25 characters) Docker shows a node only those that it has containers in. */
export const isOfThisHost = (networkId: string): boolean => /^[0-9a-f]{64}$/.test(networkId);

export const networkOf = ({ network }: PoolView, state: Compared["state"]): Network | undefined =>
  network === null ? undefined : state.network(network);
