import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { hasErrno, TsnetError } from "../../../src/errors.ts";
import { Hold } from "../../../src/kernel/hold.ts";
import { currentHolder } from "../../../src/kernel/holder.ts";
import { Nft } from "../../../src/kernel/nft.ts";
import { HeldPorts } from "../../../src/kernel/ports/held-ports.ts";

const mark = 0x01000000;
const limits = { connectTimeoutMs: 0, idleMs: 0, maxConnections: 0, maxClients: 0, maxClientsPerPort: 0 };
const table = `
add table inet tsnet
delete table inet tsnet
table inet tsnet {
  map port4 { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { tcp . 8080 : 10.98.0.2 . 80 }; }
  chain prerouting {
    type nat hook prerouting priority -105
    meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map @port4
  }
}`;

const ip = (...words: string[]): string => execFileSync("ip", words, { encoding: "utf8" });

/** A namespace with one veth to the host, which is .1 of the same /24, and the default route. */
function addHost(name: string, subnet: string): void {
  ip("netns", "add", name);
  ip("link", "add", `v-${name}`, "type", "veth", "peer", "name", "eth0", "netns", name);
  ip("address", "add", `${subnet}.1/24`, "dev", `v-${name}`);
  ip("link", "set", `v-${name}`, "up");
  ip("-n", name, "address", "add", `${subnet}.2/24`, "dev", "eth0");
  ip("-n", name, "link", "set", "eth0", "up");
  ip("-n", name, "route", "add", "default", "via", `${subnet}.1`);
}

/** A program in a namespace that answers lines with lines. */
class Program {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(namespace: string, script: string) {
    this.#child = spawn("ip", ["netns", "exec", namespace, process.execPath, "-e", script]);
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async read(): Promise<string> {
    return (await this.#lines.next()).value ?? "end";
  }

  async ask(line: string): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    return this.read();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
  }
}

const server = `require("net").createServer((socket) => socket.pipe(socket)).listen(80, () => console.log("listening"))`;
/** Sends each line of its input, and prints what comes back, or the error. */
const client = `
  const socket = require("net").connect(8080, "10.97.0.1", () => console.log("connected"));
  process.stdin.on("data", (data) => (socket.destroyed ? console.log("gone") : socket.write(data)));
  socket.on("data", (data) => process.stdout.write(data)).on("error", (error) => console.log(error.code));`;

describe("hold", function () {
  this.timeout(20_000);
  const flush = (): unknown => execFileSync("nft", ["flush", "ruleset"]);
  const tables = (): string => execFileSync("nft", ["list", "tables"], { encoding: "utf8" });
  let nft: Nft;

  before(() => {
    ip("link", "set", "lo", "up");
    addHost("client", "10.97.0");
    addHost("server", "10.98.0");
    execFileSync("sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
    nft = new Nft();
  });
  after(() => {
    nft.run("add table inet tsnet; delete table inet tsnet");
    nft.close();
    for (const name of ["client", "server"]) {
      ip("link", "del", `v-${name}`);
      ip("netns", "del", name);
    }
  });

  /** What a connection through the published port says before, during and after a gap without the table. */
  async function throughFlush(): Promise<string[]> {
    nft.run(table);
    await using there = new Program("server", server);
    expect(await there.read()).to.equal("listening");
    await using here = new Program("client", client);
    const said = [await here.read(), await here.ask("before")];
    flush();
    said.push(await here.ask("during"));
    nft.run(table);
    return [...said, await here.ask("after")];
  }

  it("without it, a flush of the ruleset breaks an established published connection", async () => {
    expect(await throughFlush()).to.deep.equal(["connected", "before", "ECONNRESET", "gone"]);
  });

  it("with it, the connection goes on, in the gap and after it", async () => {
    const hold = new Hold(mark);
    try {
      expect(await throughFlush()).to.deep.equal(["connected", "before", "during", "after"]);
    } finally {
      hold.close();
    }
  });

  it("drops what reaches the socket that reserves a port: no answer, and no refusal", async () => {
    const ports = new HeldPorts(mark, limits);
    const hold = new Hold(mark);
    const connect = (): string => {
      const words = ["netns", "exec", "client", "socat", "-u", "/dev/null", "TCP4:10.97.0.1:8081,connect-timeout=0.3"];
      return spawnSync("ip", words, { encoding: "utf8" }).stderr;
    };
    try {
      expect(connect()).to.contain("Connection refused");
      ports.reserve([{ protocol: "tcp", address: "0.0.0.0", port: 8081, count: 1, target: null, sources: [] }]);
      expect(connect()).to.contain("Connection timed out");
      hold.close();
      expect(connect()).to.equal("");
    } finally {
      hold.close();
      await ports.close();
    }
  });

  it("survives a flush, belongs to one process, and goes when it is closed", () => {
    const hold = new Hold(mark);
    try {
      flush();
      expect(tables()).to.equal("table inet tsnet-hold\n");
      expect(() => new Hold(mark))
        .to.throw(
          TsnetError,
          "another tsnet runs on this host, and owns the nft table inet tsnet-hold: stop it, or this",
        )
        .that.satisfies((error: unknown) => hasErrno(error, "EPERM"));
      expect(tables()).to.equal("table inet tsnet-hold\n");
    } finally {
      hold.close();
    }
    expect(tables()).to.equal("");
  });

  it("says who holds it, to a second one that it keeps out", () => {
    expect(currentHolder()).to.equal(undefined);
    const first = "socket /run/docker/plugins/tsnet.sock, state in /var/lib/tsnet, managed plugin 0123456789ab";
    const hold = new Hold(mark, first);
    try {
      expect(currentHolder()).to.equal(first);
      expect(() => new Hold(mark, "second")).to.throw(TsnetError, `another tsnet runs on this host (${first}), and`);
      expect(currentHolder()).to.equal(first);
    } finally {
      hold.close();
    }
    expect(currentHolder()).to.equal(undefined);
  });

  it("takes any text of who holds it, as far as nft does", () => {
    const hold = new Hold(mark, `quoted "path"\n\\ $x ; } ${"ø".repeat(200)}`);
    try {
      expect(currentHolder()).to.match(/^quoted _path__\\ \$x ; \} ø{52}$/);
    } finally {
      hold.close();
    }
  });

  it("goes when its process is killed", async () => {
    const module = new URL("../../../src/kernel/hold.ts", import.meta.url);
    const script = `import { Hold } from "${module}"; globalThis.hold = new Hold(${mark}); console.log("held"); setInterval(() => {}, 1e9)`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const closed = once(child, "close");
    await once(child.stdout, "data");
    expect(tables()).to.equal("table inet tsnet-hold\n");
    child.kill("SIGKILL");
    await closed;
    expect(tables()).to.equal("");
  });

  it("replaces a table of that name without an owner", () => {
    nft.run("add table inet tsnet-hold; add chain inet tsnet-hold stale");
    const hold = new Hold(mark);
    try {
      const listing = execFileSync("nft", ["list", "table", "inet", "tsnet-hold"], { encoding: "utf8" });
      expect(listing)
        .to.contain("flags owner")
        .and.to.contain("socket mark 0x01000000 drop")
        .and.not.to.contain("stale");
    } finally {
      hold.close();
    }
  });
});
