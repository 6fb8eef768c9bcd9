/** A pool in memory against one that is as plain as can be. */
import { expect } from "chai";
import fc from "fast-check";
import type { Lease } from "../../../../src/driver/ipam/lease.ts";
import type { Pool } from "../../../../src/driver/ipam/pool.ts";
import { defaultPoolOptions } from "../../../../src/driver/ipam/pool-options.ts";
import { PoolTable } from "../../../../src/driver/ipam/pool-table.ts";
import { ipOf, parseCidr, parseIp } from "../../../../src/net/cidr.ts";

const held: Lease = { grant: "g", role: "endpoint", identity: null, sinceMs: 0, hosts: [], restsUntilMs: null };

const step = fc.record({
  call: fc.constantFrom("set", "set", "rest", "rest", "delete", "pick", "named", "pass"),
  pool: fc.nat(1),
  offset: fc.bigInt({ min: 1n, max: 14n }),
  ms: fc.nat(20),
  identity: fc.constantFrom(null, "name:a", "name:b"),
  serial: fc.boolean(),
});

/** A pool's leases; those that have lapsed are gone. */
class Plain {
  readonly leases = new Map<bigint, Lease>();
  readonly first: bigint;
  readonly last: bigint;

  constructor(first: bigint, last: bigint) {
    this.first = first;
    this.last = last;
  }

  expire(nowMs: number): void {
    for (const [offset, { restsUntilMs }] of this.leases) {
      if (restsUntilMs !== null && restsUntilMs <= nowMs) this.leases.delete(offset);
    }
  }

  inRange(isMeant: (lease: Lease) => boolean): bigint[] {
    const entries = [...this.leases].filter(
      ([offset, lease]) => isMeant(lease) && offset >= this.first && offset <= this.last,
    );
    return entries.map(([offset]) => offset);
  }

  /** In the order of the ends of the rests, then of the addresses. */
  resting(isMeant: (offset: bigint, lease: Lease) => boolean): bigint[] {
    const found = [...this.leases].filter(([o, l]) => l.restsUntilMs !== null && l.identity !== null && isMeant(o, l));
    const end = ([, { restsUntilMs }]: [bigint, Lease]) => restsUntilMs ?? 0;
    return found.sort((a, b) => end(a) - end(b) || Number(a[0] - b[0])).map(([offset]) => offset);
  }
}

describe("a pool", () => {
  it("does what a plain one does, in any sequence of calls, beside another one of the subnet", function () {
    this.timeout(30_000);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
        const table = new PoolTable();
        const options = { ...defaultPoolOptions, sticky: true, quarantineMs: 3_600_000 };
        const pools = ["10.0.0.0/29", "10.0.0.4/30"].map((subPool) =>
          table.add("tsnet-local", parseCidr("10.0.0.0/28"), parseCidr(subPool), options),
        ) as [Pool, Pool];
        const plain = [new Plain(0n, 7n), new Plain(4n, 7n)] as const;
        let nowMs = 100;
        for (const { call, pool: n, offset, ms, identity, serial } of steps) {
          const [pool, model] = [pools[n] ?? pools[0], plain[n] ?? plain[0]];
          const set = (lease: Lease) => {
            const replaced = plain.map(({ leases }) => leases.get(offset)).find((old) => old !== undefined);
            const was = pool.set(offset, lease);
            if (was?.restsUntilMs === null || replaced) expect(was).to.equal(replaced);
            for (const { leases } of plain) leases.delete(offset);
            model.leases.set(offset, lease);
          };
          if (call === "set") set({ ...held, identity });
          if (call === "rest") set({ ...held, identity, restsUntilMs: nowMs + 1 + ms });
          if (call === "pass") nowMs += ms;
          for (const one of plain) one.expire(nowMs);
          if (call === "delete") {
            pool.subnet.endRests(nowMs);
            const lease = model.leases.get(offset);
            if (lease !== undefined) expect(pool.delete(offset)).to.equal(lease);
            model.leases.delete(offset);
          }
          const isTaken = (one: bigint) => plain.some(({ leases }) => leases.has(one));
          if (call === "named") {
            const wish = { ip: ipOf(4, pool.subnet.cidr.base + offset), serial: false, identity, nowMs };
            const isHeld = plain.some(({ leases }) => leases.get(offset)?.restsUntilMs === null);
            if (isHeld) expect(() => pool.pick(wish)).to.throw("Address already in use");
            else expect(pool.pick(wish)).to.equal(offset);
          }
          if (call === "pick") {
            const all = [1n, 2n, 3n, 4n, 5n, 6n, 7n].filter((one) => one >= model.first);
            const last = pool.lastAllocated ?? -1n;
            const order = serial ? [...all.filter((o) => o > last), ...all.filter((o) => o <= last)] : all;
            const kept = model.resting((_, lease) => lease.identity === identity);
            const end = (o: bigint) => model.leases.get(o)?.restsUntilMs;
            const expected =
              kept.find((one) => end(one) === end(kept.at(-1) ?? 0n)) ??
              order.find((one) => !isTaken(one)) ??
              model.resting((one) => one >= model.first && one <= model.last)[0];
            const pick = () => pool.pick({ ip: undefined, serial, identity, nowMs });
            if (expected === undefined) expect(pick).to.throw("no available IPv4 addresses");
            else {
              expect(pick()).to.equal(expected);
              if (serial) pool.lastAllocated = expected;
            }
          }
          for (const [index, one] of pools.entries()) {
            const two = plain[index] ?? plain[0];
            const { used, resting, free, reserved, size } = one.view(nowMs);
            const range = Array.from({ length: Number(size) }, (_, k) => two.first + BigInt(k));
            expect([used, resting, free]).to.deep.equal(
              [
                two.inRange(({ restsUntilMs }) => restsUntilMs === null).length,
                two.inRange(({ restsUntilMs }) => restsUntilMs !== null).length,
                range.filter((o) => !isTaken(o)).length - Number(reserved),
              ].map(BigInt),
            );
            expect([...one.entries()]).to.deep.equal([...two.leases].sort(([a], [b]) => Number(a - b)));
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("forgets rests that ended otherwise: a container that comes and goes all day costs nothing", () => {
    const pool = new PoolTable().add("tsnet-local", parseCidr("10.0.0.0/24"), null, {
      ...defaultPoolOptions,
      sticky: true,
    });
    for (let n = 0; n < 10_000; n++) {
      const nowMs = 1000 * n;
      const offset = pool.pick({ ip: undefined, serial: false, identity: "name:a", nowMs });
      pool.set(offset, { ...held, identity: "name:a" });
      pool.set(offset, { ...held, identity: "name:a", restsUntilMs: nowMs + 86_400_000 });
    }
    expect([...pool.entries()].map(([offset]) => offset)).to.deep.equal([1n]);
    expect(pool.view(0).free).to.equal(253n);
    expect(pool.yielding(0)).to.equal(1n);
  });

  it("knows a subnet by any of its addresses", () => {
    const table = new PoolTable();
    const pools = ["10.0.0.0/8", "fd00::/64"].map((text) =>
      table.add("tsnet-shared", parseCidr(text), null, defaultPoolOptions),
    );
    expect(table.at("tsnet-shared", parseIp("10.9.8.7"))).to.equal(pools[0]?.subnet);
    expect(table.at("tsnet-shared", parseIp("fd00::7"))).to.equal(pools[1]?.subnet);
    for (const text of ["11.0.0.0", "fd01::"]) expect(table.at("tsnet-shared", parseIp(text))).to.equal(undefined);
    expect(table.at("tsnet-local", parseIp("10.9.8.7"))).to.equal(undefined);
  });
});
