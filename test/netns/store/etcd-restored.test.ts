/** What becomes of those who follow when etcd is restored from a backup, or made anew. */
import { expect } from "chai";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { EtcdServer } from "../../support/etcd.ts";
import { useEtcdFollowers } from "../../support/etcd-followers.ts";
import { EtcdProxy } from "../../support/etcd-proxy.ts";
import { until } from "../../support/poll.ts";
import { put } from "../../support/store-changes.ts";

/** More than the longest pause between two attempts. */
const backMs = 5_000;

describe("A follower of an EtcdStore", () => {
  const followers = useEtcdFollowers("restored");
  const { openStore } = followers;
  let { server, mirror, reported } = followers;
  beforeEach(() => {
    ({ server, mirror, reported } = followers);
  });

  it("does not wait for a revision that etcd will not have for long, once it has been made anew", async () => {
    await using anew = await EtcdServer.start();
    await using proxy = await EtcdProxy.start(server.url);
    const writer = await openStore();
    for (let n = 0; n < 20; n++) await writer.commit([put("old", { n })]);
    const other = await openStore({ endpoints: [anew.url] });
    const { ready } = (await openStore({ endpoints: [proxy.url] })).follow("network", mirror);
    await ready;
    proxy.decide = (path) => {
      if (path === "/v3/watch") proxy.target = anew.url;
      return "pass";
    };
    proxy.cut();
    await until("etcd is another one", backMs, () => proxy.target === anew.url);
    await other.commit([put("new", {})]);
    await until("it is told", backMs, () => mirror.values.has("new") && !mirror.values.has("old"));
    expect(reported.map((error) => error?.message).join()).to.contain("etcd is another cluster than it was");
  });

  it("says that etcd is another one, and has what that has", async () => {
    await using anew = await EtcdServer.start();
    await using proxy = await EtcdProxy.start(server.url);
    const writer = await openStore();
    for (let n = 0; n < 20; n++) await writer.commit([put("old", { n })]);
    await (await openStore({ endpoints: [anew.url] })).commit([put("new", {})]);
    await (await openStore({ endpoints: [proxy.url] })).follow("network", mirror).ready;
    await writer.commit([put("watched", {})]);
    await until("it watches", backMs, () => mirror.values.has("watched"));
    proxy.target = anew.url;
    proxy.cut();
    await until("it is told", backMs, () => mirror.values.has("new") && !mirror.values.has("old"));
    await until("it goes on", backMs, () => reported.at(-1) === null);
    const [lost = "", gone = "", ...more] = reported.map((error) => error?.message ?? "back");
    expect(more).to.deep.equal(["back"]);
    expect(lost).to.contain("etcd cannot be reached");
    expect(gone).to.match(/^etcd is another cluster than it was, .*: it was restored from a backup, or made anew/);
  });

  it("is told so, also if another one has found it before", async () => {
    const store = await openStore();
    for (let n = 0; n < 20; n++) await store.commit([put("old", { n })]);
    const told: string[] = [];
    const follow = (name: string) =>
      store.follow("network", {
        reset: (_, hasLost = false) => told.push(`${name} ${hasLost}`),
        change: () => {},
      }).ready;
    await follow("one");
    await follow("two"); // by a watch of its own
    await server.makeAnew();
    await until("both are told", backMs, () => told.length === 4);
    expect(told.toSorted()).to.deep.equal(["one false", "one true", "two false", "two true"]);
    expect(reported.filter((error) => error?.message.startsWith("etcd has gone back"))).to.have.length(1);
  });

  it("is told so by a process that begins after it, on the same disk, and by the next if that one ends at once", async () => {
    const disk = new MemoryStore();
    const hasLost: boolean[] = [];
    const begin = async (settings = {}): Promise<void> => {
      const store = await openStore(settings);
      await store.resume(disk);
      await store.follow("network", { reset: (_, lost = false) => hasLost.push(lost), change: () => {} }).ready;
      await store.commit([put("a", {})]);
      await store.commit([put("a", { n: 1 })]);
      await store.close();
    };
    await begin();
    await begin();
    expect(hasLost).to.deep.equal([false, false]);
    await server.makeAnew();
    await begin();
    await begin();
    expect(hasLost.slice(2)).to.deep.equal([true, true]);
    await begin({ prefix: "/elsewhere/" });
    await begin({ prefix: "/elsewhere/" });
    expect(hasLost.slice(4)).to.deep.equal([true, true]);
    const said = reported.map((error) => error?.message).join("\n");
    expect(said).to.match(
      /^etcd has gone back from revision \d+ to \d+: .* set TSNET_ETCD_ENDPOINTS, and restart tsnet$/m,
    );
    expect(said).to.match(/instead of what is below TSNET_ETCD_PREFIX=\/restored\/\d+\/: /);
  });

  it("says that etcd is another one, though that counts from a higher revision on", async () => {
    await using anew = await EtcdServer.start();
    await using proxy = await EtcdProxy.start(server.url);
    const other = await openStore({ endpoints: [anew.url] });
    for (let n = 0; n < 200; n++) await other.commit([put("new", { n })]);
    await (await openStore()).commit([put("old", {})]);
    const hasLost: boolean[] = [];
    const follower = {
      reset: (values: ReadonlyMap<string, unknown>, lost = false) => {
        hasLost.push(lost);
        mirror.reset(values);
      },
      change: mirror.change,
    };
    await (await openStore({ endpoints: [proxy.url] })).follow("network", follower).ready;
    await until("it watches", backMs, () => proxy.count("/v3/watch") === 1);
    proxy.cut();
    await until("it is the same again", backMs, () => hasLost.length === 2 && proxy.count("/v3/watch") === 2);
    proxy.target = anew.url;
    proxy.cut();
    await until("it is told", backMs, () => mirror.values.has("new") && !mirror.values.has("old"));
    expect(hasLost).to.deep.equal([false, false, true]);
    expect(reported.map((error) => error?.message).join()).to.match(
      /etcd is another cluster than it was, \d+ instead of \d+/,
    );
  });
});
