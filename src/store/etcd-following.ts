/**
 * Followers of records in etcd: they get all there is at one revision, and from then on each change. One watch serves all of
 * them, so that what one commit changes comes in one turn.
 */
import { setTimeout } from "node:timers/promises";
import { TsnetError } from "../errors.ts";
import type { Body, EtcdClient } from "./etcd-client.ts";
import type { EtcdEndpoint } from "./etcd-http.ts";
import type { EtcdKeys } from "./etcd-keys.ts";
import type { EtcdPosition } from "./etcd-position.ts";
import type { Follower, Following, Kind } from "./store.ts";

export interface FollowingOptions {
  /** After so much silence the server is asked whether it is still there. */
  readonly checkMs: number;
  /**
   * Told once when etcd is lost, why, and once when it is back: null.
   * @param hasLost whether it is there, but not what it was
   */
  readonly report: (trouble: TsnetError | null, hasLost?: boolean) => void;
}

/** Between two attempts: twice as long each time, unless the one before has lasted. At random a little less, since all hosts try. */
const shortestPauseMs = 100;
const longestPauseMs = 2_000;
const steadyMs = 10_000;

export class EtcdFollowing {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #position: EtcdPosition;
  readonly #options: FollowingOptions;
  readonly #abort = new AbortController();
  readonly #followers = new Map<Follower, Kind>();
  readonly #ready = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #isInTrouble = false;
  #pauseMs = shortestPauseMs;
  /** Those that the followers were told of: EtcdPosition.losses. */
  #losses = 0;
  /** When something was last heard of the watch, by performance.now(). */
  #heardAt = 0;

  constructor(client: EtcdClient, keys: EtcdKeys, position: EtcdPosition, options: FollowingOptions) {
    this.#client = client;
    this.#keys = keys;
    this.#position = position;
    this.#options = options;
  }

  /** Adds one; only before it has started. */
  add(kind: Kind, follower: Follower): Following {
    this.#followers.set(follower, kind);
    return {
      ready: this.#ready.promise,
      end: async () => {
        this.#followers.delete(follower);
        if (this.#followers.size === 0) await this.end();
      },
    };
  }

  get isEnded(): boolean {
    return this.#abort.signal.aborted;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when nothing goes on any more. */
  async end(): Promise<void> {
    this.#followers.clear();
    this.#abort.abort();
    this.#ready.resolve();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const beganAt = performance.now();
      try {
        await this.#watch(await this.#reset());
      } catch (error) {
        if (!signal.aborted) this.#report(error);
      }
      if (performance.now() - beganAt > steadyMs) this.#pauseMs = shortestPauseMs;
      await setTimeout(this.#pauseMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
      this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
    }
  }

  /** Tells all there is. Returns the revision that it is of. */
  async #reset(): Promise<string> {
    const values = new Map<Kind, Map<string, unknown>>();
    let revision: string | null = null;
    const before = this.#client.revision;
    const options = () => ({ isRead: true, deadline: this.#client.deadline(), signal: this.#abort.signal });
    for (const kind of new Set(this.#followers.values())) {
      const ofKind = new Map<string, unknown>();
      values.set(kind, ofKind);
      for await (const page of this.#keys.pages(this.#client, kind, revision, options)) {
        revision = page.revision;
        for (const { id, value } of page.entries) ofKind.set(id, value);
      }
    }
    this.#abort.signal.throwIfAborted();
    this.#report(this.#position.compare(before, BigInt(revision ?? 0)), true);
    const { losses } = this.#position;
    for (const [follower, kind] of this.#followers)
      follower.reset(values.get(kind) ?? new Map(), losses !== this.#losses);
    this.#losses = losses;
    this.#ready.resolve();
    return revision ?? "0";
  }

  /** Tells each change after the revision, until the watch fails. */
  async #watch(revision: string): Promise<void> {
    const { endpoint } = this.#client;
    const ended = new AbortController();
    const signal = AbortSignal.any([this.#abort.signal, ended.signal]);
    const request = { create_request: { ...this.#keys.all, start_revision: String(BigInt(revision) + 1n) } };
    let checking: Promise<void> | undefined;
    let lost: unknown;
    try {
      for await (const message of this.#client.stream("/v3/watch", request, signal)) {
        // Until it has made up for what it has lost, nothing would be told.
        if (message.created && BigInt(message.header.revision) < BigInt(revision))
          throw new TsnetError(
            "store",
            `${endpoint.url} is behind of what etcd was a moment ago, revision ${revision}`,
          );
        this.#take(message);
        checking ??= this.#check(endpoint, signal).catch((error: unknown) => {
          lost = error;
          ended.abort();
        });
      }
    } catch (error) {
      throw lost ?? error;
    } finally {
      ended.abort();
      await checking;
    }
  }

  #take({ canceled, cancel_reason, compact_revision, events = [] }: Body): void {
    this.#heardAt = performance.now();
    if (canceled) {
      const reason = compact_revision ? `revision ${compact_revision} has been compacted` : cancel_reason;
      throw new TsnetError("store", `etcd has ended a watch: ${reason ?? "it gave no reason"}`);
    }
    if (this.#isInTrouble) this.#options.report(null);
    this.#isInTrouble = false;
    const changes = (events as Body[]).map((event) => this.#keys.event(event));
    for (const { kind, id, value } of changes) {
      for (const [follower, followed] of this.#followers) if (followed === kind) follower.change(id, value);
    }
  }

  /**
   * Asks the server that is watched when it has been silent for a while. A connection may be dead without a sign, and a server
   * that has lost the others is silent too: then it does not answer. Ends with the signal, or an error.
   */
  async #check(endpoint: EtcdEndpoint, signal: AbortSignal): Promise<void> {
    for (;;) {
      const silentMs = performance.now() - this.#heardAt;
      const isDue = silentMs >= this.#options.checkMs;
      if (isDue) {
        const options = { isRead: true, deadline: this.#client.deadline(), signal, only: endpoint };
        await this.#client.call("/v3/kv/range", this.#keys.probe, options);
        this.#heardAt = performance.now();
      } else await setTimeout(this.#options.checkMs - silentMs, undefined, { signal });
    }
  }

  /** @param hasLost whether etcd is there, which is said each time, if it is in trouble already or not */
  #report(error: unknown, hasLost = false): void {
    if (error === undefined || (this.#isInTrouble && !hasLost)) return;
    this.#isInTrouble = true;
    const trouble = error instanceof TsnetError ? error : undefined;
    this.#options.report(trouble ?? new TsnetError("store", "etcd cannot be followed", { cause: error }), hasLost);
  }
}
