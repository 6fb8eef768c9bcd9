import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { SqliteStore } from "../../../src/store/sqlite-store.ts";
import type { Change } from "../../../src/store/store.ts";
import { errorOf } from "../../support/store-changes.ts";

const support = (name: string) => new URL(`../../support/${name}`, import.meta.url);
const network = (id: string, value: object = {}): Change => ({ put: "network", id, value });

describe("SqliteStore.open", () => {
  let directory: string;
  let path: string;
  const open: SqliteStore[] = [];
  const openStore = async (...parameters: Parameters<typeof SqliteStore.open>) => {
    const store = await SqliteStore.open(...parameters);
    open.push(store);
    return store;
  };
  /** Looks into the file, or changes it, with nothing of ours. */
  const inFile = <T>(work: (database: DatabaseSync) => T): T => {
    const database = new DatabaseSync(path);
    try {
      return work(database);
    } finally {
      database.close();
    }
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tsnet-store-"));
    path = join(directory, "tsnet.db");
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((store) => store.close().catch(() => {})));
    rmSync(directory, { recursive: true });
  });

  describe("refuses", () => {
    it("a file that another process has open, and opens it once that has ended", async function () {
      this.timeout(10_000);
      const child = spawn(process.execPath, [support("commit-forever.ts").pathname, directory]);
      await once(child.stdout, "data");
      const error = await errorOf(SqliteStore.open(directory));
      child.kill("SIGKILL");
      await once(child, "exit");
      expect(error.code).to.equal("store");
      expect(error.message).to.equal(
        `${path} is in use by another process: run one tsnet per state directory (TSNET_STATE_DIR) (database is locked)`,
      );
      expect((await (await openStore(directory)).list("network")).size).to.be.greaterThan(0);
    });

    it("a file that this process has open already, without letting go of it", async function () {
      this.timeout(10_000);
      const store = await openStore(directory);
      expect((await errorOf(SqliteStore.open(directory))).message).to.contain("is in use by another process");
      await store.commit([network("a")]);
      const child = spawn(process.execPath, [support("commit-forever.ts").pathname, directory]);
      expect(await text(child.stderr)).to.contain("is in use by another process");
    });

    const cases: readonly { what: string; prepare: () => void; message: RegExp }[] = [
      {
        what: "what is not a database",
        prepare: () => writeFileSync(path, "hello, this is not a database\n".repeat(100)),
        message: /tsnet\.db is not a SQLite database: move it away/,
      },
      {
        what: "a damaged file",
        prepare: () => {
          inFile((database) =>
            database.exec("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"),
          );
          const bytes = readFileSync(path);
          writeFileSync(path, bytes.fill(0xff, 100, 4096));
        },
        message: /tsnet\.db is damaged: restore it from a backup, or move it away to start afresh/,
      },
      {
        what: "the database of another program",
        prepare: () => inFile((database) => database.exec("CREATE TABLE songs (title TEXT)")),
        message: /tsnet\.db is a database of another program \(tables: songs\): move it away/,
      },
      {
        what: "a file of a newer tsnet",
        prepare: () =>
          inFile((database) =>
            database.exec("CREATE TABLE meta (key, value); INSERT INTO meta VALUES ('schema_version', '2')"),
          ),
        message: /tsnet\.db was written by a newer tsnet \(schema 2, this one knows 1\): upgrade tsnet, or move/,
      },
      {
        what: "a file with a strange version",
        prepare: () => inFile((database) => database.exec("CREATE TABLE meta (key, value)")),
        message: /tsnet\.db has no schema version that tsnet knows \(undefined\): move it away/,
      },
      {
        what: "a directory in the place of the file",
        prepare: () => mkdirSync(path),
        message: /tsnet\.db cannot be opened/,
      },
    ];
    for (const { what, prepare, message } of cases) {
      it(what, async () => {
        prepare();
        const error = await errorOf(SqliteStore.open(directory));
        expect(error.code).to.equal("store");
        expect(error.message).to.match(message).and.to.contain(path);
      });
    }

    it("to list what is not JSON, and names the record", async () => {
      const store = await openStore(directory);
      await store.commit([network("a"), network("b")]);
      await store.close();
      inFile((database) => database.exec("UPDATE record SET value = '{' WHERE id = 'b'"));
      const error = await errorOf((await openStore(directory)).list("network"));
      expect([error.code, error.message]).to.deep.equal([
        "store",
        "record network b is not JSON; remove it from tsnet.db or move the file away",
      ]);
    });

    it("a state directory that is a file", async () => {
      const file = join(directory, "file");
      writeFileSync(file, "");
      for (const place of [file, join(file, "below")]) {
        expect((await errorOf(SqliteStore.open(place))).message).to.match(
          /is not a directory: set TSNET_STATE_DIR to one/,
        );
      }
    });

    it("a state directory that cannot be made", async () => {
      const error = await errorOf(SqliteStore.open("/proc/tsnet"));
      expect(error.message).to.match(
        /^\/proc\/tsnet cannot be made: set TSNET_STATE_DIR to another directory \(ENOENT/,
      );
      expect(existsSync("/proc/tsnet")).to.equal(false);
    });
  });
});
