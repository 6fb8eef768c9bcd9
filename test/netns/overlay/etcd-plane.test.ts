/** Control planes of several hosts with a real etcd. */
import { execFileSync } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import { EtcdStore } from "../../../src/store/etcd-store.ts";
import { EtcdServer } from "../../support/etcd.ts";
import { overlayEndpoint, overlayNetwork, PlaneHost, type PlaneHostOptions } from "../../support/plane-host.ts";
import { until } from "../../support/poll.ts";

/** More than the longest pause between two attempts to reach etcd, and then to put things right. */
const backMs = 10_000;

describe("overlay networks in a real etcd", () => {
  let server: EtcdServer;
  const closing: { close: () => Promise<void> }[] = [];
  /** What the stores have said of etcd. */
  const reported: string[] = [];
  let count = 0;

  before(async () => {
    server = await EtcdServer.start();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    count++;
    reported.length = 0;
  });
  afterEach(async () => {
    for (const one of closing.splice(0).reverse()) await one.close();
  });

  /** A process of tsnet that has heard of all there is. */
  async function open(id: string, options: PlaneHostOptions = {}, etcd = server): Promise<PlaneHost<EtcdStore>> {
    const store = await EtcdStore.open(etcd.settings({ prefix: `/plane${count}/` }), {
      report: (trouble) => reported.push(trouble?.message ?? "back"),
    });
    const timing = { deadlineMs: 4500, graceMs: backMs, ...options.timing };
    const host = new PlaneHost(id, store, { ...options, timing });
    await store.resume(host.disk);
    closing.push(store, { close: () => host.plane.close() });
    host.start();
    await until(`${id} hears`, backMs, () => isTold(host));
    return host;
  }

  const isTold = ({ plane }: PlaneHost): boolean => {
    try {
      return plane.list.hosts().hosts.length >= 0;
    } catch {
      return false;
    }
  };

  async function stop({ plane, records }: PlaneHost<EtcdStore>): Promise<void> {
    await plane.close();
    await records.close();
  }

  async function pair() {
    const [one, two] = [await open("h1"), await open("h2")];
    const { vni } = await one.create(overlayNetwork("n1"));
    await two.create(overlayNetwork("n2"));
    await one.connect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24", "fd00::2/64"));
    await until("h2 knows", backMs, () => two.view(vni).length === 2);
    return { one, two, vni };
  }

  /** What etcd has, by its own API: "place/8388700/10.1.0.2". */
  async function keys(kind: string): Promise<string[]> {
    const prefix = `/plane${count}/${kind}/`;
    const range = { key: btoa(prefix), range_end: btoa(`${prefix.slice(0, -1)}0`), keys_only: true };
    const { kvs = [] } = (await server.call("/v3/kv/range", range)) as { kvs?: { key: string }[] };
    return kvs.map(({ key }) => atob(key).slice(prefix.length));
  }

  it("agree on networks and places, and a second host does not get an address twice", async () => {
    const { one, two, vni } = await pair();
    expect(await keys("overlay")).to.deep.equal([`${vni}`]);
    expect((await keys("place")).sort()).to.deep.equal([`${vni}/10.1.0.2`, `${vni}/fd00::2`]);
    expect(await keys("vtep")).to.have.members(["192.0.2.1", "192.0.2.2"]);
    const refused = await two
      .connect("n2", overlayEndpoint("e2", "n", "10.1.0.2/24"))
      .catch((error: Error) => error.message);
    expect(refused).to.contain("is that of endpoint e1 on host name-of-h1 (h1)");
    await one.disconnect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24", "fd00::2/64"));
    await until("h2 knows", backMs, () => two.view(vni).length === 0);
    expect(await keys("place")).to.deep.equal([]);
  });

  it("are the same though it forgets its history, and is killed and started again", async () => {
    const { one, two, vni } = await pair();
    await one.connect("n1", overlayEndpoint("e3", "n", "10.1.0.3/24"));
    await server.compact();
    await server.restart();
    await one.connect("n1", overlayEndpoint("e4", "n", "10.1.0.4/24"));
    await until("h2 knows", backMs, () => two.view(vni).length === 4);
    expect(two.goneMacs).to.deep.equal([]);
  });

  it("give back what is removed while it is away, and refuse what is new, with what to do", async () => {
    const { one, two, vni } = await pair();
    await server.kill();
    const beganAt = performance.now();
    await one.disconnect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24", "fd00::2/64"));
    const waitedMs = performance.now() - beganAt;
    const refused = await one
      .connect("n1", overlayEndpoint("e3", "n", "10.1.0.3/24"))
      .catch((error: Error) => error.message);
    expect(refused).to.match(
      /^etcd at http:.* did not do it within 4.5 s: etcd cannot be reached: .*ECONNREFUSED.*; overlay networks need it for what is new/,
    );
    await server.start();
    await until("h2 knows", backMs, () => two.view(vni).length === 0);
    expect(await keys("place")).to.deep.equal([]);
    expect(waitedMs).to.be.below(4500); // not as long as what has to have an answer
  });

  it("go on with what they had when it is restored from a backup, and put it back", async () => {
    const { one, two, vni } = await pair();
    await server.backUp();
    await until("h1 is back", backMs, () =>
      one.connect("n1", overlayEndpoint("e3", "n", "10.1.0.3/24")).then(() => true),
    );
    for (let n = 4; n < 30; n++) await one.connect("n1", overlayEndpoint(`e${n}`, "n", `10.1.0.${n}/24`));
    await until("h2 knows", backMs, () => two.view(vni).length === 29);
    await server.restore();
    await until("it is said", backMs, () =>
      reported.some((text) => text.startsWith("etcd has gone back from revision ")),
    );
    await until("it has all again", backMs, async () => (await keys("place")).length === 29);
    expect(two.goneMacs).to.deep.equal([]);
    expect(two.view(vni)).to.have.length(29);
  });

  /** Longer than anybody takes to put something back, and less than a test has. */
  const graceMs = 500;

  it("are not known to be gone by a process that begins after it was restored from a backup", async () => {
    const one = await open("h1");
    const two = await open("h2", { timing: { graceMs } });
    const { vni } = await one.create(overlayNetwork("n1"));
    await two.create(overlayNetwork("n2"));
    await server.backUp();
    await until("h1 is back", backMs, () =>
      one.connect("n1", overlayEndpoint("e3", "n", "10.1.0.3/24")).then(() => true),
    );
    for (let n = 4; n < 30; n++) await one.connect("n1", overlayEndpoint(`e${n}`, "n", `10.1.0.${n}/24`));
    await until("h2 knows", backMs, () => two.view(vni).length === 27);
    await stop(one);
    await stop(two);
    await server.restore();
    const again = await open("h2", { ...two, timing: { graceMs } });
    expect(reported.filter((text) => text.startsWith("etcd has gone back from revision "))).to.have.length(1);
    expect(again.log.lines.join("\n")).to.match(/^warn: etcd has lost something: .*name-of-h1 \(h1\)/m);
    await pause(2 * graceMs);
    expect([again.view(vni), again.plane.isComplete()]).to.deep.equal([[], false]);
    await open("h1", one);
    await until("h2 knows", backMs, () => again.view(vni).length === 27);
    await until("that is all", backMs, () => again.plane.isComplete());
    expect(again.goneMacs).to.deep.equal([]);
  });

  it("move to another one with their hosts, one after the other, and nobody takes the others for gone", async () => {
    await using anew = await EtcdServer.start();
    const { one, two, vni } = await pair();
    await two.connect("n2", overlayEndpoint("e2", "n", "10.1.0.3/24"));
    await until("h1 knows", backMs, () => one.view(vni).length === 1);
    await stop(two);
    const timing = { graceMs, beatMs: 300 };
    const moved = await open("h2", { ...two, timing }, anew);
    expect(reported.join()).to.contain("etcd is another cluster than it was");
    await pause(2 * graceMs);
    expect([moved.view(vni), moved.plane.isComplete()]).to.deep.equal([[], false]);
    expect(await moved.plane.joinNetwork(overlayNetwork("n2"))).to.equal(vni);
    await stop(one);
    const other = await open("h1", { ...one, timing }, anew);
    await until("they know", backMs, () => moved.view(vni).length === 2 && other.view(vni).length === 1);
    await until("that is all", backMs, () => moved.plane.isComplete() && other.plane.isComplete());
    expect([...moved.goneMacs, ...other.goneMacs]).to.deep.equal([]);
    await stop(moved);
    await stop(other);
  });

  it("are put back into one that was made anew, where VNIs are the same", async () => {
    const { one, two, vni } = await pair();
    await server.makeAnew();
    await until("it has all again", backMs, async () => (await keys("place")).length === 2);
    for (const { log } of [one, two])
      await until("and the networks", backMs, () =>
        log.lines.join("\n").includes("etcd did not know that this host has a network, and does again"),
      );
    expect(await keys("overlay")).to.deep.equal([`${vni}`]);
    expect(two.goneMacs).to.deep.equal([]);
    const third = await open("h3");
    expect((await third.create(overlayNetwork("n3"))).vni).to.equal(vni);
  });
});

describe("overlay networks and an etcd that does not take this host", () => {
  const refusal = async (server: EtcdServer, settings: Parameters<EtcdServer["settings"]>[0]): Promise<string> => {
    const store = await EtcdStore.open(server.settings(settings));
    const host = new PlaneHost("h1", store, { timing: { deadlineMs: 1500 } }).start();
    try {
      return await host.create(overlayNetwork("n1")).then(
        () => expect.fail("it took it"),
        (error: Error) => error.message,
      );
    } finally {
      await host.plane.close();
      await store.close();
    }
  };

  it("for its password, or what its user may do: each says what to set", async () => {
    await using server = await EtcdServer.start();
    await server.enableUsers("tsnet", "secret", "/tsnet/");
    const none = await refusal(server, {});
    expect(none).to.match(/^etcd refuses: .*user name is empty: it wants a user: set TSNET_ETCD_USER/);
    const wrong = await refusal(server, { user: "tsnet", password: "wrong" });
    expect(wrong).to.match(/^etcd refuses: .*authentication failed.*: look at TSNET_ETCD_USER/);
    const elsewhere = await refusal(server, { user: "tsnet", password: "secret", prefix: "/other/" });
    expect(elsewhere).to.match(/^etcd refuses: .*permission denied: give the role of the user .* below \/other\//);
    const store = await EtcdStore.open(server.settings({ user: "tsnet", password: "secret" }));
    const host = new PlaneHost("h1", store, { timing: { deadlineMs: 4500 } });
    expect((await host.create(overlayNetwork("n1"))).vni).to.be.above(0);
    await host.plane.close();
    await host.records.close();
  });

  it("for a certificate that has expired: says to renew it, or to set the clock", async () => {
    await using server = await EtcdServer.start({ tls: true });
    const { ca, serverCert, serverKey } = server.certificates ?? expect.fail("no TLS");
    const good = new PlaneHost("h1", await EtcdStore.open(server.settings()), { timing: { deadlineMs: 4500 } });
    expect((await good.create(overlayNetwork("n1"))).vni).to.be.above(0);
    await good.plane.close();
    await good.records.close();
    await server.stop();
    expire(serverCert, serverKey, ca);
    await server.start();
    const text = await refusal(server, {});
    expect(text).to.match(
      /^etcd at .* did not do it within 1.5 s: .*CERT_HAS_EXPIRED.*renew its certificate, or set the clock/,
    );
  });
});

/** Makes a certificate anew that ended a day ago. */
function expire(cert: string, key: string, ca: string): void {
  const openssl = (...words: string[]): void => {
    execFileSync("openssl", words, { stdio: "pipe" });
  };
  const [request, caKey, extensions] = [
    `${cert}.csr`,
    ca.replace(/ca\.pem$/, "ca-key.pem"),
    ca.replace(/ca\.pem$/, "extensions.pem"),
  ];
  openssl("req", "-new", "-key", key, "-subj", "/O=server", "-out", request);
  openssl(
    "x509",
    "-req",
    "-in",
    request,
    "-CA",
    ca,
    "-CAkey",
    caKey,
    "-CAcreateserial",
    "-days",
    "-1",
    "-extfile",
    extensions,
    "-out",
    cert,
  );
}
