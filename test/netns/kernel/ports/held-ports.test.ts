import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { expect } from "chai";
import type { HostPort } from "../../../../src/driver/kernel.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { HeldPorts } from "../../../../src/kernel/ports/held-ports.ts";
import { bindElsewhere } from "../../../support/bind-elsewhere.ts";

const mark = 0x01000000;
const limits = { connectTimeoutMs: 1000, idleMs: 1000, maxConnections: 10, maxClients: 10, maxClientsPerPort: 10 };
const held = { count: 1, target: null, sources: [] } as const;
const tcp = (port: number, address = "0.0.0.0"): HostPort => ({ ...held, protocol: "tcp", address, port });
const udp = (port: number, address = "0.0.0.0"): HostPort => ({ ...held, protocol: "udp", address, port });

const inUse = "Address already in use";
const ss = (...words: string[]): string => execFileSync("ss", words, { encoding: "utf8", stdio: "pipe" });
const descriptors = (): number => readdirSync("/proc/self/fd").length;

describe("ports", () => {
  let holder: HeldPorts;
  before(() => {
    execFileSync("ip", ["link", "set", "lo", "up"]);
    execFileSync("ip", ["address", "add", "fd00:77::1/128", "dev", "lo", "nodad"]);
  });
  after(() => {
    execFileSync("ip", ["address", "del", "fd00:77::1/128", "dev", "lo"]);
  });
  beforeEach(() => {
    holder = new HeldPorts(mark, limits);
  });
  afterEach(() => holder.close());

  /** Why these cannot be reserved: the errno and the index of the port. */
  const refusal = (...ports: HostPort[]): [errno: string | undefined, index: string] => {
    try {
      holder.reserve(ports);
    } catch (error) {
      if (error instanceof TsnetError && error.code === "conflict") return [error.errno, error.message];
      throw error;
    }
    return [undefined, "reserved"];
  };

  it("holds tcp and udp on all addresses of both families, against every option, and lets go", () => {
    holder.reserve([tcp(9000), udp(9000), tcp(9000, "::"), udp(9000, "::")]);
    const ports = [tcp(9000), udp(9000), tcp(9000, "::"), udp(9000, "::"), tcp(9000, "127.0.0.2"), udp(9000, "::1")];
    for (const options of [[], ["reuseaddr"], ["reuseport"], ["reuseaddr", "reuseport"]]) {
      for (const port of ports)
        expect(bindElsewhere(port, ...options), JSON.stringify([port, options])).to.equal(inUse);
    }
    holder.release([tcp(9000), tcp(9000, "::")]);
    expect([bindElsewhere(tcp(9000)), bindElsewhere(udp(9000))]).to.deep.equal(["bound", inUse]);
    holder.release([udp(9000), udp(9001)]);
    expect(bindElsewhere(udp(9000))).to.equal("bound");
  });

  it("holds one address and leaves the others free", () => {
    holder.reserve([tcp(9000, "127.0.0.1"), udp(9001, "fd00:77::1"), tcp(9002, "::")]);
    expect(bindElsewhere(tcp(9000, "127.0.0.1"))).to.equal(inUse);
    expect(bindElsewhere(tcp(9000))).to.equal(inUse);
    expect(bindElsewhere(tcp(9000, "127.0.0.2"))).to.equal("bound");
    expect(bindElsewhere(tcp(9000, "::"))).to.equal("bound");
    expect(bindElsewhere(udp(9001, "fd00:77::1"))).to.equal(inUse);
    expect(bindElsewhere(udp(9001, "::1"))).to.equal("bound");
    expect(bindElsewhere(tcp(9002, "::1"))).to.equal(inUse);
    expect(bindElsewhere(tcp(9002))).to.equal("bound");
  });

  it("listens, and marks its sockets", () => {
    holder.reserve([tcp(9000), tcp(9001, "127.0.0.1")]);
    const listeners = ss("-Hltne", "( sport = 9000 or sport = 9001 )").trim().split("\n");
    expect(listeners).to.have.length(2);
    for (const line of listeners) expect(line).to.contain("fwmark:0x1000000");
  });

  it("reserves all or none, and names the port in the way", async () => {
    const server = createServer().listen(9005, "127.0.0.1");
    await once(server, "listening");
    const before = descriptors();
    expect(refusal(tcp(9003), udp(9004), tcp(9005), tcp(9006))).to.deep.equal(["EADDRINUSE", "2"]);
    expect(descriptors()).to.equal(before);
    expect([bindElsewhere(tcp(9003)), bindElsewhere(udp(9004)), bindElsewhere(tcp(9006))]).to.deep.equal([
      "bound",
      "bound",
      "bound",
    ]);
    server.close();
    await once(server, "close");
    expect(refusal(tcp(9005))).to.deep.equal([undefined, "reserved"]);
  });

  it("tells an address that the host does not have", () => {
    expect(refusal(tcp(9000), tcp(9001, "203.0.113.5"))).to.deep.equal(["EADDRNOTAVAIL", "1"]);
    expect(refusal(udp(9001, "fd00:99::5"))).to.deep.equal(["EADDRNOTAVAIL", "0"]);
  });

  it("takes over where an old listener left TIME_WAIT", async () => {
    const server = createServer((socket) => socket.end()).listen(9010, "127.0.0.1");
    await once(server, "listening");
    await once(connect(9010, "127.0.0.1").resume(), "close"); // the server closes first, so TIME_WAIT is at its port
    server.close();
    await once(server, "close");
    expect(ss("-Htan", "state", "time-wait")).to.contain(":9010");
    expect(bindElsewhere(tcp(9010))).to.equal(inUse);
    expect(refusal(tcp(9010))).to.deep.equal([undefined, "reserved"]);
  });

  it("knows its own ports from others', wherever they overlap", () => {
    const overlapping = [
      ["0.0.0.0", "0.0.0.0"],
      ["0.0.0.0", "127.0.0.1"],
      ["::", "::1"],
      ["fd00:77::1", "fd00:0077:0::0001"],
    ] as const;
    for (const [one, two] of [...overlapping, ...overlapping.map(([one, two]) => [two, one] as const)]) {
      holder.reserve([tcp(9000, one)]);
      expect(refusal(udp(9000, two), tcp(9000, two)), `${one} ${two}`).to.deep.equal(["EALREADY", "1"]);
      holder.release([tcp(9000, one)]);
    }
    expect(refusal(tcp(9000), tcp(9001), tcp(9000))).to.deep.equal(["EALREADY", "2"]);
    holder.reserve([tcp(9000, "127.0.0.1"), tcp(9000, "127.0.0.2"), tcp(9000, "::"), udp(9000)]);
  });

  it("holds sctp in its own records at least", () => {
    const sctp: HostPort = { ...held, protocol: "sctp", address: "0.0.0.0", port: 9000 };
    holder.reserve([sctp]);
    expect(refusal(sctp)).to.deep.equal(["EALREADY", "0"]);
    holder.release([sctp]);
    holder.reserve([sctp]);
  });

  it("refuses what is no address as invalid, and keeps nothing", () => {
    expect(() => holder.reserve([tcp(9000), tcp(9001, "nowhere")]))
      .to.throw(TsnetError, "nowhere")
      .with.property("code", "invalid");
    expect(bindElsewhere(tcp(9000))).to.equal("bound");
  });

  for (const sources of [["nowhere/8"], ["10.0.0.0"], ["10.0.0.0/33"], ["fd00::/129"], ["10.0.0.0/x"]]) {
    it(`refuses ${sources} as a source, and keeps nothing`, () => {
      const target = { address: "127.0.0.1", port: 80 };
      expect(() => holder.reserve([tcp(9000), { ...tcp(9001), target, sources }]))
        .to.throw(TsnetError, /expected/)
        .with.property("code", "invalid");
      expect(bindElsewhere(tcp(9000))).to.equal("bound");
    });
  }

  it("takes blocks: all ports of them or none, and names the block and the port in the way", () => {
    holder.reserve([tcp(9105)]);
    const block: HostPort = { ...tcp(9100), count: 10 };
    expect(refusal(udp(9100), block)).to.deep.equal(["EALREADY", "1 9105"]);
    expect([bindElsewhere(tcp(9100)), bindElsewhere(tcp(9104)), bindElsewhere(udp(9100))]).to.deep.equal([
      "bound",
      "bound",
      "bound",
    ]);
    holder.release([tcp(9105)]);
    expect(refusal(block)).to.deep.equal([undefined, "reserved"]);
    expect([
      bindElsewhere(tcp(9099)),
      bindElsewhere(tcp(9100)),
      bindElsewhere(tcp(9109)),
      bindElsewhere(tcp(9110)),
    ]).to.deep.equal([...["bound", inUse, inUse, "bound"]]);
    holder.release([{ ...tcp(9102), count: 20 }]);
    expect([bindElsewhere(tcp(9101)), bindElsewhere(tcp(9102)), bindElsewhere(tcp(9109))]).to.deep.equal([
      inUse,
      "bound",
      "bound",
    ]);
  });

  it("leaves no descriptor behind, and gives none to a child", async () => {
    const before = descriptors();
    const another = new HeldPorts(mark, limits);
    const idle = descriptors();
    another.reserve(Array.from({ length: 500 }, (_, index) => (index % 2 ? tcp : udp)(20000 + index)));
    expect(descriptors()).to.equal(idle + 500);
    const inherited = execFileSync("sh", ["-c", "ls /proc/self/fd | wc -l"], { encoding: "utf8" });
    expect(Number(inherited)).to.be.lessThan(10);
    await another.close();
    expect(descriptors()).to.equal(before);
  });

  it("holds 10,000 ports in a moment, with little memory", () => {
    const resident = (): number => process.memoryUsage.rss();
    holder.reserve([{ ...tcp(19000), count: 1000 }]); // what the first ones load is not theirs
    const before = resident();
    const usedBefore = process.cpuUsage();
    holder.reserve([{ ...tcp(20000), count: 5000 }, ...Array.from({ length: 5000 }, (_, index) => tcp(25000 + index))]);
    const used = process.cpuUsage(usedBefore); // a clock would count other processes' turns too
    expect((used.user + used.system) / 1000, "milliseconds").to.be.lessThan(1000);
    expect((resident() - before) / 10_000).to.be.lessThan(2048);
  });

  it("says what to do when there are no descriptors left, and keeps nothing", () => {
    const program = new URL("../../../support/hold-many.ts", import.meta.url).pathname;
    const said = execFileSync("sh", ["-c", 'ulimit -n 100; exec "$0" "$1"', process.execPath, program], {
      encoding: "utf8",
    });
    expect(said).to.match(/^EMFILE reserve tcp port 90\d\d of 0.0.0.0: .* tsnet may have 100: raise LimitNOFILE/);
    expect(said).to.match(/\nfree$/);
  });
});
