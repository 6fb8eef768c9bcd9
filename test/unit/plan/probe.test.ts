import { expect } from "chai";
import fc from "fast-check";
import { parseVni, probeVni, vniOf } from "../../../src/net/vni.ts";
import { sizesBetween } from "../../../src/plan/probe.ts";

describe("sizes to probe", () => {
  it("are in between, in order, and none twice", () => {
    expect(sizesBetween(576, 577)).to.deep.equal([]);
    expect(sizesBetween(576, 578)).to.deep.equal([577]);
    expect(sizesBetween(10, 14)).to.deep.equal([11, 12, 13]);
    fc.assert(
      fc.property(fc.integer({ min: 68, max: 70_000 }), fc.integer({ min: 1, max: 70_000 }), (passes, more) => {
        const sizes = sizesBetween(passes, passes + more);
        expect(sizes).to.deep.equal([...new Set(sizes)].toSorted((a, b) => a - b));
        for (const size of sizes) expect(size).to.be.within(passes + 1, passes + more - 1);
      }),
    );
  });

  it("find any limit within five rounds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 577, max: 65_535 }), fc.integer({ min: 576, max: 65_534 }), (fails, wanted) => {
        const limit = Math.min(wanted, fails - 1);
        let [low, high, rounds] = [576, fails, 0];
        for (;;) {
          const sizes = sizesBetween(low, high);
          if (sizes.length === 0) break;
          rounds++;
          low = sizes.findLast((size) => size <= limit) ?? low;
          high = sizes.find((size) => size > limit) ?? high;
        }
        expect(low).to.equal(limit);
        expect(rounds).to.be.at.most(5);
      }),
    );
  });
});

describe("the VNI of the probes", () => {
  it("is nobody else's", () => {
    expect(() => parseVni(`${probeVni}`)).to.throw("tsnet itself has this VNI");
    for (const vni of [probeVni - 1, probeVni + 1]) expect(parseVni(`${vni}`)).to.equal(vni);
    fc.assert(fc.property(fc.string(), (subnet) => vniOf([subnet]) !== probeVni));
  });
});
