import { explain, TsnetError } from "../errors.ts";
import {
  type AllocationRequest,
  allocatedOptions,
  type PlannedAllocation,
  planAllocation,
  sharedMode,
  vniCandidates,
} from "../plan/allocation.ts";
import type { DockerNetwork } from "../plan/docker-network.ts";
import type { SwarmRole } from "../plan/docker-swarm.ts";
import { modes, withMode } from "../plan/mode-options.ts";
import type { Network } from "../plan/network.ts";
import { defaultPort } from "../plan/overlay-options.ts";
import { type Allocation, AllocationBook, type AllocationFailure } from "./allocation-book.ts";
import type { Locks } from "./locks.ts";
import type { Log } from "./log.ts";
import type { Records } from "./records.ts";
import type { FailedNetworkAnswer } from "./report-link-answers.ts";
import type { State } from "./state.ts";
import { pictureLagMs, VniClaims } from "./vni-claims.ts";

export interface AllocationsNeeds {
  readonly records: Pick<Records, "list" | "commit">;
  readonly state: Pick<State, "networks">;
  readonly locks: Locks;
  readonly log: Log;
  /** Docker's networks, of all of the swarm on a manager; null while it cannot be asked. */
  readonly networks: () => readonly DockerNetwork[] | null;
  /** Asks Docker for them: never while Docker waits. */
  readonly refresh: () => Promise<readonly DockerNetwork[] | null>;
  /** What this host is in the swarm, if that is known for sure: never while Docker waits. */
  readonly role: () => Promise<SwarmRole | null>;
  /** The subnets of overlay networks that hosts share otherwise than by this swarm, "10.5.0.0/24", by VNI. */
  readonly shared: () => ReadonlyMap<number, readonly string[]>;
  /** Whether no VXLAN link of this host has a VNI. @throws TsnetError "conflict" if it has no address for other hosts */
  readonly isFree: (vni: number) => Promise<boolean>;
  /** TSNET_VXLAN_PORT, which the nodes are told with a network; undefined for nothing to be said of it. */
  readonly vxlanPort?: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

type Options = Readonly<Record<string, string>>;

/** How often it is looked for what the swarm has no more, and how long it must have had it no more: docs/swarm.md. */
const sweepMs = 30_000;
export const forgetMs = 120_000;

const finalAdvice =
  'a network of the swarm cannot work, and each task on it fails: remove it with "docker network rm", and create it with other options';
const waitingAdvice =
  "a network of the swarm could not be allocated, and its tasks wait: Docker asks again within five minutes";

/**
 * The networks that the swarm's leader asks for: with its VNI, each is the same on all nodes. What was said of a network is said again,
 * by this manager or another: the options bring it along.
 */
export class Allocations {
  readonly #needs: AllocationsNeeds;
  readonly #book: AllocationBook;
  readonly #claims: VniClaims;
  /** Since when Docker knows a network no more. */
  readonly #absentSince = new Map<string, number>();
  #interval: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(needs: AllocationsNeeds) {
    this.#needs = needs;
    this.#book = new AllocationBook(needs.records, needs.log);
    this.#claims = new VniClaims({ ...needs, book: this.#book });
  }

  /** @throws TsnetError "store" */
  restore(): Promise<void> {
    return this.#book.restore();
  }

  start(): void {
    const sweep = (): void => {
      this.#sweeping = this.#sweeping.then(() => this.sweep()).catch((error: unknown) => this.#warn(error));
    };
    this.#interval ??= setInterval(sweep, sweepMs).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#interval);
    await this.#sweeping;
  }

  /** Docker has registered the plugin anew, as it does when this manager becomes the leader: it will ask for all networks. */
  newEpoch(): void {
    this.#claims.newEpoch();
  }

  /**
   * Says what all nodes are to make a network of. Options that are wrong are answered as they are: a refusal would be seen by nobody,
   * while each node refuses them in the words that are in the log, and then in the task's error.
   * @returns all options, in the place of the user's
   * @throws TsnetError "conflict" if a VNI that is given is another network's, "exhausted", "kernel", "store"
   */
  allocate(asked: AllocationRequest): Promise<Options> {
    return this.#alone(async () => {
      this.#claims.noteAsked(asked.id);
      const request = { ...asked, options: withMode(asked.options, this.#modeWithout(asked.id)) };
      try {
        return await this.#allocate(request);
      } catch (error) {
        const isFinal = error instanceof TsnetError && error.code === "invalid";
        await this.#noteFailure(request, { text: explain(error), isFinal, sinceMs: this.#needs.now() });
        if (!isFinal) throw error;
        return allocatedOptions(request.options, null);
      }
    });
  }

  /** The swarm has a network no more. One that is unknown is success. @throws TsnetError "store" */
  free(id: string): Promise<void> {
    return this.#alone(async () => {
      await this.#book.forget([id]);
      this.#claims.noteFreed(id);
    });
  }

  /** The networks that were asked for in vain, as far as the swarm still has them, and nobody else has allocated them. */
  failed(): FailedNetworkAnswer[] {
    return [...this.#book.all()].flatMap(([id, { mode, subnets, failure }]) => {
      if (failure === null || !this.#isOpen(id, failure)) return [];
      const since = new Date(failure.sinceMs).toISOString();
      return { id, mode, subnets, error: failure.text, since };
    });
  }

  /** Forgets what Docker knows no more, since nobody says so to a manager that is not the leader. */
  async sweep(): Promise<void> {
    if (this.#book.size === 0) return;
    // without a leader, a manager's Docker lists what this host has alone
    const isSound = (await this.#needs.role()) !== null;
    const listed = isSound ? await this.#needs.refresh() : null;
    await this.#alone(async () => {
      const gone = [...this.#book.all()].flatMap(([id]) => (this.#isLongGone(id, listed) ? id : []));
      await this.#book.forget(gone);
      for (const id of gone) this.#absentSince.delete(id);
      for (const [id, { failure, ...known }] of [...this.#book.all()]) {
        if (listed === null || failure === null || this.#isOpen(id, failure)) continue;
        if (known.vni === null) await this.#book.forget([id]);
        else await this.#book.save(id, { ...known, failure: null });
      }
    });
  }

  async #allocate(request: AllocationRequest): Promise<Options> {
    const planned = planAllocation(request);
    const { id } = request;
    if (planned.mode !== sharedMode) {
      await this.#book.forget([id]);
      return allocatedOptions(request.options, null);
    }
    const gone = planned.vni === null ? [] : this.#claims.rivals(id, planned.vni);
    const vni = planned.vni ?? (await this.#choose(id, planned));
    const { mode, subnets } = planned;
    const hadFailed = (this.#book.get(id)?.failure ?? null) !== null;
    await this.#book.save(id, { mode, subnets: [...subnets], vni, failure: null }, gone);
    if (hadFailed) this.#needs.log.info({ network: id, vni }, "a network of the swarm is allocated now");
    return allocatedOptions(request.options, vni, this.#wasAnswered(id) ? defaultPort : this.#needs.vxlanPort);
  }

  /** Versions that knew no other mode have answered networks of the swarm without one: they are bridges, and stay so. */
  #modeWithout(id: string): Network["mode"] {
    const known = [...this.#needs.state.networks()].find((one) => one.id === id);
    return known?.mode ?? (this.#wasAnswered(id) ? "bridge" : sharedMode);
  }

  /** Whether the swarm has an answer for a network, as far as Docker has said: what it says then is in the options. */
  #wasAnswered(id: string): boolean {
    const listed = this.#needs.networks()?.find((one) => one.id === id);
    return listed !== undefined && listed.driver !== "";
  }

  /** A VNI that was chosen before, and did not reach the swarm, is chosen again. */
  async #choose(id: string, { subnets }: PlannedAllocation): Promise<number> {
    const { state, shared } = this.#needs;
    const overlays = [...state.networks()].flatMap((one) => (one.mode === "overlay" && one.vni !== 0 ? one : []));
    const own = [this.#book.get(id)?.vni, overlays.find((one) => one.id === id)?.vni].filter((vni) => vni != null);
    const others = shared();
    const isSame = (theirs: readonly string[]): boolean => `${theirs.toSorted()}` === `${subnets.toSorted()}`;
    // hosts take networks with the same subnets for one
    const same = [...others].flatMap(([vni, theirs]) => (isSame(theirs) ? vni : []));
    const taken = this.#claims.taken(id);
    for (const one of overlays) if (one.id !== id) taken.add(one.vni);
    for (const vni of vniCandidates([...own, ...same], subnets)) {
      const theirs = others.get(vni);
      if (taken.has(vni) || (theirs && !isSame(theirs))) continue;
      if (own.includes(vni) || theirs || (await this.#isFree(vni))) return vni;
    }
    throw new TsnetError("exhausted", "no free VNI was found for this network: give one with tsnet.vni");
  }

  /** While this manager has no address for other hosts, its links say nothing: each node looks at its own later. */
  async #isFree(vni: number): Promise<boolean> {
    try {
      return await this.#needs.isFree(vni);
    } catch (error) {
      if (error instanceof TsnetError && error.code === "conflict") return true;
      throw error;
    }
  }

  async #noteFailure({ id, options, subnets }: AllocationRequest, failure: AllocationFailure): Promise<void> {
    const { log } = this.#needs;
    const known = this.#book.get(id);
    if (known?.failure?.text === failure.text) return;
    const fields = { network: this.#claims.call(id), error: failure.text };
    log.error(fields, failure.isFinal ? finalAdvice : waitingAdvice);
    const mode = modes.find((one) => one === (options["mode"] ?? sharedMode)) ?? null;
    const vni = known?.vni ?? null;
    const allocation: Allocation = { mode, subnets: subnets.map(({ pool }) => pool), vni, failure };
    // it may be the disk that is full
    await this.#book.save(id, allocation).catch(() => this.#book.show(id, allocation));
  }

  /** A failure that can be retried is over when Docker knows the driver's answer: another manager has given it. */
  #isOpen(id: string, { isFinal, sinceMs }: AllocationFailure): boolean {
    const listed = this.#needs.networks();
    if (listed === null) return true;
    const network = listed.find((one) => one.id === id);
    if (network === undefined) return this.#needs.now() - sinceMs < pictureLagMs;
    return isFinal || network.driver === "";
  }

  #isLongGone(id: string, listed: readonly DockerNetwork[] | null): boolean {
    if (listed === null || listed.some((one) => one.id === id)) {
      this.#absentSince.delete(id);
      return false;
    }
    const since = this.#absentSince.get(id) ?? this.#needs.now();
    this.#absentSince.set(id, since);
    return this.#needs.now() - since >= forgetMs;
  }

  /** One after the other: two networks at once must not find the same VNI free. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#needs.locks.exclusive("allocations", work);
  }

  #warn(error: unknown): void {
    this.#needs.log.warn({ error: explain(error) }, "what the swarm has no more could not be forgotten yet");
  }
}
