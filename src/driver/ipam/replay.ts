/** Addresses of a pool that a swarm's leader asks for again. */
import { TsnetError } from "../../errors.ts";
import { parseIp } from "../../net/cidr.ts";
import type { AddressRequest, PoolBackend } from "./backend.ts";
import type { Epoch } from "./claims.ts";
import { addressSpaces } from "./default-pools.ts";

/** So many leases are given back at once: each is a record of its own. */
const releasedAtOnce = 16;

/** What a replay is worked on with. */
export interface ReplayNeeds {
  readonly epoch: Epoch;
  readonly backend: PoolBackend;
  /** Is told of leases that were given back since nobody has asked for them. */
  readonly onReleased: (poolId: string, addresses: readonly string[]) => void;
}

/**
 * An address of a pool that was replayed: what is held and was not asked for since is asked for again. Of a full pool, what the
 * leader did not ask for again is given out.
 * @param beganAt by performance.now()
 * @returns "10.0.0.2/24"
 * @throws as PoolBackend.requestAddress
 */
export async function replayAddress(needs: ReplayNeeds, request: AddressRequest, beganAt: number): Promise<string> {
  const { epoch, backend } = needs;
  const { poolId, address } = request;
  if (address === "") {
    const given = await requestAny(needs, request, beganAt);
    epoch.claimGiven(poolId, given);
    return given;
  }
  const named = parseIp(address).text;
  const isFirst = epoch.claimAddress(poolId, named);
  try {
    return await backend.requestAddress(request, isFirst, beganAt);
  } catch (error) {
    if (isFirst) epoch.unclaimAddress(poolId, named);
    throw error;
  }
}

async function requestAny(needs: ReplayNeeds, request: AddressRequest, beganAt: number): Promise<string> {
  const ask = (): Promise<string> => needs.backend.requestAddress(request, false, beganAt);
  try {
    return await ask();
  } catch (error) {
    const isFull = error instanceof TsnetError && error.code === "exhausted";
    if (!isFull || !(await releaseStale(needs, request.poolId))) throw error;
    return await ask();
  }
}

/**
 * Gives back some of what is from before the epoch and was not asked for again. A new leader asks for all addresses that there are,
 * by name, before it asks for a free one (swarmkit, manager/allocator/network.go: doNetworkInit).
 * @returns whether there was any
 */
async function releaseStale({ epoch, backend, onReleased }: ReplayNeeds, poolId: string): Promise<boolean> {
  if (!poolId.startsWith(`${addressSpaces.global}/`) || !epoch.hasSurvivor(poolId)) return false;
  const leases = Iterator.from(backend.leasesOf(poolId));
  const stale = [...leases.filter((lease) => epoch.isStale(lease)).take(releasedAtOnce)];
  await Promise.all(stale.map(({ address, grant }) => backend.releaseGrant(poolId, address, grant)));
  if (stale.length === 0) return false;
  onReleased(
    poolId,
    stale.map(({ address }) => address),
  );
  return true;
}
