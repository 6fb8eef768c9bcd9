import { expect } from "chai";
import fc from "fast-check";
import { AddressSet, type OffsetRange } from "../../../src/net/address-set.ts";

/** The same, as plainly as can be. */
class NaiveSet {
  readonly held = new Set<bigint>();

  allocate(first: bigint, last: bigint): bigint | undefined {
    for (let offset = first; offset <= last; offset++) {
      if (!this.held.has(offset)) {
        this.held.add(offset);
        return offset;
      }
    }
    return undefined;
  }

  allocateAfter(after: bigint, first: bigint, last: bigint): bigint | undefined {
    const inside = after >= first && after < last;
    return (inside ? this.allocate(after + 1n, last) : undefined) ?? this.allocate(first, last);
  }
}

/** Holds the offset that a search has found. */
const held = (set: AddressSet, offset: bigint | undefined): bigint | undefined => {
  if (offset !== undefined) set.hold(offset);
  return offset;
};
const allocate = (set: AddressSet, range: OffsetRange) => held(set, set.firstFree(range));
const allocateAfter = (set: AddressSet, after: bigint, range: OffsetRange) => held(set, set.freeAfter(after, range));

const offsetsOf = (set: AddressSet) => [...set];

describe("AddressSet", () => {
  it("allocates the lowest free offset of a range, until there is none", () => {
    const set = new AddressSet();
    set.hold(0n);
    set.hold(3n);
    const range = { first: 0n, last: 5n };
    const allocated = [1, 2, 3, 4, 5].map(() => allocate(set, range));
    expect(allocated).to.deep.equal([1n, 2n, 4n, 5n, undefined]);
    expect(set.count).to.equal(6n);
  });

  it("gives a freed offset out again at once, but a next-fit search goes round first", () => {
    const set = new AddressSet();
    const range = { first: 1n, last: 4n };
    expect([allocate(set, range), allocate(set, range)]).to.deep.equal([1n, 2n]);
    expect([set.release(1n), set.release(1n)]).to.deep.equal([true, false]);
    expect([2n, 3n, 4n, 1n].map((after) => allocateAfter(set, after, range))).to.deep.equal([3n, 4n, 1n, undefined]);
    expect([set.release(1n), allocate(set, range)]).to.deep.equal([true, 1n]);
  });

  it("starts at the beginning of the range when the last offset lies outside", () => {
    const set = new AddressSet();
    for (const after of [0n, 99n, 20n])
      expect(allocateAfter(set, after, { first: 10n, last: 20n })).to.be.oneOf([10n, 11n, 12n]);
    expect(offsetsOf(set)).to.deep.equal([10n, 11n, 12n]);
  });

  it("holds offsets far beyond 2^53 exactly", () => {
    const set = new AddressSet();
    const far = (1n << 127n) + 1n;
    expect([set.hold(far), set.hold(far + 2n), set.hold(far)]).to.deep.equal([true, true, false]);
    expect([far - 1n, far, far + 1n, far + 2n].map((offset) => set.has(offset))).to.deep.equal([
      false,
      true,
      false,
      true,
    ]);
    expect(allocate(set, { first: far, last: (1n << 128n) - 1n })).to.equal(far + 1n);
  });

  it("does what a plain set does, in any sequence of calls", () => {
    const offset = fc.bigInt({ min: 0n, max: 40n });
    const step = fc.record({
      call: fc.constantFrom("hold", "release", "allocate", "allocateAfter"),
      a: offset,
      b: offset,
      c: offset,
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const set = new AddressSet();
        const naive = new NaiveSet();
        for (const { call, a, b, c } of steps) {
          if (call === "hold") {
            expect(set.hold(a)).to.equal(!naive.held.has(a));
            naive.held.add(a);
          } else if (call === "release") expect(set.release(a)).to.equal(naive.held.delete(a));
          else if (call === "allocate") expect(allocate(set, { first: a, last: b })).to.equal(naive.allocate(a, b));
          else expect(allocateAfter(set, c, { first: a, last: b })).to.equal(naive.allocateAfter(c, a, b));
        }
        const sorted = [...naive.held].sort((x, y) => Number(x - y));
        expect(offsetsOf(set)).to.deep.equal(sorted);
        for (let from = 0n; from <= 41n; from++) {
          expect(set.next(from)).to.equal(sorted.find((offset) => offset >= from));
          const within = sorted.filter((offset) => offset >= from && offset <= from + 7n);
          expect(set.countIn({ first: from, last: from + 7n })).to.equal(BigInt(within.length));
        }
        expect(set.count).to.equal(BigInt(naive.held.size));
      }),
      { numRuns: 500 },
    );
  });

  it("does so over many blocks, in any order", () => {
    const set = new AddressSet();
    const all = Array.from({ length: 20_000 }, (_, n) => BigInt(n));
    // 7919 is prime, so that this visits every offset below 20000 once, far from its neighbors.
    const scattered = all.map((n) => (n * 7919n) % 20_000n);
    expect(scattered.filter((offset) => !set.hold(offset))).to.deep.equal([]);
    expect(offsetsOf(set)).to.deep.equal(all);
    expect(allocate(set, { first: 0n, last: 19_999n })).to.equal(undefined);

    const freed = new Set(scattered.filter((_, index) => index % 3 === 0));
    expect([...freed].filter((offset) => !set.release(offset))).to.deep.equal([]);
    expect(offsetsOf(set)).to.deep.equal(all.filter((offset) => !freed.has(offset)));
    expect(all.filter((offset) => set.has(offset) === freed.has(offset))).to.deep.equal([]);

    const again = Array.from({ length: freed.size + 1 }, () => allocate(set, { first: 0n, last: 19_999n }));
    expect(again).to.deep.equal([...all.filter((offset) => freed.has(offset)), undefined]);
    expect(set.count).to.equal(20_000n);
  });
});
