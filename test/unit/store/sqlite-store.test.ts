import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { SqliteStore } from "../../../src/store/sqlite-store.ts";
import type { Change } from "../../../src/store/store.ts";
import { until } from "../../support/poll.ts";
import { errorOf } from "../../support/store-changes.ts";
import { behavesAsStore } from "../../support/store-contract.ts";

const support = (name: string) => new URL(`../../support/${name}`, import.meta.url);
const network = (id: string, value: object = {}): Change => ({ put: "network", id, value });

behavesAsStore("SqliteStore", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tsnet-store-"));
  const store = await SqliteStore.open(directory);
  return { store, dispose: () => store.close().finally(() => rmSync(directory, { recursive: true })) };
});

describe("SqliteStore", () => {
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

  it("has everything again after it was closed", async () => {
    const first = await openStore(directory);
    await first.commit([network("a", { mtuBytes: 1400 }), network("b")]);
    await first.commit([{ remove: "network", id: "b" }]);
    await first.close();
    expect(await (await openStore(directory)).list("network")).to.deep.equal(new Map([["a", { mtuBytes: 1400 }]]));
  });

  it("makes the directory for root alone, and the files too", async () => {
    const inner = join(directory, "state", "tsnet");
    const store = await openStore(inner);
    await store.commit([network("a")]);
    const modeOf = (name: string) => statSync(join(inner, name)).mode & 0o777;
    expect([modeOf("."), modeOf("tsnet.db"), modeOf("tsnet.db-wal")]).to.deep.equal([0o700, 0o600, 0o600]);
  });

  it("takes rights away from a file that others could read", async () => {
    writeFileSync(path, "", { mode: 0o644 });
    await openStore(directory);
    expect(statSync(path).mode & 0o777).to.equal(0o600);
  });

  it("keeps its format on disk", async () => {
    const store = await openStore(directory);
    await store.commit([
      network("4f2a", { mode: "bridge" }),
      { put: "lease", id: "tsnet-local/10.0.0.2", value: { n: 1 } },
    ]);
    await store.close();
    expect(readFileSync(path).subarray(0, 16).toString("latin1")).to.equal("SQLite format 3\0");
    const dump = inFile((database) => ({
      schema: database
        .prepare("SELECT sql FROM sqlite_master ORDER BY name")
        .all()
        .map(({ sql }) => sql),
      meta: database
        .prepare("SELECT * FROM meta")
        .all()
        .map((row) => ({ ...row })),
      records: database
        .prepare("SELECT * FROM record")
        .all()
        .map((row) => ({ ...row })),
      journal: { ...database.prepare("PRAGMA journal_mode").get() },
    }));
    expect(dump).to.deep.equal({
      schema: [
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE record (kind TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID",
      ],
      meta: [{ key: "schema_version", value: "1" }],
      records: [
        { kind: "lease", id: "tsnet-local/10.0.0.2", value: '{"n":1}' },
        { kind: "network", id: "4f2a", value: '{"mode":"bridge"}' },
      ],
      journal: { journal_mode: "wal" },
    });
  });

  it("puts commits that arrive together into few transactions", async () => {
    const store = await openStore(directory);
    const before = statSync(`${path}-wal`).size;
    await Promise.all(Array.from({ length: 1000 }, (_, n) => store.commit([network(String(n))])));
    // A transaction writes a frame (24 + 4096 bytes) for each page that it changes: one by one, this would be 1000 frames and more.
    expect((statSync(`${path}-wal`).size - before) / 4120).to.be.lessThan(60);
    expect((await store.list("network")).size).to.equal(1000);
  });

  it("refuses only the guilty of commits that share a transaction", async () => {
    await (await openStore(directory)).close();
    inFile((database) =>
      database.exec(`CREATE TRIGGER refuse BEFORE INSERT ON record WHEN NEW.id = 'guilty'
                     BEGIN SELECT RAISE(ABORT, 'refused by a trigger'); END`),
    );
    const store = await openStore(directory);
    const results = await Promise.allSettled([
      store.commit([network("a")]),
      store.commit([network("b"), network("guilty"), network("c")]),
      store.commit([network("d")]),
    ]);
    expect(results.map(({ status }) => status)).to.deep.equal(["fulfilled", "rejected", "fulfilled"]);
    const error = await errorOf(store.commit([network("guilty")]));
    expect(error.message).to.equal(`${path}: refused by a trigger; nothing was changed`);
    expect([...(await store.list("network")).keys()]).to.deep.equal(["a", "d"]);
  });

  it("refuses a record that is too large, by name", async () => {
    const store = await openStore(directory);
    const error = await errorOf(store.commit([network("huge", { text: "x".repeat(1 << 20) })]));
    expect(error.message).to.equal("the record of network huge is larger than 1048576 characters");
    await store.commit([network("small", { text: "x".repeat(1000000) })]);
  });

  it("writes and lists a hundred thousand records, and removes them in one commit", async function () {
    this.timeout(20_000);
    const store = await openStore(directory);
    const ids = Array.from(
      { length: 100_000 },
      (_, n) => `tsnet-local/2001:db8:1111:2222:3333:4444:5555:${n.toString(16)}`,
    );
    await Promise.all(
      ids.map((id) => store.commit([{ put: "lease", id, value: { pool: "tsnet-local/2001:db8::/32" } }])),
    );
    expect((await store.list("lease")).size).to.equal(100_000);
    await store.commit(ids.map((id) => ({ remove: "lease", id })));
    expect((await store.list("lease")).size).to.equal(0);
  });

  it("has every acknowledged commit, and each as a whole, after kill -9", async function () {
    this.timeout(20_000);
    for (const afterMs of [50, 200, 400]) {
      const child = spawn(process.execPath, [support("commit-forever.ts").pathname, directory]);
      const [output, complaints] = [text(child.stdout), text(child.stderr)];
      let read = "";
      child.stdout.on("data", (chunk) => {
        read += chunk;
      });
      await until("more than ten commits", 5000, () => read.split("\n").length > 11);
      setTimeout(() => child.kill("SIGKILL"), afterMs);
      const [, signal] = await once(child, "exit");
      expect(signal, await complaints).to.equal("SIGKILL");
      const acknowledged = (await output).split("\n").slice(0, -1);
      expect(acknowledged.length).to.be.greaterThan(10);

      const store = await openStore(directory);
      const networks = await store.list("network");
      expect(acknowledged.filter((id) => !networks.has(id))).to.deep.equal([]);
      expect([...(await store.list("endpoint")).keys()]).to.deep.equal([...networks.keys()]);
      await store.commit(
        [...networks.keys()].flatMap(
          (id) =>
            [
              { remove: "network", id },
              { remove: "endpoint", id },
            ] as const,
        ),
      );
      await store.close();
    }
  });

  it("rejects what waits, and all that follows, when its thread dies", async () => {
    const store = await openStore(directory, support("dying-worker.ts"));
    const pending = [store.commit([network("a")]), store.list("network"), store.commit([network("b")])];
    const errors = await Promise.all([...pending, store.commit([network("c")])].map(errorOf));
    errors.push(await errorOf(store.commit([network("d")])), await errorOf(store.list("network")));
    for (const error of errors) {
      expect(error.code).to.equal("store");
      expect(explain(error)).to.equal(`the thread that writes ${path} has ended: restart tsnet: out of luck`);
    }
  });

  it("opens again a file that lost its right to be written", async () => {
    await (await openStore(directory)).close();
    chmodSync(path, 0o400);
    await (await openStore(directory)).commit([network("a")]);
    expect(statSync(path).mode & 0o777).to.equal(0o600);
  });
});
