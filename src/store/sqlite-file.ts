/** The database file of a host: a table of JSON records. Everything here blocks; only the worker thread may use it. */
import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { explainStorageError } from "./sqlite-error.ts";
import { type ConditionRow, holds, type Kind, type Row } from "./store.ts";

/** The version of the tables below. */
const schemaVersion = 1;

const schema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE record (kind TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema_version', '${schemaVersion}');
`;

/**
 * EXCLUSIVE keeps a second plugin out, until this process ends in whatever way, and needs no -shm file, which a full disk could
 * make a signal (https://sqlite.org/wal.html, section 8). The cache is in KiB.
 */
const pragmas = `
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA cache_size = -512;
PRAGMA journal_size_limit = 4194304;
`;

/** How many rows are read at a time: few, so that those who use them have a turn of 1 ms, and keep a small heap. */
const rowsPerPage = 100;

/** How long to wait for an older process that is just ending. */
const lockTimeoutMs = 1000;

export class SqliteFile {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #page: StatementSync;
  readonly #get: StatementSync;
  #synchronous = "FULL";

  /** @throws Error, whose message names the path and says what to do */
  constructor(path: string) {
    this.#path = path;
    try {
      createFile(path);
      this.#database = openDatabase(path);
    } catch (error) {
      throw new Error(explainStorageError(error, path), { cause: error });
    }
    this.#put = this.#database.prepare("INSERT OR REPLACE INTO record VALUES (?, ?, ?)");
    this.#remove = this.#database.prepare("DELETE FROM record WHERE kind = ? AND id = ?");
    this.#page = this.#database.prepare("SELECT id, value FROM record WHERE kind = ? AND id > ? ORDER BY id LIMIT ?");
    this.#page.setReturnArrays(true);
    this.#get = this.#database.prepare("SELECT value FROM record WHERE kind = ? AND id = ?");
  }

  /**
   * The next records of a kind after this ID: ID and JSON text in turn. None are left if it is empty.
   * @throws Error, whose message names the path and says what to do
   */
  page(kind: Kind, after: string): string[] {
    try {
      return (this.#page.all(kind, after, rowsPerPage) as unknown as string[][]).flat();
    } catch (error) {
      throw new Error(explainStorageError(error, this.#path), { cause: error });
    }
  }

  /**
   * The JSON text of a record, or nothing.
   * @throws Error, whose message names the path and says what to do
   */
  get(kind: Kind, id: string): string[] {
    try {
      const text = this.#text(kind, id);
      return text === undefined ? [] : [text];
    } catch (error) {
      throw new Error(explainStorageError(error, this.#path), { cause: error });
    }
  }

  /**
   * Writes a commit in a transaction of its own, if all of the conditions hold.
   * @returns whether they did
   * @throws Error, whose message names the path and says what to do; then nothing was changed
   */
  writeIf(rows: readonly Row[], conditions: readonly ConditionRow[]): boolean {
    let isMet = false;
    const refusal = this.#transact(rows, () => {
      isMet = conditions.every((row) => holds(row, this.#text(row[0], row[1])));
      return isMet;
    });
    if (refusal !== null) throw new Error(refusal);
    return isMet;
  }

  /** Writes commits in one transaction; if it fails, each in one of its own. The answer holds, for each, why it was refused. */
  write(commits: readonly (readonly Row[])[]): (string | null)[] {
    const refusal = this.#transact(commits.flat());
    if (refusal === null || commits.length === 1) return commits.map(() => refusal);
    return commits.map((rows) => this.#transact(rows));
  }

  close(): void {
    this.#database.close();
  }

  /**
   * FULL waits for the disk at each commit, and with it for all that came before. NORMAL leaves that to the system, which keeps
   * the commit if this process dies, but not if the power fails (https://sqlite.org/wal.html, section 2): enough for an
   * endpoint, since a power cut ends its container as well.
   */
  #setSynchronous(mode: "NORMAL" | "FULL"): void {
    if (mode !== this.#synchronous) this.#database.exec(`PRAGMA synchronous = ${mode}`);
    this.#synchronous = mode;
  }

  /** @param isMet looked at in the transaction: nothing is written if it is false */
  #transact(rows: readonly Row[], isMet: () => boolean = () => true): string | null {
    try {
      this.#setSynchronous(rows.every(([kind]) => kind === "endpoint") ? "NORMAL" : "FULL");
      this.#database.exec("BEGIN IMMEDIATE");
      for (const [kind, id, text] of isMet() ? rows : []) {
        if (text === null) this.#remove.run(kind, id);
        else this.#put.run(kind, id, text);
      }
      this.#database.exec("COMMIT");
      return null;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      return `${explainStorageError(error, this.#path)}; nothing was changed`;
    }
  }

  #text = (kind: Kind, id: string): string | undefined => this.#get.get(kind, id)?.["value"] as string | undefined;
}

/** Makes the file, and the directory that it is in, for root alone. SQLite gives its -wal file the mode of the file. */
function createFile(path: string): void {
  ensureDirectory(dirname(path));
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    // An existing file must not be opened here: closing it would drop the locks that this process holds on it (man 2 fcntl).
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    chmodSync(path, 0o600);
  }
}

/** Not mkdir's own `recursive`, which never returns where a directory exists and takes no entries, as in /proc (Node 24.21). */
function ensureDirectory(path: string): void {
  const parent = dirname(path);
  try {
    if (!existsSync(parent)) ensureDirectory(parent);
    mkdirSync(path, { mode: 0o700 });
    syncDirectory(parent);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !statSync(path).isDirectory()) throw error;
  }
}

/** Without it a new entry may be lost when the power fails (man 2 fsync). */
function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: lockTimeoutMs });
  try {
    database.exec(pragmas);
    ensureSchema(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function ensureSchema(database: DatabaseSync): void {
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").all();
  if (tables.length === 0) database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
  else if (!tables.some(({ name }) => name === "meta")) {
    const names = tables.map(({ name }) => name).join(", ");
    throw new Error(`is a database of another program (tables: ${names}): move it away`);
  }
  const row = database.prepare("SELECT value FROM meta WHERE key = 'schema_version'").get();
  if (row?.["value"] === String(schemaVersion)) return;
  const text = String(row?.["value"]);
  if (!(Number(text) > schemaVersion))
    throw new Error(`has no schema version that tsnet knows (${text}): move it away`);
  const versions = `schema ${text}, this one knows ${schemaVersion}`;
  throw new Error(`was written by a newer tsnet (${versions}): upgrade tsnet, or move the file away to start afresh`);
}
