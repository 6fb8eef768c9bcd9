/** Records that several hosts share, in etcd. Nothing is kept here: each call asks etcd. */
import { readFile } from "node:fs/promises";
import type { SecureContext } from "node:tls";
import { TsnetError } from "../errors.ts";
import { type Body, EtcdClient } from "./etcd-client.ts";
import { EtcdFollowing, type FollowingOptions } from "./etcd-following.ts";
import { makeSecureContext } from "./etcd-http.ts";
import { type Entry, EtcdKeys } from "./etcd-keys.ts";
import { EtcdPosition } from "./etcd-position.ts";
import {
  assertFits,
  type Change,
  type Condition,
  type ConditionRow,
  type Follower,
  type Following,
  formatChange,
  formatCondition,
  type Kind,
  type Row,
  type Store,
} from "./store.ts";

/** Where etcd is, and who we are there. */
export interface EtcdSettings {
  /** "https://10.0.0.1:2379" */
  readonly endpoints: readonly string[];
  /** Paths of PEM files; null for none. */
  readonly cacert: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly user: string | null;
  readonly password: string | null;
  /** Of all of our keys: "/tsnet/". */
  readonly prefix: string;
}

/** Other than what is usual. */
export interface EtcdOptions extends Partial<FollowingOptions> {
  /** How long a call may take. */
  readonly timeoutMs?: number;
  /** Is told of each value in etcd that is left out, because it is none of ours, once. */
  readonly skip?: (error: TsnetError) => void;
}

interface FirstPage {
  readonly entries: readonly Entry[];
  readonly pages: ReturnType<EtcdKeys["pages"]>;
}

/** What etcd takes in one transaction unless it is told otherwise: its --max-txn-ops. */
const maxTransactionChanges = 128;

/** A little less than the five seconds that a request for a shared pool may take. */
const usualTimeoutMs = 4_500;

/** So long is waited for calls that are under way when it is closed: Docker gives a plugin ten seconds to end. */
const closingMs = 1_000;

/** An idle host costs etcd one small request in this time. */
const usualCheckMs = 5_000;

export class EtcdStore implements Store {
  readonly maxChanges = maxTransactionChanges;
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #position: EtcdPosition;
  readonly #followingOptions: FollowingOptions;
  readonly #name: string;
  readonly #pending = new Set<Promise<unknown>>();
  readonly #followings = new Set<EtcdFollowing>();
  /** Takes the followers that come in this turn. */
  #gathering: EtcdFollowing | undefined;
  /** Ends when all that has an order has been asked. */
  #turn: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  private constructor(client: EtcdClient, settings: EtcdSettings, options: EtcdOptions) {
    this.#client = client;
    this.#keys = new EtcdKeys(settings.prefix, options.skip);
    this.#position = new EtcdPosition(client, settings.prefix);
    this.#name = `etcd at ${settings.endpoints.join(", ")}`;
    this.#followingOptions = { checkMs: options.checkMs ?? usualCheckMs, report: options.report ?? (() => {}) };
  }

  /**
   * Reads the certificates. Etcd itself is first asked by the first call: it may be away.
   * @throws TsnetError "invalid", which names the setting and the file
   */
  static async open(settings: EtcdSettings, options: EtcdOptions = {}): Promise<EtcdStore> {
    const secureContext = await readTls(settings);
    const client = new EtcdClient({ ...settings, secureContext, timeoutMs: options.timeoutMs ?? usualTimeoutMs });
    return new EtcdStore(client, settings, options);
  }

  /**
   * Remembers on this host's disk where etcd is, so that one that has lost something is noticed after a restart, too. Before
   * anybody follows.
   * @throws TsnetError "store" if the disk cannot be read
   */
  resume(disk: Pick<Store, "get" | "commit">): Promise<void> {
    return this.#position.resume(disk);
  }

  /** Takes the time of one call for each 250 records. */
  async list(kind: Kind): Promise<ReadonlyMap<string, unknown>> {
    return await this.#track(async () => {
      const deadline = this.#client.deadline();
      // the first page decides which state it is; commits that come later may go on while the others are read
      for (let first = await this.#inTurn(() => this.#firstPage(kind, deadline)); ; ) {
        const values = await this.#rest(first);
        if (values) return values;
        first = await this.#firstPage(kind, this.#client.deadline());
      }
    });
  }

  async each(kind: Kind, use: (id: string, value: unknown) => void): Promise<void> {
    for (const [id, value] of await this.list(kind)) use(id, value);
  }

  async get(kind: Kind, id: string): Promise<unknown> {
    return await this.#track(async () => {
      const options = { isRead: true, deadline: this.#client.deadline() };
      return this.#keys.valueOf(await this.#client.call("/v3/kv/range", this.#keys.one(kind, id), options));
    });
  }

  async commit(changes: readonly Change[]): Promise<void> {
    const rows = this.#rowsOf(changes);
    const deadline = this.#client.deadline();
    await this.#track(async () => {
      if (rows.length > 0) await this.#inTurn(() => this.#transact(rows, [], deadline));
    });
  }

  async commitIf(changes: readonly Change[], conditions: readonly Condition[]): Promise<boolean> {
    const rows = this.#rowsOf(changes, conditions);
    const conditionRows = conditions.map(formatCondition);
    return await this.#track(() => this.#transact(rows, conditionRows, this.#client.deadline()));
  }

  /** Those who begin to follow in the same turn share a watch: they are reset together. */
  follow(kind: Kind, follower: Follower): Following {
    this.#assertOpen();
    if (!this.#gathering) {
      const following = new EtcdFollowing(this.#client, this.#keys, this.#position, this.#followingOptions);
      this.#gathering = following;
      this.#followings.add(following);
      queueMicrotask(() => {
        this.#gathering = undefined;
        following.start();
      });
    }
    const following = this.#gathering;
    const { ready, end } = following.add(kind, follower);
    return { ready, end: () => end().finally(() => following.isEnded && this.#followings.delete(following)) };
  }

  /** What etcd has not answered soon fails: it may have been done or not. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all([...this.#followings].map((following) => following.end()));
      await this.#position.close();
      const timer = setTimeout(() => this.#client.close(), closingMs);
      await Promise.allSettled(this.#pending);
      clearTimeout(timer);
      this.#client.close();
    })();
    return this.#closing;
  }

  async #firstPage(kind: Kind, deadline: number): Promise<FirstPage> {
    let isFirst = true;
    const pages = this.#keys.pages(this.#client, kind, null, () => {
      const by = isFirst ? deadline : this.#client.deadline();
      isFirst = false;
      return { isRead: true, deadline: by };
    });
    return { entries: (await pages.next()).value?.entries ?? [], pages };
  }

  /** All records of the state of the first page; undefined if etcd has forgotten that state meanwhile. */
  async #rest({ entries, pages }: FirstPage): Promise<Map<string, unknown> | undefined> {
    const values = new Map(entries.map(({ id, value }) => [id, value]));
    try {
      for await (const page of pages) for (const { id, value } of page.entries) values.set(id, value);
      return values;
    } catch (error) {
      if (error instanceof TsnetError && /has been compacted/.test(error.message)) return undefined;
      throw error;
    }
  }

  async #transact(rows: readonly Row[], conditions: readonly ConditionRow[], deadline: number): Promise<boolean> {
    const body = this.#keys.transaction(rows, conditions);
    const answer: Body = await this.#client.call("/v3/kv/txn", body, { isRead: rows.length === 0, deadline });
    return answer.succeeded === true;
  }

  #rowsOf(changes: readonly Change[], conditions: readonly Condition[] = []): Row[] {
    assertFits(this.#name, this.maxChanges, changes, conditions);
    return changes.map(formatChange);
  }

  #assertOpen(): void {
    if (this.#closing) throw new TsnetError("store", `the connection to ${this.#name} is closed`);
  }

  /** Begins something that is waited for when the store is closed. */
  async #track<T>(work: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    const promise = work();
    this.#pending.add(promise);
    try {
      return await promise;
    } finally {
      this.#pending.delete(promise);
    }
  }

  /** Runs one thing after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

async function readTls({ cacert, cert, key }: EtcdSettings): Promise<SecureContext> {
  const read = async (name: string, path: string | null): Promise<Buffer | undefined> => {
    if (path === null) return undefined;
    return await readFile(path).catch((cause: unknown) => {
      throw new TsnetError("invalid", `TSNET_ETCD_${name}=${path}`, { cause });
    });
  };
  const [ca, ours, ourKey] = await Promise.all([read("CACERT", cacert), read("CERT", cert), read("KEY", key)]);
  try {
    return makeSecureContext({ ...(ca && { ca }), ...(ours && { cert: ours }), ...(ourKey && { key: ourKey }) });
  } catch (cause) {
    const files = { TSNET_ETCD_CACERT: cacert, TSNET_ETCD_CERT: cert, TSNET_ETCD_KEY: key };
    const given = Object.entries(files).flatMap(([name, path]) => (path === null ? [] : [`${name}=${path}`]));
    const what = "expected PEM files, and the key of the certificate";
    throw new TsnetError("invalid", `${given.join(", ")}: ${what}`, { cause });
  }
}
