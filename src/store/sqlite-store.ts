/**
 * The durable state of a host in one SQLite file. Its thread has one request at a time; the commits that arrive meanwhile become
 * the next request together, so that any number of callers waits for the disk at most twice.
 */
import { join } from "node:path";
import { explain, TsnetError } from "../errors.ts";
import { Followers } from "./followers.ts";
import { SqliteThread } from "./sqlite-thread.ts";
import {
  type Change,
  type Condition,
  type Follower,
  type Following,
  formatChange,
  formatCondition,
  type Kind,
  parseValue,
  type Row,
  type Store,
} from "./store.ts";

/** A commit that waits. */
interface Commit {
  readonly rows: readonly Row[];
  /** Called when it is durable, or with the reason why nothing was changed. */
  readonly settle: (refusal: string | null) => void;
}

/** What waits for the thread, in order: commits, and what it does by itself. */
type Job = Commit | (() => Promise<void>);

/** The most characters of JSON in a record, and, but for the last record, in a transaction: the heap of the thread is small. */
const maxCharacters = 1 << 20;

export class SqliteStore implements Store {
  readonly maxChanges = Number.POSITIVE_INFINITY;
  readonly #thread: SqliteThread;
  readonly #followers = new Followers();
  readonly #jobs: Job[] = [];
  #running = false;
  #closing: Promise<void> | undefined;

  private constructor(thread: SqliteThread) {
    this.#thread = thread;
  }

  /**
   * Opens `<directory>/tsnet.db`, mode 0600; makes it, and the directory with mode 0700, if need be. Nobody else can open it
   * until it is closed or the process ends.
   * @param worker the thread's program; tests have others
   * @throws TsnetError "store", which names the path and says what to do
   */
  static async open(directory: string, worker?: URL): Promise<SqliteStore> {
    const path = join(directory, "tsnet.db");
    const thread = new SqliteThread(path, worker);
    await thread.ask({ do: "open", path }).catch(async (error: unknown) => {
      await thread.end();
      throw error;
    });
    return new SqliteStore(thread);
  }

  list(kind: Kind): Promise<ReadonlyMap<string, unknown>> {
    return this.#read(() => this.#list(kind));
  }

  each(kind: Kind, use: (id: string, value: unknown) => void): Promise<void> {
    return this.#read(() => this.#each(kind, use));
  }

  get(kind: Kind, id: string): Promise<unknown> {
    return this.#read(async () => {
      const [text] = await this.#thread.ask({ do: "get", kind, id });
      return text === undefined || text === null ? undefined : parseValue(kind, id, text);
    });
  }

  async commit(changes: readonly Change[]): Promise<void> {
    this.#assertOpen();
    const rows = rowsOf(changes);
    if (rows.length === 0) return;
    const refusal = await new Promise<string | null>((settle) => this.#enqueue({ rows, settle }));
    if (refusal !== null) throw new TsnetError("store", refusal);
  }

  async commitIf(changes: readonly Change[], conditions: readonly Condition[]): Promise<boolean> {
    const rows = rowsOf(changes);
    const conditionRows = conditions.map(formatCondition);
    return await this.#read(async () => {
      const done = await this.#thread.ask({ do: "write-if", rows, conditions: conditionRows });
      if (done.length > 0) this.#followers.publish(rows);
      return done.length > 0;
    });
  }

  follow(kind: Kind, follower: Follower): Following {
    return this.#followers.add(kind, follower, (begin) => this.#read(async () => begin(await this.#list(kind))));
  }

  close(): Promise<void> {
    this.#closing ??= this.#read(async () => {
      this.#followers.clear();
      await this.#thread.ask({ do: "close" });
      await this.#thread.end();
    });
    return this.#closing;
  }

  async #list(kind: Kind): Promise<Map<string, unknown>> {
    const values = new Map<string, unknown>();
    await this.#each(kind, (id, value) => values.set(id, value));
    return values;
  }

  async #each(kind: Kind, use: (id: string, value: unknown) => void): Promise<void> {
    for (let after = ""; ; ) {
      const page = await this.#thread.ask({ do: "page", kind, after });
      if (page.length === 0) return;
      for (let index = 0; index < page.length; index += 2) {
        after = page[index] ?? "";
        use(after, parseValue(kind, after, page[index + 1] ?? ""));
      }
    }
  }

  /** Work that has the thread for itself, in its turn. */
  async #read<T>(work: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    return await new Promise<T>((resolve, reject) => this.#enqueue(() => work().then(resolve, reject)));
  }

  #assertOpen(): void {
    if (this.#closing) throw new TsnetError("store", `${this.#thread.path} is closed`);
  }

  #enqueue(job: Job): void {
    this.#jobs.push(job);
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => this.#run());
  }

  async #run(): Promise<void> {
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      if (typeof job === "function") {
        this.#jobs.shift();
        await job();
      } else await this.#write(this.#takeCommits());
    }
    this.#running = false;
  }

  /** The commits up to the next read, as many as one request may hold. */
  #takeCommits(): Commit[] {
    let end = 0;
    for (let characters = 0; end < this.#jobs.length && characters < maxCharacters; end++) {
      const job = this.#jobs[end];
      if (job === undefined || typeof job === "function") break;
      characters += job.rows.reduce((sum, [, id, text]) => sum + id.length + (text?.length ?? 0), 0);
    }
    return this.#jobs.splice(0, end) as Commit[];
  }

  async #write(commits: readonly Commit[]): Promise<void> {
    try {
      const refusals = await this.#thread.ask({ do: "write", commits: commits.map(({ rows }) => rows) });
      for (const [index, { rows, settle }] of commits.entries()) {
        const refusal = refusals[index] ?? null;
        if (refusal === null) this.#followers.publish(rows);
        settle(refusal);
      }
    } catch (error) {
      for (const { settle } of commits) settle(explain(error));
    }
  }
}

/** @throws TsnetError "store" if one is too large, by name */
function rowsOf(changes: readonly Change[]): Row[] {
  const rows = changes.map(formatChange);
  const large = rows.find(([, , text]) => (text?.length ?? 0) > maxCharacters);
  if (!large) return rows;
  throw new TsnetError("store", `the record of ${large[0]} ${large[1]} is larger than ${maxCharacters} characters`);
}
