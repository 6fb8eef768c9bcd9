/** What becomes of our store when etcd, or the way to it, fails. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { Attempts } from "../../../src/driver/ipam/attempts.ts";
import { type EtcdOptions, type EtcdSettings, EtcdStore } from "../../../src/store/etcd-store.ts";
import { EtcdServer } from "../../support/etcd.ts";
import { EtcdProxy, type Fate } from "../../support/etcd-proxy.ts";
import { patience } from "../../support/patience.ts";
import { errorOf, put } from "../../support/store-changes.ts";

/** The store's own limit, and a moment to hear of it. */
const limitMs = 4_500 + 500 * patience;
const refusedUrl = "http://127.0.0.1:1";
const todo = "see whether etcd runs there, and whether TSNET_ETCD_ENDPOINTS has the right scheme, address and port";

describe("EtcdStore", () => {
  let server: EtcdServer;
  let silent: Server;
  let silentUrl: string;
  const sockets = new Set<Socket>();
  /** How many connections the silent one got. */
  let asked = 0;
  const stores: EtcdStore[] = [];
  const openStore = async (settings: Partial<EtcdSettings> = {}, options: EtcdOptions = {}): Promise<EtcdStore> => {
    const store = await EtcdStore.open(server.settings(settings), options);
    stores.push(store);
    return store;
  };
  const took = async (work: () => Promise<unknown>): Promise<number> => {
    const beganAt = performance.now();
    await work();
    return performance.now() - beganAt;
  };

  before(async () => {
    server = await EtcdServer.start();
    silent = createServer((socket) => {
      asked++;
      sockets.add(socket);
    }).listen(0, "127.0.0.1");
    await once(silent, "listening");
    silentUrl = `http://127.0.0.1:${(silent.address() as { port: number }).port}`;
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    for (const socket of sockets) socket.destroy();
  });
  after(async () => {
    silent.close();
    await server[Symbol.asyncDispose]();
  });

  it("says at once that nobody listens, and that nothing was changed", async () => {
    const store = await openStore({ endpoints: [refusedUrl, "http://127.0.0.1:2"] });
    const text = `etcd cannot be reached: ${refusedUrl}: ECONNREFUSED; http://127.0.0.1:2: ECONNREFUSED; ${todo}`;
    const ms = await took(async () => {
      const error = await errorOf(store.get("pool", "a"));
      expect([error.code, error.message]).to.deep.equal(["store", text]);
      expect((await errorOf(store.list("pool"))).message).to.equal(text);
      expect((await errorOf(store.commit([put("a", {})]))).message).to.equal(`${text}; nothing was changed`);
      expect((await errorOf(store.commitIf([put("a", {})], []))).message).to.equal(`${text}; nothing was changed`);
    });
    expect(ms).to.be.lessThan(2_000);
  });

  it("ends every call within five seconds if nobody answers, those that wait for others too", async () => {
    const store = await openStore({ endpoints: [silentUrl] });
    const commit = () => store.commit([put("a", {})]);
    const beganAt = performance.now();
    const errors = await Promise.all(
      [store.commitIf([put("a", {})], []), store.get("pool", "a"), commit(), commit(), store.list("pool")].map(errorOf),
    );
    expect(performance.now() - beganAt).to.be.lessThan(limitMs);
    const [commitIf, get, first, second] = errors.map(({ message }) => message);
    const text = `etcd cannot be reached: ${silentUrl}: no answer within 4.5 s; ${todo}`;
    expect([commitIf, get, first]).to.deep.equal([
      `${text}; it may have been done or not`,
      text,
      `${text}; it may have been done or not`,
    ]);
    expect(second).to.match(/the time was over before it was asked.*; nothing was changed$/);
  });

  it("is closed in good time though nobody answers, whatever waits", async () => {
    const store = await openStore({ endpoints: [silentUrl, `${silentUrl.replace("127.0.0.1", "localhost")}`] });
    const calls = [store.commitIf([put("a", {})], []), store.get("pool", "a"), store.commit([put("a", {})])].map(
      errorOf,
    );
    expect(await took(() => store.close())).to.be.lessThan(2_000);
    expect((await Promise.all(calls)).map(({ code }) => code)).to.deep.equal(["store", "store", "store"]);
  });

  it("asks the next server if one cannot be reached or does not answer, and stays with the one that does", async () => {
    const store = await openStore({ endpoints: [refusedUrl, silentUrl, server.url] }, { timeoutMs: 900 * patience });
    const before = asked;
    expect(await store.get("pool", "a")).to.equal(undefined);
    const after = asked;
    expect(after).to.be.greaterThan(before);
    for (let n = 0; n < 10; n++) await store.commit([put("failover", { n })]);
    expect(asked).to.equal(after);
    expect(await store.get("network", "failover")).to.deep.equal({ n: 9 });
  });

  it("writes by the next server if one cannot be reached", async () => {
    const store = await openStore({ endpoints: [refusedUrl, server.url] });
    expect(await store.commitIf([put("next", {})], [])).to.equal(true);
  });

  it("does not write twice what may have been done, says so, and goes to the next server for what follows", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    proxy.decide = (path) => (path === "/v3/kv/txn" ? "lose" : "pass");
    const store = await openStore({ endpoints: [proxy.url, server.url] });
    const absent = [{ kind: "network", id: "lost", is: "absent" }] as const;
    const error = await errorOf(store.commitIf([put("lost", { n: 1 })], absent));
    expect(error.message).to.equal(
      `etcd cannot be reached: ${proxy.url}: ECONNRESET; ${todo}; it may have been done or not`,
    );
    expect(proxy.count("/v3/kv/txn")).to.equal(1);
    expect(await store.get("network", "lost")).to.deep.equal({ n: 1 });
    expect(await store.commitIf([put("lost", { n: 2 })], absent)).to.equal(false);
    expect(proxy.requests).to.have.lengthOf(1);
  });

  it("writes on after etcd was restarted, though its connections were kept", async () => {
    const store = await openStore();
    await Promise.all(Array.from({ length: 20 }, (_, n) => store.commitIf([put(`kept-${n}`, {})], [])));
    await server.restart();
    const done = await Promise.all(Array.from({ length: 20 }, (_, n) => store.commitIf([put(`kept-${n}`, {})], [])));
    expect(done).to.deep.equal(done.map(() => true));
  });

  it("uses none of its old connections any more when one of them has failed", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    const store = await openStore({ endpoints: [proxy.url] }, { timeoutMs: 500 * patience });
    await Promise.all(Array.from({ length: 5 }, () => store.get("pool", "a")));
    proxy.freeze();
    expect((await errorOf(store.get("pool", "a"))).message).to.contain(
      `no answer within ${(0.5 * patience).toFixed(1)} s`,
    );
    for (let n = 0; n < 5; n++) expect(await store.get("pool", "a")).to.equal(undefined);
  });

  it("lists one state though etcd forgets it in between", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    const prefix = "/compacted/";
    const writer = await openStore({ prefix });
    for (let n = 0; n < 1500; n += 100) {
      await writer.commit(Array.from({ length: 100 }, (_, more) => put(`id-${n + more}`, {})));
    }
    let pages = 0;
    proxy.decide = async (path): Promise<Fate> => {
      if (path === "/v3/kv/range" && ++pages === 2) {
        await writer.commit([put("later", {})]);
        await server.compact();
      }
      return "pass";
    };
    const listed = await (await openStore({ prefix, endpoints: [proxy.url] })).list("network");
    // two of what is forgotten, and then seven with up to 250 each
    expect([listed.size, listed.has("later"), pages]).to.deep.equal([1501, true, 9]);
  });

  it("says what is too large for etcd, and changes nothing", async () => {
    const store = await openStore();
    const error = await errorOf(store.commit([put("large", { text: "x".repeat(2_000_000) })]));
    expect(error.message).to.equal(
      `etcd refuses: ${server.url}: etcdserver: request is too large: start etcd with a larger --max-request-bytes; nothing was changed`,
    );
    await using small = await EtcdServer.start({ args: ["--max-txn-ops=4"] });
    const other = await openStore({ endpoints: [small.url] });
    const many = await errorOf(other.commit(Array.from({ length: 5 }, (_, n) => put(`id-${n}`, {}))));
    expect(many.message).to.equal(
      `etcd refuses: ${small.url}: etcdserver: too many operations in txn request: start etcd with --max-txn-ops=128 or more; nothing was changed`,
    );
    expect((await other.list("network")).size).to.equal(0);
  });

  it("says so if what answers is not etcd", async () => {
    await using proxy = await EtcdProxy.start(`${server.url}/nowhere`);
    const store = await openStore({ endpoints: [proxy.url] });
    const { message } = await errorOf(store.commit([put("a", {})]));
    expect(message).to.contain("this is not etcd's JSON: HTTP 404").and.contain("etcd 3.4 or newer is needed");
    expect(message).to.match(/; nothing was changed$/);
  });

  it("names a record that is not JSON to who asks for it, and how to remove it", async () => {
    const store = await openStore({ prefix: "/odd/" });
    await server.call("/v3/kv/put", { key: btoa("/odd/pool/a/b"), value: btoa("{") });
    const text = "record pool a/b is not JSON; remove it: etcdctl del /odd/pool/a/b";
    expect((await errorOf(store.get("pool", "a/b"))).message).to.equal(text);
  });

  it("asks another server for a change, in time for who tries again, if the first falls silent", async () => {
    await using proxy = await EtcdProxy.start(server.url);
    const store = await openStore({ endpoints: [proxy.url, server.url], prefix: "/silent/" });
    await store.commit([put("a", {})]);
    proxy.freeze();
    proxy.decide = () => new Promise(() => {});
    const attempts = new Attempts({ endpoints: [proxy.url, server.url] });
    const conditions = [{ kind: "network", id: "b", is: "absent" }] as const;
    expect(await attempts.run(() => store.commitIf([put("b", {})], conditions))).to.equal(true);
    expect([...(await store.list("network")).keys()].toSorted()).to.deep.equal(["a", "b"]);
  });

  it("keeps its format in etcd", async () => {
    const store = await openStore({ prefix: "/format/" });
    await store.commit([{ put: "lease", id: "tsnet-shared/10.0.0.0/24/ü", value: { text: 'ä"\u0000' } }]);
    const answer = await server.call("/v3/kv/range", { key: btoa("/format/"), range_end: btoa("/format0") });
    const kvs = answer["kvs"] as { key: string; value: string }[];
    const texts = kvs.map(({ key, value }) => [key, value].map((text) => Buffer.from(text, "base64").toString()));
    expect(texts).to.deep.equal([["/format/lease/tsnet-shared/10.0.0.0/24/ü", '{"text":"ä\\"\\u0000"}']]);
  });
});
