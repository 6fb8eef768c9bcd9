import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import { SqliteStore } from "../../../../src/store/sqlite-store.ts";
import type { Change } from "../../../../src/store/store.ts";
import { openPools } from "../../../support/pools-lab.ts";

const pool = "tsnet-local/10.0.0.0/16";

const lease = (n: number): Change => {
  const address = `10.0.${n >> 8}.${n & 255}`;
  const value = {
    pool,
    address,
    grant: `g${n}`,
    role: "endpoint",
    identity: null,
    sinceMs: n,
    hosts: [],
    restsUntilMs: null,
  };
  return { put: "lease", id: `tsnet-local/${address}`, value };
};

describe("pools that are restored from a disk with many leases", () => {
  let directory: string;
  let store: SqliteStore;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "tsnet-restore-"));
    store = await SqliteStore.open(directory);
    const record = { addressSpace: "tsnet-local", subnet: "10.0.0.0/16", subPool: null, lastAllocated: null };
    await store.commit([{ put: "pool", id: pool, value: record }]);
    await store.commit(Array.from({ length: 20_000 }, (_, n) => lease(n + 1)));
  });
  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  });

  it("have them all, and let others run meanwhile", async function () {
    this.timeout(20_000);
    let turns = 0;
    let isRestored = false;
    const counting = (async () => {
      for (; !isRestored; turns++) await setImmediate();
    })();
    const pools = await openPools(store);
    isRestored = true;
    await counting;
    // 100 leases at most between two turns.
    expect(turns).to.be.greaterThan(150);
    expect([...pools.leasesOf(pool)].map(({ grant }) => grant)).to.deep.equal(
      Array.from({ length: 20_000 }, (_, n) => `g${n + 1}`),
    );
    expect(await pools.requestAddress({ poolId: pool, address: "", options: {} }, false)).to.equal("10.0.78.33/16");
  });
});
