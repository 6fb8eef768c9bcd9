/** Which network of this host has its addresses from a pool that hosts share. */
import type { RecordCondition } from "../records.ts";
import { correctedRoles, poolToAttach } from "./attachment.ts";
import { type Attempts, lost } from "./attempts.ts";
import type { AttachedSubnet } from "./backend.ts";
import type { Feed } from "./feed.ts";
import type { Mirror } from "./mirror.ts";
import type { Pool } from "./pool.ts";
import { sharedSpace } from "./shared-record.ts";
import type { Swaps } from "./swaps.ts";

export interface SharedAttachmentsNeeds {
  readonly mirror: Mirror;
  readonly feed: Feed;
  readonly swaps: Swaps;
  readonly attempts: Attempts;
  readonly hostId: string;
}

export class SharedAttachments {
  readonly #needs: SharedAttachmentsNeeds;

  constructor(needs: SharedAttachmentsNeeds) {
    this.#needs = needs;
  }

  /** @see PoolBackend */
  async attach(network: string, subnet: AttachedSubnet): Promise<void> {
    const { attempts, feed, mirror, hostId } = this.#needs;
    await attempts.run(async (deadline) => {
      await feed.heard();
      if (deadline.isOver) return lost;
      const isOurs = (pool: Pool): boolean => pool.hosts.includes(hostId);
      const pool = poolToAttach(mirror.table, network, { ...subnet, addressSpace: sharedSpace }, isOurs);
      if (pool === undefined) return true;
      if (pool.network !== network && !(await this.#attach(network, pool))) return lost;
      return (await this.#correctRoles(pool, subnet)) || lost;
    });
  }

  async #attach(network: string, pool: Pool): Promise<boolean> {
    const { mirror, feed, swaps, hostId } = this.#needs;
    const known = mirror.pool(pool.id);
    const own = known?.record.hosts[hostId];
    if (known === undefined || own === undefined) return false;
    const value = { ...known.value, hosts: { ...known.record.hosts, [hostId]: { ...own, network } } };
    const isPool: RecordCondition = { kind: "pool", id: pool.id, is: known.value };
    if (await swaps.putPool(pool.id, value, [isPool], [])) return true;
    await feed.refresh("pool", pool.id);
    return false;
  }

  /** Of what only this host holds: others have networks of their own that say what theirs is for. */
  async #correctRoles(pool: Pool, subnet: AttachedSubnet): Promise<boolean> {
    const { swaps, hostId } = this.#needs;
    for (const [offset, lease] of correctedRoles(pool, subnet)) {
      const isOwn = lease.hosts.length === 1 && lease.hosts[0] === hostId;
      if (isOwn && !(await swaps.replace(pool, offset, lease))) return false;
    }
    return true;
  }
}
