import { once } from "node:events";
import { link, lstat, stat, symlink, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import type { Method } from "../../../src/api/methods.ts";
import { createApp, listen, serve } from "../../../src/api/server.ts";
import { PluginSocket } from "../../../src/api/socket.ts";
import { explain, TsnetError } from "../../../src/errors.ts";
import { TestLog } from "../../support/driver.ts";
import { removeDirectory } from "../../support/scratch.ts";
import { openPlugin, type Plugin, post, scratchDirectory } from "../../support/wire.ts";

const immediate: Method = { isImmediate: true, run: async () => ({ now: true }) };
const slow = (run: () => Promise<object>): Method => ({ isImmediate: false, run });

describe("the server", () => {
  let plugin: Plugin;
  let log: TestLog;
  const open = async (methods: Record<string, Method>, ready: Promise<void>, deadlineMs?: number): Promise<void> => {
    log = new TestLog();
    plugin = await openPlugin({ methods, ready, log, ...(deadlineMs === undefined ? {} : { deadlineMs }) });
  };
  afterEach(() => plugin.close());

  it("answers what needs no state at once, and everything else when the state is there", async () => {
    const ready = Promise.withResolvers<void>();
    const begun: string[] = [];
    await open({ now: immediate, later: slow(async () => ({ begun: begun.push("later") })) }, ready.promise);
    const later = plugin.call("later");
    expect(await plugin.call("now")).to.deep.equal({ status: 200, body: { now: true } });
    expect(begun).to.deep.equal([]);
    ready.resolve();
    expect(await later).to.deep.equal({ status: 200, body: { begun: 1 } });
  });

  it("answers within its deadline, and begins nothing after it has answered", async () => {
    const ready = Promise.withResolvers<void>();
    const begun: string[] = [];
    await open({ later: slow(async () => ({ begun: begun.push("later") })) }, ready.promise, 20);
    const Err = "later took longer than 0.02 s; see the log of tsnet for what holds it up";
    expect(await plugin.call("later")).to.deep.equal({ status: 200, body: { Err } });
    ready.resolve();
    await new Promise(setImmediate);
    expect(begun).to.deep.equal([]);
    expect(await plugin.call("later")).to.deep.equal({ status: 200, body: { begun: 1 } });
  });

  it("answers within its deadline when the work hangs or fails later", async () => {
    const work = Promise.withResolvers<object>();
    await open({ "IpamDriver.Slow": slow(() => work.promise) }, Promise.resolve(), 20);
    const Error_ = "IpamDriver.Slow took longer than 0.02 s; see the log of tsnet for what holds it up";
    expect(await plugin.call("IpamDriver.Slow")).to.deep.equal({ status: 200, body: { Error: Error_ } });
    work.reject(new Error("too late"));
    await new Promise(setImmediate);
  });

  it("shows the whole chain of an error, in the form of the driver", async () => {
    const cause = new TsnetError("kernel", "ensure-bridge: EPERM", { errno: "EPERM" });
    const fail = slow(() => Promise.reject(new TsnetError("kernel", "create network 4f2a", { cause })));
    await open({ "NetworkDriver.Fail": fail, "IpamDriver.Fail": fail }, Promise.resolve());
    const text = "create network 4f2a: ensure-bridge: EPERM";
    expect(await plugin.call("NetworkDriver.Fail")).to.deep.equal({ status: 200, body: { Err: text } });
    expect(await plugin.call("IpamDriver.Fail")).to.deep.equal({ status: 200, body: { Error: text } });
    expect(log.lines).to.have.length(2);
  });

  it("cuts an error short that repeats what it was sent", async () => {
    const fail = slow(() => Promise.reject(new TsnetError("invalid", "x".repeat(5000))));
    await open({ "IpamDriver.Fail": fail }, Promise.resolve());
    const text = `${"x".repeat(4096)}…`;
    expect(await plugin.call("IpamDriver.Fail")).to.deep.equal({ status: 200, body: { Error: text } });
    expect(log.lines.join()).to.have.length.below(5000);
  });

  it("shows what a terminal would obey, or not show, as what it is", async () => {
    const fail = slow(() => Promise.reject(new TsnetError("invalid", "parent=\u001b[2J\u202eeth0\u200b: no, ø\ntwo")));
    await open({ "NetworkDriver.Fail": fail }, Promise.resolve());
    const Err = "parent=\\u{1b}[2J\\u{202e}eth0\\u{200b}: no, ø\ntwo";
    expect(await plugin.call("NetworkDriver.Fail")).to.deep.equal({ status: 200, body: { Err } });
  });

  it("can be called with chunks of a body, and with one that has no length", async () => {
    await open({ echo: { isImmediate: true, run: async (body) => ({ body: body ?? "nothing" }) } }, Promise.resolve());
    expect(await plugin.call("echo", { a: "ä" })).to.deep.equal({ status: 200, body: { body: { a: "ä" } } });
    expect(await post(plugin.socket, "/echo", "")).to.deep.equal({ status: 200, body: { body: "nothing" } });
  });
});

describe("the socket", () => {
  let directory: string;
  const app = createApp({ methods: { now: immediate }, ready: Promise.resolve(), log: new TestLog() });
  const failure = (path: string): Promise<string> =>
    listen(app, path).then(async (socket) => {
      await socket.close();
      return "no error";
    }, explain);
  const answers = async (path: string): Promise<void> => {
    const socket = await listen(app, path);
    expect(await post(path, "/now", "")).to.have.property("status", 200);
    await socket.close();
  };
  beforeEach(async () => {
    directory = await scratchDirectory();
  });
  afterEach(() => removeDirectory(directory));

  it("is made with its directory, for its owner only", async () => {
    const path = join(directory, "run", "docker", "tsnet.sock");
    const socket = await listen(app, path);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    await socket.close();
  });

  it("keeps the connections that dockerd keeps for later", async () => {
    const socket = await listen(app, join(directory, "kept.sock"));
    const server = createHttpServer(app);
    socket.serve(server);
    expect(server.keepAliveTimeout).to.equal(0);
    await socket.close();
  });

  it("lets those wait who call before somebody serves, and answers them then", async () => {
    const path = join(directory, "early.sock");
    const socket = await PluginSocket.open(path, "TSNET_SOCKET");
    const early = ["/now", "/now"].map((call) => post(path, call, ""));
    const probe = connect(path); // dockerd's own, which says nothing
    await once(probe, "connect");
    probe.destroy();
    serve(app, socket);
    for (const answer of [...early, post(path, "/now", "")]) expect(await answer).to.have.property("status", 200);
    await socket.close();
    expect(await lstat(path).catch(({ code }) => code)).to.equal("ENOENT");
  });

  it("closes with callers who wait if nobody ever serves", async () => {
    const path = join(directory, "unserved.sock");
    const socket = await PluginSocket.open(path, "TSNET_SOCKET");
    const waiting = post(path, "/now", "").catch(({ code }) => code);
    await socket.close();
    expect(await waiting).to.be.oneOf(["ECONNRESET", "ECONNREFUSED", "ENOENT"]);
  });

  it("takes the place of a stale one", async () => {
    const path = join(directory, "stale.sock");
    const dying = createServer();
    await new Promise<void>((resolve) => dying.listen(`${path}.old`, resolve));
    // A second name stays when the server closes: what SIGKILL leaves.
    await link(`${path}.old`, path);
    await new Promise((resolve) => dying.close(resolve));
    expect((await lstat(path)).isSocket()).to.equal(true);
    await answers(path);
  });

  it("is not taken from a plugin that lives", async () => {
    const path = join(directory, "live.sock");
    const living = await listen(app, path);
    expect(await failure(path)).to.equal(`another program is answering on ${path}; stop it or set TSNET_SOCKET`);
    expect(await post(path, "/now", "")).to.have.property("status", 200);
    await living.close();
  });

  it("does not take the place of a file or of a link to one", async () => {
    const path = join(directory, "file");
    await writeFile(path, "precious");
    await symlink(path, `${path}.link`);
    for (const name of [path, `${path}.link`, directory]) {
      expect(await failure(name)).to.equal(`${name} exists and is not a socket; remove it or set TSNET_SOCKET`);
    }
    expect((await stat(path)).size).to.equal(8);
  });

  it("closes with a connection on which nothing has ever come, and not before what came is answered", async () => {
    const path = join(directory, "closing.sock");
    const work = Promise.withResolvers<object>();
    const methods = { later: slow(() => work.promise) };
    const server = createHttpServer(createApp({ methods, ready: Promise.resolve(), log: new TestLog() }));
    const closing = await PluginSocket.open(path, "TSNET_SOCKET");
    closing.serve(server);
    const began = once(server, "request");
    const silent = connect(path);
    await once(silent, "connect");
    const answer = post(path, "/later", "{}");
    await began;
    const closed = closing.close();
    setTimeout(() => work.resolve({ done: true }), 1500);
    expect(await answer).to.deep.equal({ status: 200, body: { done: true } });
    await closed;
    silent.destroy();
  });
});
