/** What becomes of those who follow when etcd, or the way to it, fails. */
import { expect } from "chai";
import type { EtcdStore } from "../../../src/store/etcd-store.ts";
import { run } from "../../support/commands.ts";
import { useEtcdFollowers } from "../../support/etcd-followers.ts";
import { EtcdProxy, type Fate } from "../../support/etcd-proxy.ts";
import { until } from "../../support/poll.ts";
import { put } from "../../support/store-changes.ts";
import { Mirror } from "../../support/store-follow-contract.ts";

/** More than the longest pause between two attempts. */
const backMs = 5_000;

describe("A follower of an EtcdStore", () => {
  const followers = useEtcdFollowers("follow");
  const { openStore } = followers;
  let { server, mirror, reported } = followers;
  beforeEach(() => {
    ({ server, mirror, reported } = followers);
  });
  const records = async () => Object.fromEntries(await (await openStore()).list("network"));

  it("has all that was acknowledged after etcd was killed and restarted again and again under load", async () => {
    const [store, other] = [await openStore(), await openStore()];
    const { ready, end } = store.follow("network", mirror);
    await ready;
    const acknowledged: string[] = [];
    let isOver = false;
    const write = async (writer: EtcdStore, name: string) => {
      for (let n = 0; !isOver; n++) {
        const id = `${name}-${n}`;
        const isDone = await writer.commitIf([put(id, {})], [{ kind: "network", id, is: "absent" }]).catch(() => false);
        if (isDone) acknowledged.push(id);
        else await new Promise(setImmediate);
      }
    };
    const writers = [1, 2, 3, 4].map((n) => write(n % 2 ? store : other, `w${n}`));
    for (const _ of [1, 2, 3]) {
      const before = acknowledged.length;
      await until("it is written", backMs, () => acknowledged.length > before + 50);
      const resets = mirror.resets;
      await server.restart();
      await until("the follower is back", backMs, () => mirror.resets > resets);
    }
    const before = acknowledged.length;
    await until("it is written again", backMs, () => acknowledged.length > before + 50);
    isOver = true;
    await Promise.all(writers);
    await store.commit([put("last", {})]);
    await until("the follower is back", backMs, () => mirror.values.has("last"));
    expect(acknowledged.filter((id) => !mirror.values.has(id))).to.deep.equal([]);
    expect(Object.fromEntries(mirror.values)).to.deep.equal(await records());
    expect(mirror.resets).to.be.greaterThan(3);
    await end();
  });

  it("is not stopped by a value that is no JSON, which is said once with its key", async () => {
    const said: string[] = [];
    const store = await openStore({}, { skip: (error) => said.push(error.message) });
    await store.commit([put("good", {}), put("other", {})]);
    const { kvs } = (await server.call("/v3/kv/range", { key: btoa("/"), range_end: btoa("0"), keys_only: true })) as {
      kvs: { key: string }[];
    };
    const good = kvs.map(({ key }) => atob(key)).find((path) => path.endsWith("/network/good")) ?? "";
    const key = good.replace(/good$/, "bad");
    const spoil = (path: string) => server.call("/v3/kv/put", { key: btoa(path), value: btoa("{") });
    await spoil(key);
    await store.follow("network", mirror).ready;
    expect([...mirror.values.keys()].sort()).to.deep.equal(["good", "other"]);
    expect([...(await store.list("network")).keys()].sort()).to.deep.equal(["good", "other"]);
    await spoil(key.replace(/bad$/, "other"));
    await until("it is told", backMs, () => !mirror.values.has("other"));
    await store.commit([put("last", {})]);
    await mirror.has("last");
    const what = (id: string) => `record network ${id} is not JSON; remove it: etcdctl del ${key.replace(/bad$/, id)}`;
    expect(said).to.deep.equal([what("bad"), what("other")]);
    expect(mirror.resets).to.equal(1);
    await store.commit([put("bad", {})]);
    await mirror.has("bad");
  });

  it("begins when etcd is there, and is told once that it is away and once that it is back", async () => {
    await server.kill();
    const store = await openStore();
    const { ready, end } = store.follow("network", mirror);
    await until("the trouble is reported", backMs, () => reported.length > 0);
    await server.start();
    await ready;
    await until("the end of it is reported", backMs, () => reported.length > 1);
    expect(reported.map((trouble) => trouble?.message)).to.deep.equal([
      `etcd cannot be reached: ${server.url}: ECONNREFUSED; see whether etcd runs there, and whether TSNET_ETCD_ENDPOINTS has the right scheme, address and port`,
      undefined,
    ]);
    await store.commit([put("a", {})]);
    await mirror.has("a");
    await end();
  });

  it("notices that a server does not answer any more, though its connections stay", async () => {
    const store = await openStore({}, { checkMs: 200, timeoutMs: 300 });
    const writer = await openStore(); // which may take longer
    const { ready, end } = store.follow("network", mirror);
    await ready;
    await writer.commit([put("before", {})]);
    await mirror.has("before");
    server.pause();
    try {
      await until("the silence is noticed", backMs, () => reported.length > 0);
    } finally {
      server.resume();
    }
    expect(reported[0]?.message).to.contain("no answer within 0.3 s");
    await until("it is back", backMs, () => reported.at(-1) === null);
    await writer.commit([put("a", {})]);
    await mirror.has("a");
    expect(mirror.resets).to.be.greaterThan(1);
    await end();
  });

  it("goes to another server if the one that it watches is lost", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    const store = await openStore({ endpoints: [proxy.url, server.url] });
    const { ready, end } = store.follow("network", mirror);
    await ready;
    await until("it watches", backMs, () => proxy.count("/v3/watch") === 1);
    proxy.decide = () => "drop";
    proxy.cut();
    await (await openStore()).commit([put("a", {})]);
    await mirror.has("a");
    expect([proxy.count("/v3/watch"), mirror.resets]).to.deep.equal([1, 2]);
    await end();
  });

  it("is reset if etcd has forgotten what happened before its watch", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    const writer = await openStore();
    proxy.decide = async (path): Promise<Fate> => {
      if (path !== "/v3/watch" || proxy.count(path) > 1) return "pass";
      await writer.commit([put("a", {})]);
      await writer.commit([put("b", {})]);
      await server.compact();
      return "pass";
    };
    const store = await openStore({ endpoints: [proxy.url] });
    const { end } = store.follow("network", mirror);
    await mirror.has("b");
    expect([...mirror.values.keys(), mirror.resets, mirror.told]).to.deep.equal(["a", "b", 2, []]);
    expect(reported[0]?.message).to.match(/^etcd has ended a watch: revision \d+ has been compacted$/);
    await writer.commit([put("c", {})]);
    await mirror.has("c");
    await end();
  });

  it("is told what happens between the reading and the watch", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    const writer = await openStore();
    await writer.commit([put("a", {})]);
    proxy.decide = async (path): Promise<Fate> => {
      if (path === "/v3/watch") await writer.commit([put("b", {}), { remove: "network", id: "a" }]);
      return "pass";
    };
    const store = await openStore({ endpoints: [proxy.url] });
    const { end } = store.follow("network", mirror);
    await mirror.has("b");
    expect([[...mirror.values.keys()], mirror.resets]).to.deep.equal([["b"], 1]);
    await end();
  });

  it("tries again at growing intervals", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    proxy.decide = (path) => (path === "/v3/watch" ? "drop" : "pass");
    const store = await openStore({ endpoints: [proxy.url] });
    const { end } = store.follow("network", mirror);
    await until("it has tried seven times", 15_000, () => proxy.count("/v3/watch") === 7);
    const times = proxy.requests.filter(({ path }) => path === "/v3/watch").map(({ atMs }) => atMs);
    const gaps = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
    for (const [index, pauseMs] of [100, 200, 400, 800, 1600, 2000].entries()) {
      expect(gaps[index]).to.be.greaterThan(pauseMs / 2 - 5);
    }
    expect(gaps.at(-1)).to.be.lessThan(3_000);
    await end();
  });

  for (const [name, fate] of Object.entries({ "is away": "drop", "is there": "pass" } as const)) {
    it(`leaves nothing behind when it ends while etcd ${name}`, async () => {
      const inUse = () => process.getActiveResourcesInfo().filter((one) => /Timeout|TCPSocket/.test(one)).length;
      await using proxy = await EtcdProxy.start(server.url);
      proxy.decide = () => fate;
      const before = inUse();
      const store = await openStore({ endpoints: [proxy.url] });
      const following = [store.follow("network", mirror), store.follow("lease", new Mirror())];
      await until("it has asked", backMs, () => proxy.requests.length > 2);
      await Promise.all(following.map(({ end }) => end()));
      await Promise.all(following.map(({ ready }) => ready));
      const asked = proxy.requests.length;
      await store.close();
      await until("timers and connections are gone", backMs, () => inUse() <= before);
      expect(proxy.requests.length).to.equal(asked);
    });
  }

  it("has its connection watched by the kernel too, and costs one request for each interval", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    const store = await openStore({ endpoints: [proxy.url] }, { checkMs: 100 });
    const following = (["network", "lease", "pool"] as const).map((kind) => store.follow(kind, mirror));
    await Promise.all(following.map(({ ready }) => ready));
    const reads = proxy.count("/v3/kv/range");
    const beganAt = performance.now();
    await until("it has asked ten times", backMs, () => proxy.count("/v3/kv/range") >= reads + 10);
    expect(performance.now() - beganAt).to.be.greaterThan(900);
    expect(proxy.count("/v3/watch")).to.equal(1);
    const connections = async () => (await run(["ss", "-tnoH", "dst", new URL(proxy.url).host])).split("\n");
    await until("all connections are watched", backMs, async () =>
      (await connections()).every((one) => one.includes("timer:(keepalive")),
    );
    await Promise.all(following.map(({ end }) => end()));
  });

  it("that is one of several hosts sees what the others see", async () => {
    const hosts = await Promise.all([1, 2, 3].map(() => openStore()));
    const mirrors = hosts.map(() => new Mirror());
    const following = hosts.map((host, index) => host.follow("network", mirrors[index] as Mirror));
    await Promise.all(following.map(({ ready }) => ready));
    const take = (host: EtcdStore, n: number, index: number) =>
      host.commitIf([put(`id-${n}`, { host: index })], [{ kind: "network", id: `id-${n}`, is: "absent" }]);
    const won = await Promise.all(
      Array.from({ length: 100 }, (_, n) => Promise.all(hosts.map((host, index) => take(host, n, index)))),
    );
    expect(won.filter((results) => results.filter(Boolean).length !== 1)).to.deep.equal([]);
    await hosts[0]?.commit([put("last", {})]);
    for (const one of mirrors) {
      await one.has("last");
      expect(Object.fromEntries(one.values)).to.deep.equal(await records());
    }
    await Promise.all(following.map(({ end }) => end()));
  });
});
