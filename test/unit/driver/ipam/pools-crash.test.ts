/** Pools whose calls overlap, on a disk that refuses some commits, and a process that may die after each of them. */
import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import fc from "fast-check";
import type { Pools } from "../../../../src/driver/ipam/pools.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import type { Change } from "../../../../src/store/store.ts";
import { gateway, named, openPools, PoolsLab } from "../../../support/pools-lab.ts";

/** Commits take effect in their order when the test says so, and some are refused. What is on the disk can be copied. */
class LateStore extends MemoryStore {
  isRefusing = false;
  readonly #waiting: (() => Promise<void>)[] = [];

  override commit(changes: readonly Change[]): Promise<void> {
    const { isRefusing } = this;
    return new Promise((resolve, reject) => {
      this.#waiting.push(async () => {
        if (isRefusing) return reject(new TsnetError("store", "the disk is full"));
        await super.commit(changes);
        resolve();
      });
    });
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  async settleOne(): Promise<void> {
    await this.#waiting.shift()?.();
  }

  async copy(): Promise<MemoryStore> {
    const copy = new MemoryStore();
    for (const kind of ["pool", "lease"] as const) {
      for (const [id, value] of await this.list(kind)) await copy.commit([{ put: kind, id, value: value as object }]);
    }
    return copy;
  }
}

const subPools = ["", "10.0.0.0/29", "10.0.0.4/30"];
const subnets = ["10.0.0.0/28", "10.0.1.0/30"];
const networks = ["a".repeat(64), "b".repeat(64)];
const optionSets: Record<string, string>[] = [
  {},
  { "tsnet.sticky": "true", "tsnet.sticky_ttl": "20s" },
  { "tsnet.quarantine": "10s" },
];

const step = fc.record({
  call: fc.constantFrom(
    ...(["pool", "pool", "drop pool", "any", "any", "any", "any", "named", "named", "gateway"] as const),
    ...(["release", "release", "release", "attach", "grants", "grant", "time", "settle", "settle", "settle"] as const),
  ),
  fails: fc.nat(4).map((n) => n === 0),
  n: fc.nat(1000),
  m: fc.nat(1000),
  turns: fc.nat(2),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const pick = <T>(list: readonly T[], n: number): T | undefined => list[n % Math.max(1, list.length)];

/** What is on the disk, or in memory: pools, and their leases. */
const dump = (pools: Pools) =>
  pools
    .pools()
    .map(({ id, network, used, resting, free }) => ({
      ...{ id, network, used, resting, free },
      leases: [...pools.leasesOf(id)],
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));

class Trial {
  readonly store = new LateStore();
  readonly lab = new PoolsLab();
  nowMs = this.lab.nowMs;
  pools!: Pools;
  /** "10.0.0.2/28" that somebody has been told to have, and whose release nobody has asked for: with the pool and the grant. */
  readonly owned = new Map<string, { pool: string; grant: string }>();
  /** Grants that are given back: nobody may find them held again. */
  readonly gone = new Set<string>();
  /** Pools that are on their way out. */
  readonly dropping = new Set<string>();
  readonly running: Promise<unknown>[] = [];
  failed = 0;
  given = 0;

  async open(): Promise<void> {
    this.pools = await openPools(this.store, { now: () => this.nowMs });
  }

  begin(work: Promise<unknown>): void {
    this.running.push(
      work.catch((error: unknown) => {
        if (!(error instanceof TsnetError)) throw error;
        this.failed++;
      }),
    );
  }

  grantOf(pool: string, address: string): string {
    return [...this.pools.leasesOf(pool)].find((lease) => lease.address === address)?.grant ?? "";
  }

  take(poolId: string, address: string, options: Record<string, string>): void {
    this.begin(
      this.pools.requestAddress({ poolId, address, options }, false).then((given) => {
        expect(this.owned.has(given), `${given} twice`).to.equal(false);
        this.given++;
        const ip = given.split("/")[0] ?? "";
        const holder = this.pools.pools().find(({ id }) => this.grantOf(id, ip) !== "")?.id;
        if (holder === undefined || this.dropping.has(holder)) return;
        this.owned.set(given, { pool: holder, grant: this.grantOf(holder, ip) });
      }),
    );
  }

  isHeld(address: string, { pool, grant }: { pool: string; grant: string }): boolean {
    const isGone = this.gone.has(grant) || this.dropping.has(pool);
    return !isGone && this.grantOf(pool, address.split("/")[0] ?? "") === grant;
  }

  giveBack(entries: readonly [string, { pool: string; grant: string }][], work: Promise<unknown>): void {
    for (const [address] of entries) this.owned.delete(address);
    this.begin(
      work.then(
        () => {
          for (const [, { grant }] of entries) this.gone.add(grant);
        },
        (error: unknown) => {
          for (const [address, entry] of entries) if (this.isHeld(address, entry)) this.owned.set(address, entry);
          throw error;
        },
      ),
    );
  }

  async run({ call, fails, n, m, turns }: Step): Promise<void> {
    this.store.isRefusing = fails;
    const ids = this.pools.pools().map(({ id }) => id);
    const poolId = pick(ids, n) ?? "tsnet-local/10.0.0.0/28";
    const mine = pick([...this.owned], n);
    const identity = [{}, {}, named("a"), named("b")][m % 4] ?? {};
    this.lab.pools = this.pools;
    if (call === "pool") {
      const subnet = pick(subnets, n) ?? "";
      const subPool = subnet === subnets[0] ? (pick(subPools, m) ?? "") : "";
      this.begin(this.lab.request(subnet, { subPool, options: optionSets[n % 3] ?? {} }));
    } else if (call === "drop pool" && n % 2 === 0) {
      const its = [...this.owned].filter(([, { pool }]) => pool === poolId);
      this.dropping.add(poolId);
      this.giveBack(
        its,
        this.pools.releasePool(poolId).finally(() => void this.dropping.delete(poolId)),
      );
    } else if (call === "any") this.take(poolId, "", identity);
    else if (call === "named") this.take(poolId, `10.0.0.${m % 16}`, identity);
    else if (call === "gateway") this.take(poolId, "", gateway);
    else if (call === "attach") {
      const pools = subnets.map((pool) => ({ addressSpace: "tsnet-local", pool, gateway: null, auxiliary: [] }));
      this.begin(this.pools.attach(pick(networks, n) ?? "", m % 2 ? pools : pools.slice(0, 1)));
    } else if (call === "time") this.nowMs += (m % 15) * 1000;
    else if (call === "settle") for (let k = 0; k < m % 4; k++) await this.settle();
    else if (mine) {
      const [address, { pool, grant }] = mine;
      const ip = address.split("/")[0] ?? "";
      const network = this.pools.pools().find(({ id }) => id === pool)?.network ?? null;
      if (call === "release") this.giveBack([mine], this.pools.releaseAddress({ poolId: pool, address: ip }));
      else if (call === "grant") this.giveBack([mine], this.pools.releaseGrant(pool, ip, grant));
      else if (network !== null) this.giveBack([mine], this.pools.releaseLeases(network, [address], [grant]));
    }
    for (let turn = 0; turn < turns; turn++) await setImmediate();
  }

  /** The process could die here. */
  async settle(): Promise<void> {
    await this.store.settleOne();
    await setImmediate();
    const restored = await openPools(await this.store.copy(), { now: () => this.nowMs });
    const held = new Map<string, string>();
    for (const { id } of restored.pools()) {
      for (const { grant, restsUntilMs, address } of restored.leasesOf(id)) {
        if (restsUntilMs !== null) continue;
        held.set(grant, id);
        expect(this.gone.has(grant), `${address} was given back`).to.equal(false);
      }
    }
    for (const [address, { pool, grant }] of this.owned) expect(held.get(grant), address).to.equal(pool);
  }

  async finish(): Promise<void> {
    for (let idle = 0; idle < 3; idle = this.store.isIdle ? idle + 1 : 0) {
      await this.settle();
      await setImmediate();
    }
    await Promise.all(this.running);
    const restored = await openPools(await this.store.copy(), { now: () => this.nowMs });
    expect(dump(restored)).to.deep.equal(dump(this.pools));
  }
}

describe("Pools, whichever calls overlap and whichever commits fail,", () => {
  it("leave records that a start agrees with, after each commit", async function () {
    this.timeout(60_000);
    let given = 0;
    let failed = 0;
    const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80, size: "max" }), async (steps) => {
      const trial = new Trial();
      await trial.open();
      for (const one of steps) await trial.run(one);
      await trial.finish();
      given += trial.given;
      failed += trial.failed;
    });
    await fc.assert(property, { numRuns: Number(process.env["RUNS"] ?? 300) });
    expect(given).to.be.greaterThan(500);
    expect(failed).to.be.greaterThan(100);
  });
});
