/** What every Store must do: one contract, all implementations. */
import { expect } from "chai";
import { TsnetError } from "../../src/errors.ts";
import type { Change, Kind, Store } from "../../src/store/store.ts";

export interface StoreFixture {
  readonly store: Store;
  /** Lets go of everything that was made for the test. */
  readonly dispose: () => Promise<void>;
}

const put = (id: string, value: object, kind: Kind = "network"): Change => ({ put: kind, id, value });
const remove = (id: string, kind: Kind = "network"): Change => ({ remove: kind, id });

/** The error of a promise. Fails if there is none. */
export async function errorOf(promise: Promise<unknown>): Promise<TsnetError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(TsnetError);
  return error as TsnetError;
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
      await store.commit(all);
      const listed = store.list("network");
      await store.commit(all.map((_, n) => remove(`id-${n}`)));
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
    });
  });
}
