import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { expect } from "chai";
import type { HostPort } from "../../../src/driver/kernel.ts";
import { TsnetError } from "../../../src/errors.ts";
import { PortHolder } from "../../../src/kernel/ports.ts";

const mark = 0x01000000;
const tcp = (port: number, address = "0.0.0.0"): HostPort => ({ protocol: "tcp", address, port });
const udp = (port: number, address = "0.0.0.0"): HostPort => ({ protocol: "udp", address, port });

/** Whether another program gets the port: "bound", or what socat says. It gives up at once when nobody comes. */
function other({ protocol, address, port }: HostPort, ...options: string[]): string {
  const isIpv6 = address.includes(":");
  const bind = isIpv6 ? `bind=[${address}],ipv6only=1` : `bind=${address}`;
  const reuse = ["reuseaddr", "reuseport"].map((option) => `${option}=${options.includes(option) ? 1 : 0}`).join();
  const kind = protocol === "tcp" ? "LISTEN" : "RECV";
  const accept = protocol === "tcp" ? ",accept-timeout=0.01" : "";
  const socket = `${protocol}${isIpv6 ? 6 : 4}-${kind}:${port},${bind},${reuse}${accept}`;
  const { status, stderr } = spawnSync("socat", ["-u", "-T0.01", socket, "/dev/null"], { encoding: "utf8" });
  return status === 0 ? "bound" : /[^:]*$/.exec(stderr.trim())?.join().trim() || `exit code ${status}`;
}

const inUse = "Address already in use";
const ss = (...words: string[]): string => execFileSync("ss", words, { encoding: "utf8", stdio: "pipe" });
const descriptors = (): number => readdirSync("/proc/self/fd").length;

describe("ports", () => {
  let holder: PortHolder;
  before(() => {
    execFileSync("ip", ["link", "set", "lo", "up"]);
    execFileSync("ip", ["address", "add", "fd00:77::1/128", "dev", "lo", "nodad"]);
  });
  after(() => {
    execFileSync("ip", ["address", "del", "fd00:77::1/128", "dev", "lo"]);
  });
  beforeEach(() => {
    holder = new PortHolder(mark);
  });
  afterEach(() => {
    holder.close();
  });

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
      for (const port of ports) expect(other(port, ...options), JSON.stringify([port, options])).to.equal(inUse);
    }
    holder.release([tcp(9000), tcp(9000, "::")]);
    expect([other(tcp(9000)), other(udp(9000))]).to.deep.equal(["bound", inUse]);
    holder.release([udp(9000), udp(9001)]);
    expect(other(udp(9000))).to.equal("bound");
  });

  it("holds one address and leaves the others free", () => {
    holder.reserve([tcp(9000, "127.0.0.1"), udp(9001, "fd00:77::1"), tcp(9002, "::")]);
    expect(other(tcp(9000, "127.0.0.1"))).to.equal(inUse);
    expect(other(tcp(9000))).to.equal(inUse);
    expect(other(tcp(9000, "127.0.0.2"))).to.equal("bound");
    expect(other(tcp(9000, "::"))).to.equal("bound");
    expect(other(udp(9001, "fd00:77::1"))).to.equal(inUse);
    expect(other(udp(9001, "::1"))).to.equal("bound");
    expect(other(tcp(9002, "::1"))).to.equal(inUse);
    expect(other(tcp(9002))).to.equal("bound");
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
    expect([other(tcp(9003)), other(udp(9004)), other(tcp(9006))]).to.deep.equal(["bound", "bound", "bound"]);
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
    expect(other(tcp(9010))).to.equal(inUse);
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
    const sctp: HostPort = { protocol: "sctp", address: "0.0.0.0", port: 9000 };
    holder.reserve([sctp]);
    expect(refusal(sctp)).to.deep.equal(["EALREADY", "0"]);
    holder.release([sctp]);
    holder.reserve([sctp]);
  });

  it("refuses what is no address as invalid, and keeps nothing", () => {
    expect(() => holder.reserve([tcp(9000), tcp(9001, "nowhere")]))
      .to.throw(TsnetError, "nowhere")
      .with.property("code", "invalid");
    expect(other(tcp(9000))).to.equal("bound");
  });

  it("leaves no descriptor behind, and gives none to a child", () => {
    const before = descriptors();
    holder.reserve(Array.from({ length: 500 }, (_, index) => (index % 2 ? tcp : udp)(20000 + index)));
    expect(descriptors()).to.equal(before + 500);
    const inherited = execFileSync("sh", ["-c", "ls /proc/self/fd | wc -l"], { encoding: "utf8" });
    expect(Number(inherited)).to.be.lessThan(10);
    holder.close();
    expect(descriptors()).to.equal(before);
  });
});
