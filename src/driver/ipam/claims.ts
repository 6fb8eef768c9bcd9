/**
 * Tells a swarm's replay from a second wish for the same. A new leader asks for everything again that exists, in the words of a
 * first wish, and the old leader gives nothing back (engine-contract.md, section 3.3); on each node, dockerd does so for a swarm's
 * networks when it has restarted. Before either, Docker asks for the driver's capabilities: an epoch begins. What is asked for
 * the first time in an epoch, and exists, is a replay; asked for again in the same epoch, it is somebody else's wish, and a
 * conflict.
 *
 * It cannot be told that way
 * - when the plugin has crashed under a leader: Docker asks for the capabilities, and replays nothing. Then the first wish for a
 *   subnet that another network has passes for a replay, once.
 * - when two leaders, one of them not yet aware that it is none, ask at the same time.
 */
import { parseHostAddress, parseIp } from "../../net/cidr.ts";
import type { AddressRequest, PoolBackend } from "./backend.ts";
import { addressSpaces } from "./default-pools.ts";
import type { LeaseView, PoolView } from "./views.ts";

/** An ID of a network that Docker made on this host; those of a swarm are shorter. */
const localNetworkId = /^[0-9a-f]{64}$/;

/** What was asked for of a pool that may have been there before the epoch began. */
interface Replay {
  /** Whether it was there: a new leader has begun to ask for what there is. */
  readonly existed: boolean;
  /** The addresses that were asked for since. */
  readonly claimed: Set<string>;
  /** What its addresses were held by when the replay began. */
  readonly before: ReadonlyMap<string, string>;
}

/** What Docker has asked for between two times that it asked for the capabilities. */
export class Epoch {
  /** By the pool's ID; null for a pool that was made in this epoch. */
  readonly #pools = new Map<string, Replay | null>();

  isClaimed(poolId: string): boolean {
    return this.#pools.has(poolId);
  }

  /** Whether a request for a named pool may be one of what there is: in the local address space only for a swarm's network. */
  mayBeReplay(addressSpace: string, id: string, pools: readonly PoolView[]): boolean {
    if (this.isClaimed(id)) return false;
    if (addressSpace === addressSpaces.global) return true;
    const network = pools.find((pool) => pool.id === id)?.network ?? null;
    return network !== null && !localNetworkId.test(network);
  }

  /** Whether requests for the addresses of a pool may be replays. */
  isReplayed(poolId: string): boolean {
    return Boolean(this.#pools.get(poolId));
  }

  claimPool(poolId: string): void {
    this.#pools.set(poolId, null);
  }

  /** @param leases of the pool; none if it is new */
  replayPool(poolId: string, leases: Iterable<LeaseView>): void {
    const before = new Map<string, string>();
    let existed = false;
    for (const { role, address, grant, restsUntilMs } of leases) {
      existed = true;
      if (role === "endpoint" && restsUntilMs === null) before.set(address, grant);
    }
    this.#pools.set(poolId, { existed, claimed: new Set(), before });
  }

  unclaimPool(poolId: string): void {
    this.#pools.delete(poolId);
  }

  /** Notes that an address was asked for; false if it had been. */
  claimAddress(poolId: string, address: string): boolean {
    const claimed = this.#pools.get(poolId)?.claimed;
    if (claimed === undefined || claimed.has(address)) return false;
    claimed.add(address);
    return true;
  }

  /**
   * Notes that an address was given out, "10.0.0.2/24": by the pool that was asked, or by one of the same address space that it
   * overflows to.
   */
  claimGiven(askedId: string, given: string): void {
    if (![...this.#pools.values()].some(Boolean)) return;
    const { ip, subnet } = parseHostAddress(given);
    const prefix = `${askedId.split("/")[0]}/${subnet.text}`;
    for (const id of this.#pools.keys())
      if (id === prefix || id.startsWith(`${prefix}/`)) this.claimAddress(id, ip.text);
  }

  unclaimAddress(poolId: string, address: string): void {
    this.#pools.get(poolId)?.claimed.delete(address);
  }

  /** Whether a pool was not asked for, while others were that were there before. */
  isPoolStale(poolId: string): boolean {
    return !this.#pools.has(poolId) && [...this.#pools.values()].some((replay) => replay?.existed);
  }

  /** Whether a lease is from before the epoch, in a pool that was replayed, and was not asked for again. */
  isStale({ pool, address, grant }: Pick<LeaseView, "pool" | "address" | "grant">): boolean {
    const replay = this.#pools.get(pool);
    return Boolean(replay && replay.before.get(address) === grant && !replay.claimed.has(address));
  }
}

/** An address of a pool that was replayed: what is held and was not asked for since is asked for again. */
export async function replayAddress(
  epoch: Epoch,
  backend: PoolBackend,
  request: AddressRequest,
  beganAt: number,
): Promise<string> {
  const { poolId, address } = request;
  const named = address === "" ? undefined : parseIp(address).text;
  const isFirst = named !== undefined && epoch.claimAddress(poolId, named);
  try {
    const given = await backend.requestAddress(request, isFirst, beganAt);
    if (named === undefined) epoch.claimGiven(poolId, given);
    return given;
  } catch (error) {
    if (isFirst && named !== undefined) epoch.unclaimAddress(poolId, named);
    throw error;
  }
}
