import { request } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { expect } from "chai";
import { refuseCalls } from "../../../src/api/refuse.ts";
import { createApp, listen } from "../../../src/api/server.ts";
import { PluginSocket } from "../../../src/api/socket.ts";
import { TestLog } from "../../support/driver.ts";
import { removeDirectory } from "../../support/scratch.ts";
import { type Answer, post, scratchDirectory } from "../../support/wire.ts";

const registered = { scope: "global", requiresMacAddress: true } as const;
const text = "tsnet cannot start: the disk of /var/lib/tsnet is full: free some space";

const get = (socketPath: string, path: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    request({ socketPath, path, agent: false }, (response) => {
      json(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    })
      .on("error", reject)
      .end();
  });

describe("a plugin that cannot start", () => {
  let directory: string;
  let socket: PluginSocket;
  beforeEach(async () => {
    directory = await scratchDirectory();
    socket = await PluginSocket.open(join(directory, "tsnet.sock"), "TSNET_SOCKET");
  });
  afterEach(async () => {
    await socket.close();
    removeDirectory(directory);
  });
  const call = (method: string): Promise<Answer> => post(socket.path, `/${method}`, "{}");

  it("answers each call with the reason, as those read it who call", async () => {
    const early = call("NetworkDriver.CreateNetwork");
    refuseCalls([socket], registered, text);
    expect(await early).to.deep.equal({ status: 200, body: { Err: text } });
    expect(await call("IpamDriver.RequestPool")).to.deep.equal({ status: 200, body: { Error: text } });
    expect(await get(socket.path, "/v1/networks")).to.deep.equal({ status: 503, body: { error: text } });
    expect(await call("v1/ipam/check")).to.deep.equal({ status: 503, body: { error: text } });
  });

  it("can be registered by Docker, which would not try that again", async () => {
    refuseCalls([socket], registered, text);
    const bodies = await Promise.all(
      ["Plugin.Activate", "NetworkDriver.GetCapabilities", "IpamDriver.GetCapabilities"].map(call),
    );
    expect(bodies.map(({ body }) => body)).to.deep.equal([
      { Implements: ["NetworkDriver", "IpamDriver"] },
      { Scope: "global", ConnectivityScope: "global", GwAllocChecker: true },
      { RequiresMACAddress: true, RequiresRequestReplay: false },
    ]);
    expect((await call("IpamDriver.GetDefaultAddressSpaces")).body).to.have.property("LocalDefaultAddressSpace");
  });

  it("lets those go on answering who know of the error, once for each call", async () => {
    const methods = { "NetworkDriver.Join": { isImmediate: true, run: async () => ({ mine: true }) } };
    const served = await listen(
      createApp({ methods, ready: Promise.resolve(), log: new TestLog() }),
      join(directory, "served.sock"),
    );
    refuseCalls([served, socket], registered, text);
    expect(await post(served.path, "/NetworkDriver.Join", "{}")).to.deep.equal({ status: 200, body: { mine: true } });
    expect((await call("NetworkDriver.Join")).body).to.deep.equal({ Err: text });
    await served.close();
  });
});
