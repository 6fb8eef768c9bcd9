/** On a small disk of its own: run inside `unshare --net --mount`. */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { SqliteStore } from "../../../src/store/sqlite-store.ts";
import type { Change } from "../../../src/store/store.ts";
import { errorOf } from "../../support/store-changes.ts";

const network = (id: string, characters: number): Change => ({
  put: "network",
  id,
  value: { text: "x".repeat(characters) },
});

describe("SqliteStore on a disk that is", () => {
  let disk: string;
  let store: SqliteStore;
  const ballast = () => join(disk, "ballast");

  /** Takes all of the disk but so many bytes. */
  const fillDisk = (leaveBytes = 0) => {
    const file = openSync(ballast(), "w");
    const { bavail, bsize } = statfsSync(disk);
    for (let left = bavail * bsize - leaveBytes; left > 0; left -= bsize) writeSync(file, Buffer.alloc(bsize));
    closeSync(file);
  };

  beforeEach(async () => {
    disk = mkdtempSync(join(tmpdir(), "tsnet-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tsnet-test", disk]);
    store = await SqliteStore.open(disk);
  });
  afterEach(async () => {
    await store.close();
    execFileSync("umount", [disk]);
    rmdirSync(disk);
  });

  it("full: refuses what does not fit, loses nothing, and goes on when there is space again", async () => {
    const committed: string[] = [];
    const refusals: string[] = [];
    fillDisk(500_000);
    for (let n = 0; refusals.length < 3 && n < 1000; n++) {
      await store.commit([network(`n${n}`, 3000), { put: "endpoint", id: `e${n}`, value: {} }]).then(
        () => committed.push(`n${n}`),
        (error: Error) => refusals.push(error.message),
      );
    }
    expect(committed.length).to.be.greaterThan(10);
    const text = `the disk of ${disk} is full: free some space (database or disk is full); nothing was changed`;
    expect(refusals).to.deep.equal([text, text, text]);
    expect([...(await store.list("network")).keys()].sort()).to.deep.equal([...committed].sort());
    expect((await store.list("endpoint")).size).to.equal(committed.length);

    rmSync(ballast());
    await store.commit([network("after", 3000)]);
    await store.close();
    store = await SqliteStore.open(disk);
    expect([...(await store.list("network")).keys()].sort()).to.deep.equal(["after", ...committed].sort());
  });

  it("nearly full: refuses the large one of commits that share a transaction, and takes the small ones", async () => {
    fillDisk(200_000);
    const results = await Promise.allSettled([
      store.commit([network("a", 100)]),
      store.commit([network("large", 400_000)]),
      store.commit([network("b", 100)]),
    ]);
    expect(results.map(({ status }) => status)).to.deep.equal(["fulfilled", "rejected", "fulfilled"]);
    expect([...(await store.list("network")).keys()]).to.deep.equal(["a", "b"]);
  });

  it("full before the first start: says so, and starts when there is space", async () => {
    await store.close();
    for (const name of ["tsnet.db", "tsnet.db-wal"]) rmSync(join(disk, name), { force: true });
    fillDisk();
    const error = await errorOf(SqliteStore.open(disk));
    expect(error.message)
      .to.match(/ is full: free some space/)
      .and.to.contain(disk);
    rmSync(ballast());
    store = await SqliteStore.open(disk);
    await store.commit([network("a", 10)]);
  });

  it("read-only: says so", async () => {
    await store.close();
    execFileSync("mount", ["-o", "remount,ro", disk]);
    const error = await errorOf(SqliteStore.open(disk));
    expect(error.message)
      .to.match(/read-only/)
      .and.to.contain(disk);
    execFileSync("mount", ["-o", "remount,rw", disk]);
    store = await SqliteStore.open(disk);
  });
});
