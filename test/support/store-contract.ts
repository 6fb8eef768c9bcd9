/** What every Store must do: one contract, all implementations. */
import { expect } from "chai";
import { TsnetError } from "../../src/errors.ts";
import type { Change, Kind, Store } from "../../src/store/store.ts";
import { errorOf, put, remove } from "./store-changes.ts";
import { comparesAndSwaps } from "./store-conditions-contract.ts";
import { tellsFollowers } from "./store-follow-contract.ts";

export { errorOf };

export interface StoreFixture {
  readonly store: Store;
  /** Lets go of everything that was made for the test. */
  readonly dispose: () => Promise<void>;
}

export function behavesAsStore(name: string, make: () => Promise<StoreFixture>): void {
  describe(`${name} as a Store`, () => {
    let fixture: StoreFixture;
    let store: Store;
    const records = async (kind: Kind = "network") => Object.fromEntries(await store.list(kind));

    beforeEach(async () => {
      fixture = await make();
      store = fixture.store;
    });
    afterEach(() => fixture.dispose());

    /** In as many commits as it takes. */
    const commitAll = async (changes: readonly Change[]): Promise<void> => {
      const size = Math.min(store.maxChanges, changes.length);
      for (let from = 0; from < changes.length; from += size) await store.commit(changes.slice(from, from + size));
    };

    it("has no records at first", async () => {
      expect(await records()).to.deep.equal({});
    });

    it("lists what was committed, by kind and ID", async () => {
      await store.commit([put("a", { mtuBytes: 1500 }), put("a", { address: "fd00::2/64" }, "lease")]);
      await store.commit([put("b", { labels: { text: 'ä"\u0000\n😀' }, list: [1, null, true] })]);
      expect(await records()).to.deep.equal({
        a: { mtuBytes: 1500 },
        b: { labels: { text: 'ä"\u0000\n😀' }, list: [1, null, true] },
      });
      expect(await records("lease")).to.deep.equal({ a: { address: "fd00::2/64" } });
      expect(await records("pool")).to.deep.equal({});
    });

    it("hands over one by one what it lists, and ends with the error of the one who takes it", async () => {
      await commitAll(Array.from({ length: 250 }, (_, n) => put(`r${n}`, { n })));
      const taken = new Map<string, unknown>();
      await store.each("network", (id, value) => expect(taken.has(id) || taken.set(id, value)).to.equal(taken));
      expect(taken).to.deep.equal(await store.list("network"));
      const broken = store.each("network", () => {
        throw new TsnetError("store", "cannot be understood");
      });
      expect((await errorOf(broken)).message).to.equal("cannot be understood");
      await store.each("lease", () => expect.fail("there is none"));
    });

    it("replaces a record that is put again", async () => {
      await store.commit([put("a", { n: 1, only: true })]);
      await store.commit([put("a", { n: 2 })]);
      expect(await records()).to.deep.equal({ a: { n: 2 } });
    });

    it("removes records, and takes the removal of an unknown one", async () => {
      await store.commit([put("a", {}), put("b", {}), put("a", {}, "pool")]);
      await store.commit([remove("a"), remove("unknown"), remove("unknown", "endpoint")]);
      expect(await records()).to.deep.equal({ b: {} });
      expect(await records("pool")).to.deep.equal({ a: {} });
    });

    it("applies the changes of a commit in order", async () => {
      await store.commit([put("a", { n: 1 }), remove("a"), put("b", { n: 1 }), put("b", { n: 2 })]);
      expect(await records()).to.deep.equal({ b: { n: 2 } });
    });

    it("takes a commit without changes", async () => {
      await store.commit([]);
      expect(await records()).to.deep.equal({});
    });

    it("applies commits that arrive together in the order in which they were asked for", async () => {
      const commits = Array.from({ length: 100 }, (_, n) => store.commit([put("a", { n }), put(`b${n}`, { n })]));
      await Promise.all([...commits, store.commit([remove("b0")])]);
      expect((await store.list("network")).get("a")).to.deep.equal({ n: 99 });
      expect((await store.list("network")).size).to.equal(100);
    });

    it("lists every commit that was asked for before, and none from after", async () => {
      const before = store.commit([put("a", { n: 1 })]);
      const listed = store.list("network");
      const after = store.commit([put("a", { n: 2 }), put("b", {})]);
      expect(Object.fromEntries(await listed)).to.deep.equal({ a: { n: 1 } });
      await Promise.all([before, after]);
      expect(await records()).to.deep.equal({ a: { n: 2 }, b: {} });
    });

    it("keeps the values that it was given, though the caller changes them afterwards", async () => {
      const value = { list: [1] };
      const committed = store.commit([put("a", value)]);
      value.list.push(2);
      await committed;
      expect(await records()).to.deep.equal({ a: { list: [1] } });
      ((await store.list("network")).get("a") as typeof value).list.push(3);
      expect(await records()).to.deep.equal({ a: { list: [1] } });
    });

    it("lists more records than fit in a page, in one state", async () => {
      const all = Array.from({ length: 3456 }, (_, n) => put(`id-${n}`, { n }));
      await commitAll(all);
      const listed = store.list("network");
      await commitAll(all.map((_, n) => remove(`id-${n}`)));
      expect((await listed).size).to.equal(3456);
      expect(new Set([...(await listed).values()].map((value) => (value as { n: number }).n)).size).to.equal(3456);
      expect(await records()).to.deep.equal({});
    });

    it("finishes what was begun when it is closed, and refuses everything afterwards", async () => {
      const committed = store.commit([put("a", {})]);
      const listed = store.list("network");
      await Promise.all([store.close(), store.close()]);
      await committed;
      expect((await listed).size).to.equal(1);
      expect(await errorOf(store.commit([put("b", {})]))).to.include({ code: "store" });
      expect((await errorOf(store.list("network"))).message).to.contain("closed");
      expect((await errorOf(store.get("network", "a"))).message).to.contain("closed");
      expect((await errorOf(store.commitIf([], []))).message).to.contain("closed");
    });

    it("gives one record, or undefined", async () => {
      await store.commit([put("a", { text: "\u0000ü/😀" }), put("b", {}, "lease")]);
      expect(await store.get("network", "a")).to.deep.equal({ text: "\u0000ü/😀" });
      expect(await store.get("network", "b")).to.equal(undefined);
      expect(await store.get("lease", "b")).to.deep.equal({});
    });

    it("keeps IDs apart that are parts of each other, or are odd", async () => {
      const ids = ["a", "a/", "a/b", "a0", "/", "ü", "😀\u0000", " ", "a\n", "%2F", "pool/a"];
      await store.commit(ids.map((id, n) => put(id, { n })));
      expect(await records()).to.deep.equal(Object.fromEntries(ids.map((id, n) => [id, { n }])));
      await store.commit([remove("a")]);
      expect(await store.get("network", "a")).to.equal(undefined);
      expect((await store.list("network")).size).to.equal(ids.length - 1);
    });

    comparesAndSwaps(() => store);
    tellsFollowers(() => store);
  });
}
