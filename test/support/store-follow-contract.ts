/** The part of the contract of a Store that is about following. */
import { expect } from "chai";
import type { Store } from "../../src/store/store.ts";
import { until } from "./poll.ts";
import { put, remove } from "./store-changes.ts";

/** Far more than a store takes to tell its followers. */
const toldMs = 5_000;

/** What a follower was told, as a mirror and as a list; "|" stands between turns of the event loop. */
export class Mirror {
  values = new Map<string, unknown>();
  readonly told: string[] = [];
  resets = 0;

  readonly reset = (values: ReadonlyMap<string, unknown>): void => {
    this.values = new Map(values);
    this.resets += 1;
  };

  readonly change = (id: string, value: unknown): void => {
    if (value === null) this.values.delete(id);
    else this.values.set(id, value);
    if (this.told.length === 0 || this.told.at(-1) === "|") setImmediate(() => this.told.push("|"));
    this.told.push(value === null ? `-${id}` : id);
  };

  /** Waits until the record is there, with whatever value. */
  has = (id: string): Promise<unknown> => until(`the follower is told of ${id}`, toldMs, () => this.values.has(id));
}

/** @param current the store of the test that runs */
export function tellsFollowers(current: () => Store): void {
  let store: Store;
  const records = async () => Object.fromEntries(await store.list("network"));
  beforeEach(() => {
    store = current();
  });

  it("tells a follower all there is, then each change, by kind and in order", async () => {
    await store.commit([put("a", { n: 1 }), put("b", { n: 1 })]);
    const mirror = new Mirror();
    const { ready, end } = store.follow("network", mirror);
    await ready;
    expect([...mirror.values]).to.deep.equal([
      ["a", { n: 1 }],
      ["b", { n: 1 }],
    ]);
    await store.commit([put("c", { n: 1 }), remove("a"), put("x", {}, "lease")]);
    expect(await store.commitIf([put("b", { n: 2 })], [{ kind: "network", id: "c", is: "present" }])).to.equal(true);
    expect(await store.commitIf([put("no", {})], [{ kind: "network", id: "no", is: "present" }])).to.equal(false);
    await store.commit([put("last", { text: "\u0000ü😀" })]);
    await mirror.has("last");
    expect(mirror.told.filter((id) => id !== "|")).to.deep.equal(["c", "-a", "b", "last"]);
    expect(Object.fromEntries(mirror.values)).to.deep.equal(await records());
    expect(mirror.resets).to.equal(1);
    await end();
  });

  it("tells the changes of one commit in one turn", async () => {
    const mirrors = { network: new Mirror(), lease: new Mirror() };
    const following = [store.follow("network", mirrors.network), store.follow("lease", mirrors.lease)];
    await Promise.all(following.map(({ ready }) => ready));
    const ids = Array.from({ length: 50 }, (_, n) => `id-${n}`);
    for (const id of ids) {
      const seen = mirrors.lease.has(id).then(() => mirrors.network.values.has(id));
      await store.commit([put(id, {}), put(id, {}, "lease"), put(`${id}-2`, {})]);
      expect(await seen).to.equal(true);
    }
    await mirrors.network.has("id-49-2");
    await until("the turn is over", toldMs, () => mirrors.network.told.at(-1) === "|");
    const turns = mirrors.network.told.join(" ").split("|");
    const sizes = turns.map((turn) => turn.split(" ").filter(Boolean).length);
    expect(sizes.filter((size) => size % 2 === 1)).to.deep.equal([]);
    await Promise.all(following.map(({ end }) => end()));
  });

  it("misses nothing that is committed while a follower begins", async () => {
    const mirror = new Mirror();
    const commits = Array.from({ length: 100 }, (_, n) => store.commit([put(`id-${n % 30}`, { n })]));
    const { ready, end } = store.follow("network", mirror);
    commits.push(...Array.from({ length: 100 }, (_, n) => store.commit([put(`id-${n % 40}`, { n: n + 100 })])));
    await Promise.all([ready, ...commits]);
    await store.commit([put("last", {})]);
    await mirror.has("last");
    expect(Object.fromEntries(mirror.values)).to.deep.equal(await records());
    await end();
  });

  it("tells several followers, late ones too, and none that has ended", async () => {
    const [first, second] = [new Mirror(), new Mirror()];
    const one = store.follow("network", first);
    await one.ready;
    await store.commit([put("a", {})]);
    const two = store.follow("network", second);
    await two.ready;
    await first.has("a");
    const ended = one.end();
    await store.commit([put("b", {})]);
    await second.has("b");
    await ended;
    await one.end();
    expect([...first.values.keys()]).to.deep.equal(["a"]);
    expect([...second.values.keys()]).to.deep.equal(["a", "b"]);
    expect([first.resets, second.resets]).to.deep.equal([1, 1]);
    await two.end();
  });

  it("tells a follower nothing that is ended at once", async () => {
    await store.commit([put("a", {})]);
    const mirror = new Mirror();
    const { ready, end } = store.follow("network", mirror);
    await end();
    await ready;
    await store.commit([put("b", {})]);
    expect([mirror.resets, mirror.told]).to.deep.equal([0, []]);
  });

  it("can be closed while it is followed", async () => {
    const mirror = new Mirror();
    const { ready, end } = store.follow("network", mirror);
    await ready;
    await store.close();
    await end();
    expect(mirror.resets).to.equal(1);
  });
}
