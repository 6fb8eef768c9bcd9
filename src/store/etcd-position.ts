/** Where etcd was when it was last heard of: it only counts up, and keeps its ID. If it is behind, or another, it has lost something. */
import { TsnetError } from "../errors.ts";
import type { EtcdClient } from "./etcd-client.ts";
import type { Store } from "./store.ts";

/** Where it is kept on this host's disk. */
const kind = "cluster";
const id = "etcd";

/**
 * How often it is written: after a crash, a backup that is younger than that is not noticed. And so long it is not written after a
 * loss: those who follow, who may begin late, have written by then what they await. Of a process that ends before, the next one finds
 * the loss again.
 */
const usualSaveMs = 60_000;

/** As it is on the disk. */
interface Saved {
  readonly cluster: string;
  readonly prefix: string;
  readonly revision: string;
}

export class EtcdPosition {
  /** How often etcd was found not to be what it was. */
  losses = 0;
  readonly #client: EtcdClient;
  readonly #prefix: string;
  /** The ID of the cluster that all was last told of. */
  #cluster = "";
  #disk: Pick<Store, "get" | "commit"> | undefined;
  #saved = "";
  #saveMs = usualSaveMs;
  #timer: NodeJS.Timeout | undefined;
  /** When etcd was last found not to be what it was, by performance.now(). */
  #lostAt = Number.NEGATIVE_INFINITY;

  /** @param prefix of all keys */
  constructor(client: EtcdClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  /**
   * Goes on where an earlier process was. Before anybody follows.
   * @throws TsnetError "store" if the disk cannot be read
   */
  async resume(disk: Pick<Store, "get" | "commit">, saveMs = usualSaveMs): Promise<void> {
    const { cluster, prefix, revision } = ((await disk.get(kind, id)) ?? {}) as Partial<Saved>;
    if (typeof cluster === "string" && /^\d+$/.test(`${revision}`)) {
      this.#cluster = prefix === this.#prefix ? cluster : `what is below TSNET_ETCD_PREFIX=${prefix}`;
      this.#client.revision = BigInt(`${revision}`);
    }
    this.#disk = disk;
    this.#saveMs = saveMs;
    this.#timer = setInterval(() => void this.#save(), saveMs).unref();
  }

  /**
   * Compares what is told with what was.
   * @param before client.revision when it was asked for
   * @param revision that it is of
   * @returns the error if etcd is not what it was, once, however many follow
   */
  compare(before: bigint, revision: bigint): TsnetError | undefined {
    const { cluster } = this.#client;
    const [was, isOther] = [this.#cluster, this.#cluster !== "" && this.#cluster !== cluster];
    this.#cluster = cluster;
    // where it has been lowered meanwhile, another follower has found it
    const isBehind = revision < before && this.#client.revision >= before;
    if (!isBehind && !isOther) return undefined;
    this.#client.revision = revision;
    this.losses++;
    this.#lostAt = performance.now();
    const what = isOther
      ? `etcd is another cluster than it was, ${cluster} instead of ${was}`
      : `etcd has gone back from revision ${before} to ${revision}`;
    const why = "it was restored from a backup, or made anew, and has lost what was changed since";
    const todo =
      "hosts put back what they have; if it is not the one that it should be, set TSNET_ETCD_ENDPOINTS, and restart tsnet";
    return new TsnetError("store", `${what}: ${why}: ${todo}`);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#save();
    this.#disk = undefined;
  }

  async #save(): Promise<void> {
    if (this.#cluster === "" || this.#disk === undefined || performance.now() - this.#lostAt < this.#saveMs) return;
    const value: Saved = { cluster: this.#cluster, prefix: this.#prefix, revision: `${this.#client.revision}` };
    const text = JSON.stringify(value);
    if (text === this.#saved) return;
    // a disk that is full is said where something is asked for
    await this.#disk.commit([{ put: kind, id, value }]).then(
      () => {
        this.#saved = text;
      },
      () => {},
    );
  }
}
