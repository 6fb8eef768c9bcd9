/** Calls that overlap on pools whose addresses rest, while commits fail: memory and disk end up saying the same. */
import { expect } from "chai";
import fc from "fast-check";
import { parsePoolRequest } from "../../../../src/driver/ipam/pool-request.ts";
import type { Pools } from "../../../../src/driver/ipam/pools.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { named, openPools, startMs } from "../../../support/pools-lab.ts";
import { UnreliableStore } from "../../../support/unreliable-store.ts";

const subnets = [
  { pool: "10.0.0.0/28", subPool: "10.0.0.0/29", options: { "tsnet.sticky": "true", "tsnet.sticky_ttl": "2s" } },
  { pool: "10.0.0.0/28", subPool: "10.0.0.4/30", options: { "tsnet.quarantine": "1s" } },
  { pool: "10.0.1.0/30", subPool: "", options: {} },
];

const step = fc.record({
  call: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("take", "grant") },
    { weight: 2, arbitrary: fc.constantFrom("name", "release") },
    { weight: 1, arbitrary: fc.constantFrom("attach", "pool") },
  ),
  fails: fc.nat(3).map((n) => n === 0),
  pool: fc.nat(subnets.length - 1),
  address: fc.nat(15),
  name: fc.constantFrom("a", "b", "c"),
  turns: fc.nat(2),
  ms: fc.constantFrom(0, 0, 0, 0, 0, 400, 1500),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof TsnetError)) throw error;
}

const requestPool = (pools: Pools, n: number) =>
  pools.requestPool(
    parsePoolRequest({
      addressSpace: "tsnet-local",
      v6: false,
      ...(subnets[n] ?? { pool: "", subPool: "", options: {} }),
    }),
    false,
  );

/** Requests are counted from the start of the process. */
const seen = (pools: Pools): object[] =>
  [...pools.pools()].map((view) => ({ ...view, lastRequest: 0, leases: [...pools.leasesOf(view.id)] }));

function run({ call, pool, address, name }: Step, pools: Pools, ids: readonly string[]): Promise<unknown> {
  const poolId = ids[pool] ?? "";
  const ip = `10.0.${pool === 2 ? 1 : 0}.${pool === 2 ? address % 4 : address}`;
  const attached = { addressSpace: "tsnet-local", pool: subnets[pool]?.pool ?? "", gateway: null, auxiliary: [ip] };
  if (call === "take") return pools.requestAddress({ poolId, address: "", options: named(name) }, false);
  if (call === "name") return pools.requestAddress({ poolId, address: ip, options: {} }, address % 2 === 0);
  if (call === "release") return pools.releaseAddress({ poolId, address: ip });
  if (call === "attach") return pools.attach(`n${address % 2}`, [attached]);
  if (call === "pool") return pools.releasePool(poolId).then(() => requestPool(pools, pool));
  const lease = [...pools.leasesOf(poolId)][address % 3];
  return pools.releaseGrant(poolId, lease?.address ?? ip, lease?.grant ?? "");
}

describe("Pools whose addresses rest, called at the same time,", () => {
  it("hold in memory what is on the disk, whichever commits fail", async function () {
    this.timeout(60_000);
    let rests = 0;
    const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), async (steps) => {
      const store = new UnreliableStore();
      const clock = { nowMs: startMs };
      const now = () => clock.nowMs;
      const pools = await openPools(store, { now });
      const ids: string[] = [];
      for (const n of subnets.keys()) ids.push((await requestPool(pools, n)).poolId);
      const running: Promise<unknown>[] = [];
      for (const one of steps) {
        clock.nowMs += one.ms;
        store.isFailing = one.fails;
        running.push(run(one, pools, ids).catch(ignoreRefusal));
        for (let turn = 0; turn < one.turns; turn++) await new Promise(setImmediate);
      }
      await Promise.all(running);
      const before = seen(pools);
      expect(seen(await openPools(store, { now }))).to.have.deep.members(before);
      rests += [...pools.pools()].reduce((sum, { resting }) => sum + Number(resting), 0);
    });
    await fc.assert(property, { numRuns: 1000 });
    expect(rests).to.be.greaterThan(100);
  });
});
