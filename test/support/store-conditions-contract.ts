/** The part of the contract of a Store that is about conditions. */
import { expect } from "chai";
import type { Change, Condition, Store } from "../../src/store/store.ts";
import { errorOf, put, remove } from "./store-changes.ts";

/** @param current the store of the test that runs */
export function comparesAndSwaps(current: () => Store): void {
  let store: Store;
  const records = async () => Object.fromEntries(await store.list("network"));
  beforeEach(() => {
    store = current();
  });

  const a: Condition = { kind: "network", id: "a", is: "present" };
  const conditional: readonly (readonly [string, object | null, Condition["is"], boolean])[] = [
    ["absent, and it is", null, "absent", true],
    ["absent, but it is there", { n: 1 }, "absent", false],
    ["present, and it is", { n: 1 }, "present", true],
    ["present, but it is not there", null, "present", false],
    ["of a value, and it is", { n: 1, text: "\u0000ü😀" }, { n: 1, text: "\u0000ü😀" }, true],
    ["of a value, but has another", { n: 1 }, { n: 2 }, false],
    ["of a value, but is not there", null, { n: 1 }, false],
  ];
  for (const [name, value, is, takesPlace] of conditional) {
    it(`commits ${takesPlace ? "if" : "nothing if"} a record is to be ${name}`, async () => {
      if (value) await store.commit([put("a", value)]);
      const before = await records();
      expect(await store.commitIf([put("a", { done: true }), put("b", {})], [{ ...a, is }])).to.equal(takesPlace);
      expect(await records()).to.deep.equal(takesPlace ? { a: { done: true }, b: {} } : before);
    });
  }

  it("commits only if all of the conditions hold, whichever kinds they are of", async () => {
    await store.commit([put("a", { n: 1 }), put("a", { n: 2 }, "lease")]);
    const ofLease: Condition = { kind: "lease", id: "a", is: { n: 2 } };
    expect(await store.commitIf([remove("a")], [a, { ...ofLease, is: { n: 3 } }])).to.equal(false);
    expect(await store.commitIf([remove("a")], [{ ...a, is: "absent" }, ofLease])).to.equal(false);
    expect(await records()).to.deep.equal({ a: { n: 1 } });
    expect(await store.commitIf([remove("a"), remove("unknown")], [a, ofLease])).to.equal(true);
    expect(await records()).to.deep.equal({});
  });

  it("says whether conditions hold without any changes, and commits without any conditions", async () => {
    expect(await store.commitIf([], [a])).to.equal(false);
    expect(await store.commitIf([put("a", {})], [])).to.equal(true);
    expect(await store.commitIf([], [a])).to.equal(true);
  });

  it("lets one of those win who want the same at once", async () => {
    const race = (condition: Condition, changes: (n: number) => Change) =>
      Promise.all(Array.from({ length: 40 }, (_, n) => store.commitIf([changes(n)], [condition])));
    const first = await race({ ...a, is: "absent" }, (n) => put("a", { n }));
    expect(first.filter(Boolean)).to.have.lengthOf(1);
    const value = { n: first.indexOf(true) };
    expect(await records()).to.deep.equal({ a: value });
    const second = await race({ ...a, is: value }, (n) => put("a", { n: n + 100 }));
    expect(second.filter(Boolean)).to.have.lengthOf(1);
    expect(await records()).to.deep.equal({ a: { n: second.indexOf(true) + 100 } });
  });

  it("refuses a commit that is larger than it takes, and changes nothing; takes all others", async () => {
    const isLimited = store.maxChanges < Number.POSITIVE_INFINITY;
    const count = isLimited ? store.maxChanges + 1 : 1000;
    const changes = Array.from({ length: count }, (_, n) => put(`id-${n}`, { n }));
    const conditions = changes.map((_, n): Condition => ({ kind: "network", id: `id-${n}`, is: "absent" }));
    if (isLimited) {
      const told = /a commit of \d+ (changes|conditions) is more than .+ takes at once: \d+/;
      expect((await errorOf(store.commit(changes))).message).to.match(told);
      expect((await errorOf(store.commitIf(changes, []))).message).to.match(told);
      expect((await errorOf(store.commitIf([], conditions))).message).to.match(told);
      expect(await records()).to.deep.equal({});
    }
    expect(await store.commitIf(changes.slice(1), conditions.slice(1))).to.equal(true);
  });
}
