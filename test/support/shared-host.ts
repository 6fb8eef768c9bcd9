/** Hosts that share pools: each has its own disk, and its own way to the one store. */
import { defaultPools } from "../../src/driver/ipam/default-pools.ts";
import { Ipam } from "../../src/driver/ipam/ipam.ts";
import type { Follower, RecordChange, RecordCondition, RecordKind, SharedRecords } from "../../src/driver/records.ts";
import { TsnetError } from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { TestLog } from "./driver.ts";

/** How a commit fails: without having taken effect, or with it. */
export type WireFault = "before" | "after";

/** A host's way to the store: calls and what is told take turns of the event loop, and fail when they are to. */
export class Wire implements SharedRecords {
  readonly maxChanges: number;
  /** How many turns of the event loop the next call takes, or what is told. */
  turns: () => number = () => 0;
  /** What becomes of the next commit. */
  fault: () => WireFault | undefined = () => undefined;
  /** How a call fails at once; undefined if the store can be reached. */
  away: string | undefined;
  /** Calls do not come back as long as this is set. */
  hanging: Promise<void> | undefined;
  /** What is told waits as long as this is set. */
  deaf: Promise<void> | undefined;
  /** Commits with conditions so far. */
  commits = 0;
  #hasLost = false;
  #willHaveLost = false;
  readonly #store: MemoryStore;
  readonly #followers = new Set<() => Promise<void>>();

  constructor(store: MemoryStore) {
    this.#store = store;
    this.maxChanges = store.maxChanges;
  }

  list(kind: RecordKind): Promise<ReadonlyMap<string, unknown>> {
    return this.#call(() => this.#store.list(kind));
  }

  each(kind: RecordKind, use: (id: string, value: unknown) => void): Promise<void> {
    return this.#call(() => this.#store.each(kind, use));
  }

  get(kind: RecordKind, id: string): Promise<unknown> {
    return this.#call(() => this.#store.get(kind, id));
  }

  commit(changes: readonly RecordChange[]): Promise<void> {
    return this.#call(() => this.#store.commit(changes));
  }

  async commitIf(changes: readonly RecordChange[], conditions: readonly RecordCondition[]): Promise<boolean> {
    this.commits++;
    const fault = this.fault();
    if (fault === "before") return this.#call(() => Promise.reject(lostAnswer()));
    const result = await this.#call(() => this.#store.commitIf(changes, conditions));
    if (fault === "after") throw lostAnswer();
    return result;
  }

  follow(kind: RecordKind, follower: Follower) {
    let told: Promise<void> = Promise.resolve();
    const tell = (work: () => void): void => {
      told = told.then(async () => {
        await this.#delay();
        await this.deaf;
        work();
      });
    };
    const first = Promise.withResolvers<void>();
    let following = this.#store.follow(kind, { reset: () => {}, change: () => {} });
    const connect = async (): Promise<void> => {
      await following.end();
      if (this.away !== undefined) return;
      const hasLost = this.#hasLost;
      following = this.#store.follow(kind, {
        reset: (values) =>
          tell(() => {
            follower.reset(values, hasLost);
            first.resolve();
          }),
        change: (id, value) => this.away === undefined && tell(() => follower.change(id, value)),
      });
      await following.ready;
    };
    this.#followers.add(connect);
    void connect();
    const end = async (): Promise<void> => {
      this.#followers.delete(connect);
      await following.end();
    };
    return { ready: first.promise, end };
  }

  /** The store has lost what it had: who follows is told when it comes back. */
  lose(): void {
    this.#willHaveLost = true;
  }

  /**
   * The store is back: what was missed is told as a whole.
   * @param hasLost whether the store is known to have lost what it had
   */
  async comeBack(hasLost = this.#willHaveLost): Promise<void> {
    this.away = undefined;
    this.#hasLost = hasLost;
    this.#willHaveLost = false;
    for (const connect of this.#followers) await connect();
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    await this.#delay();
    await this.hanging;
    if (this.away !== undefined) throw new TsnetError("store", this.away);
    const result = await work();
    await this.#delay();
    return result;
  }

  async #delay(): Promise<void> {
    for (let left = this.turns(); left > 0; left--) await new Promise(setImmediate);
  }
}

const lostAnswer = (): TsnetError => new TsnetError("store", "the answer was lost");

/** A host. */
export interface SharedHost {
  readonly id: string;
  readonly wire: Wire;
  /** Its disk. */
  readonly disk: MemoryStore;
  readonly log: TestLog;
  readonly ipam: Ipam;
}

export const etcdEndpoint = "http://10.0.0.1:2379";

/** A process of tsnet on a host, restored. */
export async function startHost(
  id: string,
  store: MemoryStore,
  { clock = { now: 1 }, disk = new MemoryStore(), wire = new Wire(store), deadlineMs = 2000 } = {},
): Promise<SharedHost> {
  const log = new TestLog();
  const ipam = new Ipam({
    records: disk,
    shared: { records: wire, endpoints: [etcdEndpoint] },
    ...{ hostId: id, hostName: `name-of-${id}`, defaultPools: defaultPools(id), log },
    excluded: async () => [],
    now: () => clock.now,
    timing: { deadlineMs, pauseMs: 1 },
  });
  await ipam.restore();
  return { id, wire, disk, log, ipam };
}

/** A pool that hosts share, or another one. @returns its ID */
export async function poolOn(
  { ipam }: SharedHost,
  pool: string,
  options: Readonly<Record<string, string>> = { "tsnet.shared": "true" },
  rest: { readonly addressSpace?: string; readonly subPool?: string } = {},
): Promise<string> {
  const request = { addressSpace: "tsnet-local", pool, subPool: "", options, v6: pool.includes(":"), ...rest };
  return (await ipam.requestPool(request)).poolId;
}

/** An address. @returns "10.5.0.2/16" */
export async function takeOn(
  { ipam }: SharedHost,
  poolId: string,
  address = "",
  options: Readonly<Record<string, string>> = {},
): Promise<string> {
  return (await ipam.requestAddress({ poolId, address, options })).address;
}
