import { explain } from "../../errors.ts";
import type { DockerNetwork } from "../../plan/docker-network.ts";
import type { SwarmRole } from "../../plan/docker-swarm.ts";
import type { Log } from "../log.ts";
import { addressSpaces } from "./default-pools.ts";
import {
  type CheckedIpam,
  type Compared,
  type FindingKind,
  isUnknownNetwork,
  type Suspicion,
  suspicions,
} from "./findings.ts";
import { isLeftPool, isOrphanPool } from "./unused-pools.ts";
import { type CheckFinding, type Docker, withUsers } from "./users.ts";

/** Everything is compared this often. */
const intervalMs = 60_000;

export interface IpamCheckNeeds {
  readonly ipam: CheckedIpam;
  readonly state: Compared["state"];
  readonly docker: Docker;
  readonly hostId: string;
  /** Removes a network of tsnet, with all that it holds. */
  readonly deleteNetwork: (id: string) => Promise<void>;
  /** How long something has to be a leak until it is given back: TSNET_ORPHAN_GRACE. */
  readonly graceMs: number;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What Docker has said: null for what is not known. */
interface Picture {
  readonly docker: readonly DockerNetwork[] | null;
  readonly role: SwarmRole | null;
}

/**
 * Finds addresses and pools that nobody uses any more, after a crash or an error that Docker ignored, and gives them back once they
 * have been so for a while: whoever is about to use an address has it already, and has no endpoint yet.
 */
export class IpamCheck {
  readonly #needs: IpamCheckNeeds;
  /** When each thing was first seen not to agree, by what it is. */
  #firstSeen = new Map<string, number>();
  #told = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();
  #interval: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(needs: IpamCheckNeeds) {
    this.#needs = needs;
  }

  /** Compares everything, by itself, from time to time, and gives back what can be. */
  start(): void {
    this.#interval ??= setInterval(() => void this.sweep(), intervalMs).unref();
  }

  /** Waits for what runs. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#interval);
    await this.#last;
  }

  check(): Promise<CheckFinding[]> {
    return this.#inTurn(() => this.#check());
  }

  /**
   * Gives back what has been a leak for long enough.
   * @throws TsnetError "store"
   */
  repair(): Promise<{ readonly released: readonly CheckFinding[]; readonly left: readonly CheckFinding[] }> {
    return this.#inTurn(async () => {
      const released = await this.#releaseAll(await this.#check());
      return { released, left: await this.#check() };
    });
  }

  /**
   * As `repair`, but for what an administrator should decide: whether a swarm's leader has asked for everything again, and whether the
   * Docker that is asked is the one that a network or a container is of. What is wrong besides is logged, once. An error is logged.
   */
  sweep(): Promise<void> {
    return this.#inTurn(async () => {
      try {
        const findings = await this.#check();
        await this.#releaseAll(findings.filter(({ remedy }) => remedy === "release"));
        this.#tell(findings);
      } catch (error) {
        this.#needs.log.error({ error: explain(error) }, "addresses that nobody uses could not be given back");
      }
    });
  }

  async #check(): Promise<CheckFinding[]> {
    const { ipam, state, hostId } = this.#needs;
    const found: CheckFinding[] = [];
    const seen = new Map<string, number>();
    const now = this.#needs.now();
    for await (const suspicion of suspicions({ ipam, state, hostId, ...(await this.#look()) })) {
      const key = keyOf(suspicion);
      // The clock may have been set back.
      const first = Math.min(this.#firstSeen.get(key) ?? now, now);
      seen.set(key, first);
      found.push(this.#finding(suspicion, first, !this.#firstSeen.has(key)));
    }
    this.#firstSeen = seen;
    return await withUsers(found, this.#needs.docker);
  }

  /** A manager that has lost the others tells of its own networks alone: it has to have had a leader before and after. */
  async #look(): Promise<Picture> {
    const { docker, ipam } = this.#needs;
    const isLeader = [...ipam.pools()].some(({ addressSpace }) => addressSpace === addressSpaces.global);
    const role = isLeader ? await docker.swarmRole() : null;
    const networks = await docker.refresh();
    return { docker: networks, role: role !== null && (await docker.swarmRole()) === role ? role : null };
  }

  /** What is seen for the first time is never given back at once, however short the grace time is. */
  #finding(suspicion: Suspicion, sinceMs: number, isNew: boolean): CheckFinding {
    const isDue = this.#needs.now() - sinceMs >= this.#needs.graceMs;
    return { ...suspicion, sinceMs, repairable: suspicion.remedy !== "none" && !isNew && isDue };
  }

  async #releaseAll(findings: readonly CheckFinding[]): Promise<CheckFinding[]> {
    const released: CheckFinding[] = [];
    for (const finding of findings) {
      // what Docker was not asked any more may be a container's
      if (this.#isStopped || !finding.repairable || !(await this.#release(finding))) continue;
      const { kind, pool, address, text } = finding;
      this.#needs.log.warn({ kind, pool, address }, `gave back what nobody uses: ${address ?? pool}: ${text}`);
      released.push(finding);
    }
    return released;
  }

  /** Gives something back if it is still what was found: whoever has it by now keeps it. */
  async #release(finding: CheckFinding): Promise<boolean> {
    const { kind, pool, address, grant, network } = finding;
    const { ipam, state } = this.#needs;
    if (kind === "unknown-network") return await this.#deleteNetwork(network ?? "");
    if (address === null) return await this.#releasePool(finding);
    if (grant === null || (network !== null && state.endpointAt(network, address) !== undefined)) return false;
    if (kind === "stale-lease" && !ipam.isUnclaimed({ pool, address, grant })) return false;
    return await ipam.releaseGrant(pool, address, grant);
  }

  async #releasePool({ kind, pool: id, lastRequest }: CheckFinding): Promise<boolean> {
    const { ipam, state, hostId } = this.#needs;
    const picture = await this.#look();
    const pool = [...ipam.pools()].find((candidate) => candidate.id === id);
    if (pool === undefined) return false;
    const is: Partial<Record<FindingKind, () => boolean>> = {
      "stale-pool": () => ipam.isUnclaimedPool(id),
      "left-pool": () => isLeftPool(pool, picture),
      "orphan-pool": () => isOrphanPool(pool, { state, hostId, docker: picture.docker }),
    };
    return Boolean(is[kind]?.()) && (await ipam.releaseUnused({ id, lastRequest }));
  }

  async #deleteNetwork(id: string): Promise<boolean> {
    const { ipam, state, docker, deleteNetwork } = this.#needs;
    const known = await docker.refresh();
    const network = state.network(id);
    const isForgotten = network !== undefined && isUnknownNetwork(network, { docker: known, state });
    if (!isForgotten || state.endpointsOf(id).length > 0) return false;
    const pools = [...ipam.pools()].filter((pool) => pool.network === id);
    await deleteNetwork(id);
    for (const pool of pools) await ipam.releasePool(pool.id);
    return true;
  }

  /** A pool that is nearly full is told of when it happens, and not here. */
  #tell(findings: readonly CheckFinding[]): void {
    const due = findings.filter(
      ({ kind, sinceMs, repairable, remedy }) =>
        (!repairable || remedy === "by hand") &&
        kind !== "nearly-full" &&
        this.#needs.now() - sinceMs >= this.#needs.graceMs,
    );
    for (const { kind, pool, address, text } of due.filter((finding) => !this.#told.has(keyOf(finding)))) {
      this.#needs.log.warn({ kind, pool, address }, `addresses do not agree: ${address ?? pool}: ${text}`);
    }
    this.#told = new Set(due.map(keyOf));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}

type Keyed = Pick<Suspicion, "kind" | "pool" | "address" | "grant" | "lastRequest">;

/** A lease that is given out anew is another one. */
const keyOf = ({ kind, pool, address, grant, lastRequest }: Keyed): string =>
  [kind, pool, address, grant, lastRequest].join(" ");
