import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { expect } from "chai";
import { probeTcp } from "../../../src/kernel/tcp-probe.ts";

const port = 7946;
const waitMs = 300;

describe("a TCP port of another host", () => {
  let server: Server | undefined;
  afterEach(async () => {
    server?.close();
    server = undefined;
    execFileSync("nft", ["flush ruleset"]);
  });

  it("is open where somebody listens, who has the connection for a moment only", async () => {
    server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    const connected = once(server, "connection") as Promise<[NodeJS.ReadableStream]>;
    expect(await probeTcp("127.0.0.1", port, waitMs)).to.equal("open");
    const [socket] = await connected;
    await once(socket.resume(), "end");
  });

  it("is refused where nobody does", async () => {
    expect(await probeTcp("127.0.0.1", port, waitMs)).to.equal("refused");
  });

  it("is silent where nobody answers, no longer than is waited for", async () => {
    execFileSync("nft", ["-f", "-"], {
      input: `table ip t { chain c { type filter hook input priority 0; tcp dport ${port} drop; }; }`,
    });
    const startedMs = performance.now();
    expect(await probeTcp("127.0.0.1", port, waitMs)).to.equal("silent");
    expect(performance.now() - startedMs).to.be.within(waitMs - 5, 10 * waitMs);
  });

  it("has no route where there is none", async () => {
    expect(await probeTcp("192.0.2.1", port, waitMs)).to.equal("no-route");
  });
});
