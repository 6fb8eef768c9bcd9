/** Addresses of pools that hosts share: decided from the mirror, and done in etcd if the mirror was right. */
import { TsnetError } from "../../errors.ts";
import { containsIp } from "../../net/cidr.ts";
import type { Locks } from "../locks.ts";
import type { Log } from "../log.ts";
import { parseAddressRequest } from "./address-wish.ts";
import { type Attempts, type Deadline, type Lost, lost } from "./attempts.ts";
import type { AddressRequest } from "./backend.ts";
import type { Feed } from "./feed.ts";
import { newGrant } from "./grants.ts";
import type { Mirror } from "./mirror.ts";
import type { Owed } from "./owed.ts";
import type { Pool } from "./pool.ts";
import { leaseIdOf } from "./pool-record.ts";
import { type AddressChoiceWish, type Choice, SharedChoices } from "./shared-choices.ts";
import type { Swaps } from "./swaps.ts";
import { UsageWatch } from "./usage-watch.ts";

export interface SharedAddressesNeeds {
  readonly mirror: Mirror;
  readonly feed: Feed;
  readonly swaps: Swaps;
  readonly attempts: Attempts;
  readonly owed: Owed;
  /** By the pool's ID: its release has it alone. */
  readonly locks: Locks;
  readonly hostId: string;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A request, and what has become of it so far. */
interface Taking extends AddressChoiceWish {
  /** Whether the mirror is known to be right about what a refusal says. */
  isConfirmed: boolean;
  losses: number;
  /** Leases that may have been put, or not: etcd did not say. By ID; the grants by which to find out. */
  readonly doubts: Map<string, string>;
  running: Promise<unknown>;
}

export class SharedAddresses {
  readonly #needs: SharedAddressesNeeds;
  readonly #choices: SharedChoices;
  readonly #usage: UsageWatch;
  /** By which grants this process has addresses, by the lease's ID: the mirror may be late. */
  readonly grants = new Map<string, string>();

  constructor(needs: SharedAddressesNeeds) {
    this.#needs = needs;
    this.#choices = new SharedChoices(needs);
    this.#usage = new UsageWatch(needs.log);
  }

  /** @see PoolBackend */
  async request(request: AddressRequest, mayExist: boolean, beganAt?: number): Promise<string> {
    const taking: Taking = {
      ...parseAddressRequest(request),
      ...{ poolId: request.poolId, mayExist, grant: newGrant() },
      ...{ isConfirmed: false, losses: 0, doubts: new Map(), running: Promise.resolve() },
    };
    try {
      return await this.#needs.attempts.run((deadline) => {
        const attempt = this.#needs.locks.shared(taking.poolId, () => this.#attempt(taking, deadline));
        taking.running = attempt.catch(() => {});
        return attempt;
      }, beganAt);
    } finally {
      await this.#oweDoubts(taking);
    }
  }

  async #attempt(taking: Taking, deadline: Deadline): Promise<string | Lost> {
    await this.#needs.feed.heard();
    if (deadline.isOver) return lost;
    const done = await this.#resolveDoubts(taking);
    if (done !== undefined) return done;
    // The gateway that other hosts have chosen must be known.
    if (taking.isGateway && taking.ip === undefined) await this.#needs.feed.refreshLeases(new Set([taking.poolId]));
    let choice: Choice;
    try {
      choice = this.#choices.choose(taking);
    } catch (refusal) {
      if (taking.isConfirmed) throw refusal;
      taking.isConfirmed = await this.#confirm(taking, refusal);
      return lost;
    }
    taking.isConfirmed = false;
    return deadline.isOver ? lost : await this.#take(taking, choice, deadline);
  }

  async #take(taking: Taking, { pool, offset, lease }: Choice, deadline: Deadline): Promise<string | Lost> {
    const { swaps } = this.#needs;
    const answer = answerOf(pool, offset);
    const id = leaseIdOf(pool, offset);
    if (lease === undefined) {
      const held = pool.get(offset);
      if (!(await swaps.verify(pool, offset))) return lost;
      this.grants.set(id, held?.grant ?? "");
      return answer;
    }
    const wasInDoubt = taking.doubts.has(id);
    taking.doubts.set(id, lease.grant);
    const isDone = await swaps.replace(pool, offset, lease);
    // Nobody hears of it any more.
    if (isDone && deadline.isOver) return lost;
    if (isDone || !wasInDoubt) taking.doubts.delete(id);
    if (!isDone) {
      taking.losses++;
      return lost;
    }
    this.grants.set(id, lease.grant);
    if (taking.serial) pool.lastAllocated = offset;
    this.#usage.look(pool);
    return answer;
  }

  /** Whether an attempt whose outcome was not heard of has succeeded: its answer. */
  async #resolveDoubts({ doubts }: Taking): Promise<string | undefined> {
    const { feed, mirror } = this.#needs;
    for (const [id, grant] of doubts) {
      await feed.refresh("lease", id);
      const found = mirror.find(id);
      if (found?.lease.grant !== grant || !this.#choices.isOurs(found.lease, found.pool)) continue;
      doubts.delete(id);
      this.grants.set(id, grant);
      return answerOf(found.pool, found.offset);
    }
    return undefined;
  }

  /** What may have been put for nobody is given back. */
  async #oweDoubts({ doubts, running }: Taking): Promise<void> {
    if (doubts.size === 0) return;
    const { owed, now } = this.#needs;
    const releases = [...doubts].map(([id, grant]) => ({ what: "address" as const, id, grant, atMs: now() }));
    await owed.add(releases, running);
    void owed.retry();
  }

  /** Reads what a refusal is about; says whether the mirror is right about it now. */
  async #confirm({ poolId, ip }: Taking, refusal: unknown): Promise<boolean> {
    const { feed, mirror } = this.#needs;
    if (!(refusal instanceof TsnetError)) return true;
    const isPoolRight = await feed.refresh("pool", poolId);
    const pool = mirror.pool(poolId)?.pool;
    if (pool === undefined || !isPoolRight) return isPoolRight;
    if (ip !== undefined && containsIp(pool.subnet.cidr, ip)) {
      await this.#settleOwed(leaseIdOf(pool, pool.offsetOf(ip)));
      return feed.refresh("lease", leaseIdOf(pool, pool.offsetOf(ip)));
    }
    if (refusal.code !== "exhausted") return true;
    const others = mirror.table.ofNetwork(pool.network);
    return feed.refreshLeases(new Set([pool, ...others].map(({ id }) => id)));
  }

  /** What is in the way may be what this host has yet to give back. */
  async #settleOwed(id: string): Promise<void> {
    const owed = this.#needs.owed.of(id);
    if (owed !== undefined) await this.#needs.owed.settle(owed);
  }
}

const answerOf = (pool: Pool, offset: bigint): string => `${pool.addressAt(offset)}/${pool.subnet.cidr.prefix}`;
