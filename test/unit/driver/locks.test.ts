import { expect } from "chai";
import fc from "fast-check";
import { Locks } from "../../../src/driver/locks.ts";

/** Lets everything run that can run. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Work on a lock that says when it begins and ends when it is told to. */
class Scene {
  readonly locks = new Locks();
  readonly events: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();

  take(name: string, how: "shared" | "exclusive", key = "a"): Promise<void> {
    const end = Promise.withResolvers<void>();
    this.#ends.set(name, end);
    return this.locks[how](key, async () => {
      this.events.push(`${name}+`);
      await end.promise;
      this.events.push(`${name}-`);
    });
  }

  async end(name: string, error?: Error): Promise<void> {
    const end = this.#ends.get(name);
    if (error === undefined) end?.resolve();
    else end?.reject(error);
    await settle();
  }
}

describe("locks", () => {
  it("run exclusive holders one after another, in the order of their arrival", async () => {
    const scene = new Scene();
    for (const name of ["1", "2", "3"]) void scene.take(name, "exclusive");
    await settle();
    expect(scene.events).to.deep.equal(["1+"]);
    for (const name of ["1", "2", "3"]) await scene.end(name);
    expect(scene.events).to.deep.equal(["1+", "1-", "2+", "2-", "3+", "3-"]);
  });

  it("run shared holders at once, after the exclusive one before them and before the one after them", async () => {
    const scene = new Scene();
    void scene.take("first", "exclusive");
    for (const name of ["a", "b"]) void scene.take(name, "shared");
    void scene.take("last", "exclusive");
    void scene.take("late", "shared");
    await settle();
    expect(scene.events).to.deep.equal(["first+"]);
    await scene.end("first");
    expect(scene.events).to.deep.equal(["first+", "first-", "a+", "b+"]);
    await scene.end("b");
    expect(scene.events.at(-1)).to.equal("b-");
    await scene.end("a");
    expect(scene.events.slice(-2)).to.deep.equal(["a-", "last+"]);
    await scene.end("last");
    expect(scene.events.slice(-2)).to.deep.equal(["last-", "late+"]);
    await scene.end("late");
  });

  it("of different keys do not wait for each other", async () => {
    const scene = new Scene();
    void scene.take("a", "exclusive", "a");
    void scene.take("b", "exclusive", "b");
    await settle();
    expect(scene.events).to.deep.equal(["a+", "b+"]);
  });

  it("hand on the result and the error, and go on after an error", async () => {
    const locks = new Locks();
    expect(await locks.exclusive("a", async () => 1)).to.equal(1);
    expect(await locks.shared("a", async () => 2)).to.equal(2);
    for (const how of ["exclusive", "shared"] as const) {
      const failing = locks[how]("a", () => Promise.reject(new Error("broken")));
      const next = locks.exclusive("a", async () => "next");
      expect(await failing.catch((error: Error) => error.message)).to.equal("broken");
      expect(await next).to.equal("next");
    }
  });

  it("are busy from the asking to the end, and remember no key afterwards", async () => {
    const scene = new Scene();
    expect(scene.locks.isBusy("a")).to.equal(false);
    void scene.take("1", "shared");
    void scene.take("2", "exclusive").catch(() => {});
    void scene.take("3", "shared");
    for (const name of ["1", "2", "3"]) {
      expect(scene.locks.isBusy("a")).to.equal(true);
      await scene.end(name, name === "2" ? new Error("broken") : undefined);
    }
    expect(scene.locks.isBusy("a")).to.equal(false);
  });

  it("never let an exclusive holder meet anybody, and let everybody in, whatever the order", async () => {
    const holders = fc.array(fc.tuple(fc.constantFrom("shared" as const, "exclusive" as const), fc.nat(3)), {
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(holders, async (list) => {
        const locks = new Locks();
        const inside = new Set<string>();
        const begun: number[] = [];
        const done = list.map(([how, turns], index) =>
          locks[how]("a", async () => {
            begun.push(index);
            expect(
              how === "exclusive" ? inside.size : [...inside].filter((name) => name.startsWith("e")).length,
            ).to.equal(0);
            inside.add(`${how}${index}`);
            for (let turn = 0; turn < turns; turn++) await null;
            inside.delete(`${how}${index}`);
          }),
        );
        await Promise.all(done);
        expect(begun).to.deep.equal(begun.toSorted((a, b) => a - b));
        await settle();
        expect(locks.isBusy("a")).to.equal(false);
      }),
    );
  });
});
