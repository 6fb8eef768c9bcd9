import { expect } from "chai";
import type { Part } from "../../../src/driver/reconciler-parts.ts";
import { SecondTries } from "../../../src/driver/second-tries.ts";

const parts = (...names: Part[]): ReadonlySet<Part> => new Set(names);

describe("second tries of what could not be repaired", () => {
  let tries: SecondTries;
  beforeEach(() => {
    tries = new SecondTries(500, 3000);
  });

  const fail = (...names: Part[]) => tries.after(parts(...names), true);
  const succeed = (...names: Part[]) => tries.after(parts(...names), false);

  it("come after twice as long each time, and not where the regular comparison is sooner", () => {
    expect([1, 2, 3, 4, 5].map(() => fail("forward"))).to.deep.equal([500, 1000, 2000, undefined, undefined]);
    expect([...tries.failed]).to.deep.equal(["forward"]);
  });

  it("begin anew once all that has failed was repaired", () => {
    fail("forward");
    fail("links", "endpoints");
    expect(succeed("forward", "endpoints")).to.equal(undefined);
    expect([...tries.failed]).to.deep.equal(["forward", "links", "endpoints"]);
    expect(fail("forward")).to.equal(2000);
    expect(succeed("forward", "links", "endpoints", "overlays")).to.equal(undefined);
    expect([...tries.failed]).to.deep.equal([]);
    expect(fail("firewall")).to.equal(500);
  });

  it("are none where nothing has failed", () => {
    expect(succeed("forward")).to.equal(undefined);
  });
});
