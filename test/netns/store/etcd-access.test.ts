/** Who may speak with etcd: certificates, users, and what is said if it refuses. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect } from "chai";
import { explain } from "../../../src/errors.ts";
import { type EtcdSettings, EtcdStore } from "../../../src/store/etcd-store.ts";
import { EtcdServer } from "../../support/etcd.ts";
import { makeCertificates } from "../../support/etcd-certificates.ts";
import { until } from "../../support/poll.ts";
import { errorOf, put } from "../../support/store-changes.ts";
import { Mirror } from "../../support/store-follow-contract.ts";

describe("EtcdStore", () => {
  const stores: EtcdStore[] = [];
  const open = async (settings: EtcdSettings): Promise<EtcdStore> => {
    const store = await EtcdStore.open(settings);
    stores.push(store);
    return store;
  };
  const refusalOf = async (settings: EtcdSettings): Promise<string> =>
    (await errorOf((await open(settings)).commit([put("refused", {})]))).message;
  afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));

  describe("over TLS", () => {
    let server: EtcdServer;
    let directory: string;

    before(async () => {
      directory = mkdtempSync(join(tmpdir(), "tsnet-certificates-"));
      server = await EtcdServer.start({ tls: true });
    });
    after(async () => {
      rmSync(directory, { recursive: true });
      await server[Symbol.asyncDispose]();
    });

    it("writes, reads and follows as the one that its certificate names", async () => {
      const store = await open(server.settings());
      const mirror = new Mirror();
      const { ready, end } = store.follow("network", mirror);
      await ready;
      await store.commit([put("a", { text: "ü" })]);
      await mirror.has("a");
      expect(await store.get("network", "a")).to.deep.equal({ text: "ü" });
      await end();
    });

    it("says what to do about certificates that are not taken, and changes nothing", async () => {
      const others = makeCertificates(directory, "other");
      const name = server.url.replace("127.0.0.1", "localhost");
      const none = { cert: null, key: null };
      const cases: readonly (readonly [Partial<EtcdSettings>, string])[] = [
        [{ cacert: others.ca }, "set TSNET_ETCD_CACERT to the certificate of its CA"],
        [{ cacert: null }, "set TSNET_ETCD_CACERT to the certificate of its CA"],
        [none, "it does not take our certificate: look at TSNET_ETCD_CERT and TSNET_ETCD_KEY"],
        [{ cert: others.clientCert, key: others.clientKey }, "tls alert bad certificate (ERR_SSL"],
        [{ endpoints: [name] }, "its certificate is for another name: look at TSNET_ETCD_ENDPOINTS"],
      ];
      for (const [settings, what] of cases) {
        const text = await refusalOf(server.settings(settings));
        expect(text).to.match(/^etcd cannot be reached: https?:\/\/.*; nothing was changed$/);
        expect(text).to.contain(what);
      }
      expect(await (await open(server.settings())).get("network", "refused")).to.equal(undefined);
    });

    it("asks for the right scheme if the server does not speak TLS, or nothing else", async () => {
      await using plain = await EtcdServer.start();
      const endpoints = [plain.url.replace("http:", "https:")];
      const endsAtOnce = /: ECONNRESET; see whether .* has the right scheme, address and port; /;
      expect(await refusalOf(server.settings({ endpoints }))).to.match(endsAtOnce);
      const inPlain = plain.settings({ endpoints: [server.url.replace("https:", "http:")] });
      expect(await refusalOf(inPlain)).to.match(endsAtOnce);
    });

    it("is not opened with files that are missing, are no certificates, or do not belong together", async () => {
      const others = makeCertificates(directory, "mixed");
      const text = join(directory, "text");
      writeFileSync(text, "no certificate\n");
      const { cacert, cert } = server.settings();
      const opened = async (settings: Partial<EtcdSettings>) => {
        const error = await errorOf(EtcdStore.open(server.settings(settings)));
        expect(error.code).to.equal("invalid");
        return explain(error);
      };
      const missing = await opened({ key: "/nowhere.pem" });
      expect(missing).to.match(/^TSNET_ETCD_KEY=\/nowhere\.pem: ENOENT/);
      const what = "expected PEM files, and the key of the certificate";
      const ours = `TSNET_ETCD_CACERT=${cacert}, TSNET_ETCD_CERT=${cert}, TSNET_ETCD_KEY=`;
      expect(await opened({ key: text })).to.contain(`${ours}${text}: ${what}`);
      expect(await opened({ key: others.clientKey })).to.contain(`${ours}${others.clientKey}: ${what}`);
    });
  });

  describe("as a user", () => {
    let server: EtcdServer;
    const [user, password] = ["tsnet", "hunter2"];
    const tokenSeconds = 1;

    before(async () => {
      server = await EtcdServer.start({ args: [`--auth-token-ttl=${tokenSeconds}`] });
    });
    after(() => server[Symbol.asyncDispose]());

    it("needs none as long as etcd has none, and goes on when it has", async () => {
      const store = await open(server.settings({ user, password }));
      await store.commit([put("before", {})]);
      await server.enableUsers(user, password, "/tsnet/");
      await store.commit([put("after", {})]);
      expect([...(await store.list("network")).keys()]).to.deep.equal(["after", "before"]);
    });

    it("goes on when its token has expired", async () => {
      const store = await open(server.settings({ user, password }));
      await store.commit([put("a", {})]);
      const { token } = await server.call("/v3/auth/authenticate", { name: user, password });
      await setTimeout(tokenSeconds * 3000); // etcd looks for expired tokens each second; asking would make it last longer
      const late = server.call("/v3/kv/range", { key: btoa("/tsnet/") }, String(token));
      expect(await late.catch(String)).to.contain("invalid auth token");
      const done = await Promise.all(Array.from({ length: 20 }, (_, n) => store.commitIf([put(`late-${n}`, {})], [])));
      expect(done).to.deep.equal(done.map(() => true));
    });

    it("goes on, and follows on, when etcd has lost its token", async () => {
      const store = await open(server.settings({ user, password }));
      const mirror = new Mirror();
      const { ready, end } = store.follow("network", mirror);
      await ready;
      await server.restart();
      await store.commit([put("restarted", {})]);
      await mirror.has("restarted");
      await end();
    });

    it("goes on when the users were changed meanwhile", async () => {
      const store = await open(server.settings({ user, password }));
      await store.commit([put("a", {})]);
      const { token } = await server.call("/v3/auth/authenticate", { name: "root", password: `${password}-root` });
      await server.call("/v3/auth/role/add", { name: "another" }, String(token));
      await store.commit([put("b", {})]);
    });

    it("says why it is refused, without its password", async () => {
      const refuses = `etcd refuses: ${server.url}: etcdserver:`;
      const cases: readonly (readonly [Partial<EtcdSettings>, string])[] = [
        [
          { user, password: "hunter3" },
          `${refuses} authentication failed, invalid user ID or password: look at TSNET_ETCD_USER`,
        ],
        [{ user: "nobody", password }, `${refuses} authentication failed, invalid user ID or password`],
        [{}, `${refuses} user name is empty: it wants a user: set TSNET_ETCD_USER`],
        [
          { user, password, prefix: "/elsewhere/" },
          `${refuses} permission denied: give the role of the user in TSNET_ETCD_USER the right to read and write below /elsewhere/`,
        ],
      ];
      for (const [settings, text] of cases) {
        const told = await refusalOf(server.settings(settings));
        expect(told).to.contain(text);
        expect(told).to.match(/; nothing was changed$/);
        expect(told).not.to.contain("hunter");
      }
    });

    it("tells a follower's trouble, and follows when there is none any more", async () => {
      const told: (string | undefined)[] = [];
      const settings = server.settings({ user: "late", password });
      const store = await EtcdStore.open(settings, { report: (trouble) => told.push(trouble?.message) });
      stores.push(store);
      const mirror = new Mirror();
      const { end } = store.follow("network", mirror);
      await until("it is refused", 5_000, () => told.length === 1);
      const { token } = await server.call("/v3/auth/authenticate", { name: "root", password: `${password}-root` });
      await server.call("/v3/auth/user/add", { name: "late", password }, String(token));
      await server.call("/v3/auth/user/grant", { user: "late", role: "writer" }, String(token));
      await until("it is back", 10_000, () => told.length === 2);
      expect(told[0]).to.contain("look at TSNET_ETCD_USER");
      expect(told[1]).to.equal(undefined);
      await end();
    });
  });
});
