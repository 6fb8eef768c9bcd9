import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { Conntrack } from "../../../src/kernel/conntrack.ts";
import type { ForgetFlows } from "../../../src/plan/op.ts";
import { patience } from "../../support/patience.ts";

/** How long an answer that is not to come is waited for. */
const silenceMs = 300;

const run = (file: string, words: string, input = ""): string =>
  execFileSync(file, words.split(" "), { encoding: "utf8", stdio: "pipe", input, maxBuffer: 64 << 20 });
const ip = (words: string): string => run("ip", words);
const nft = (script: string): string => run("nft", "-f -", script);

/** A namespace with one veth to the host, which is the first of both subnets, and the default route. */
function addHost(name: string, subnet4: string, subnet6: string): void {
  ip(`netns add ${name}`);
  ip(`link add v-${name} type veth peer name eth0 netns ${name}`);
  // until its own duplicate check is over a link has no link-local address, and asks for no neighbor
  run("sysctl", `-qw net.ipv6.conf.v-${name}.accept_dad=0`);
  ip(`netns exec ${name} sysctl -qw net.ipv6.conf.eth0.accept_dad=0`);
  ip(`address add ${subnet4}.1/24 dev v-${name}`);
  ip(`address add ${subnet6}::1/64 dev v-${name} nodad`);
  ip(`link set v-${name} up`);
  for (const n of [2, 3]) {
    ip(`-n ${name} address add ${subnet4}.${n}/24 dev eth0`);
    ip(`-n ${name} address add ${subnet6}::${n}/64 dev eth0 nodad`);
  }
  ip(`-n ${name} link set eth0 up`);
  ip(`-n ${name} route add default via ${subnet4}.1`);
  ip(`-n ${name} -6 route add default via ${subnet6}::1`);
}

/** A program in a namespace that answers lines with lines. */
class Program implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(namespace: string, script: string) {
    this.#child = spawn("ip", ["netns", "exec", namespace, process.execPath, "-e", script]);
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async read(): Promise<string> {
    return (await this.#lines.next()).value ?? "end";
  }

  async ask(waitMs = 5000): Promise<string> {
    this.#child.stdin.write(`${waitMs}\n`);
    return this.read();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
  }
}

/** On each of its addresses, answers with that address. */
const server = `
  const addresses = ["10.98.0.2", "10.98.0.3", "fd00:98::2", "fd00:98::3"];
  let listening = 0;
  for (const address of addresses) {
    const socket = require("dgram").createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.on("message", (_, { port, address: to }) => socket.send(address, port, to));
    socket.bind(53, address, () => ++listening === addresses.length && console.log("listening"));
  }`;

/** Sends from one port, once for each line of its input, and prints the answer, or "silence" after so many milliseconds. */
const client = (to: string): string => `
  const socket = require("dgram").createSocket("${to.includes(":") ? "udp6" : "udp4"}");
  let timer;
  const answer = (text) => { clearTimeout(timer); console.log(text); };
  socket.on("message", (text) => answer(String(text)));
  socket.bind(5000);
  process.stdin.on("data", (waitMs) => {
    timer = setTimeout(answer, Number(waitMs), "silence");
    socket.send("ask", 8080, "${to}");
  });`;

const families = [
  { family: "ipv4", map: "port4", host: "10.97.0.1", first: "10.98.0.2", second: "10.98.0.3" },
  { family: "ipv6", map: "port6", host: "fd00:97::1", first: "fd00:98::2", second: "fd00:98::3" },
];

const forget = (hostPorts: readonly number[], addresses: readonly string[]): ForgetFlows => ({
  op: "forget-flows",
  protocol: "udp",
  hostPorts,
  addresses,
});

describe("conntrack", function () {
  this.timeout(20_000);
  let conntrack: Conntrack;
  const list = (family: string): string => run("conntrack", `-L -f ${family} -p udp`);
  /** Destination port and answering address of all UDP flows, and "tcp" for those, sorted. */
  const flows = (family = "ipv4"): string[] =>
    run("conntrack", `-L -f ${family}`)
      .split("\n")
      .filter(Boolean)
      .map((line) => {
        const [, port = ""] = /dport=(\d+)/.exec(line) ?? [];
        const source = [...line.matchAll(/src=(\S+)/g)][1]?.[1] ?? "";
        return `${line.split(" ")[0]} ${port} ${source}`;
      })
      .toSorted();
  const publish = (map: string, target: string): string =>
    nft(`add element inet tsnet ${map} { udp . 8080 : ${target} . 53 }`);
  const unpublish = (map: string): string => nft(`delete element inet tsnet ${map} { udp . 8080 }`);

  before(() => {
    run("sysctl", "-qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    addHost("ct-client", "10.97.0", "fd00:97");
    addHost("ct-server", "10.98.0", "fd00:98");
  });
  after(() => {
    // a namespace takes its links along a moment later, when there may be another test already
    for (const name of ["ct-client", "ct-server"]) {
      ip(`link del v-${name}`);
      ip(`netns del ${name}`);
    }
  });
  beforeEach(() => {
    nft(`
      add table inet tsnet
      delete table inet tsnet
      table inet tsnet {
        map port4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
        map port6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
        chain prerouting {
          type nat hook prerouting priority -105
          dnat ip to meta l4proto . th dport map @port4
          dnat ip6 to meta l4proto . th dport map @port6
        }
      }`);
    run("conntrack", "-F");
    conntrack = new Conntrack();
  });
  afterEach(() => {
    conntrack.close();
    nft("delete table inet tsnet");
    run("conntrack", "-F");
  });

  for (const { family, map, host, first, second } of families) {
    it(`a client that began before its port was published is answered from then on: ${family}`, async () => {
      await using servers = new Program("ct-server", server);
      expect(await servers.read()).to.equal("listening");
      await using asker = new Program("ct-client", client(host));
      expect(await asker.ask(silenceMs)).to.equal("silence");
      publish(map, first);
      expect(await asker.ask(silenceMs), "without forgetting").to.equal("silence");
      expect(list(family)).to.contain("UNREPLIED").and.not.contain(first);
      await conntrack.forgetFlows(forget([8080], [first]));
      expect(list(family)).to.equal("");
      expect(await asker.ask()).to.equal(first);
    });

    it(`a client that sends all the time follows its port to another container: ${family}`, async () => {
      await using servers = new Program("ct-server", server);
      expect(await servers.read()).to.equal("listening");
      await using asker = new Program("ct-client", client(host));
      publish(map, first);
      expect(await asker.ask()).to.equal(first);
      unpublish(map);
      publish(map, second);
      expect(await asker.ask(), "without forgetting").to.equal(first);
      await conntrack.forgetFlows(forget([8080], [second]));
      expect(await asker.ask()).to.equal(second);
      expect(flows(family)).to.deep.equal([`udp 8080 ${second}`]);
    });
  }

  /** A flow from 192.0.2.1, as `conntrack -I` has it. */
  const add = (protocol: string, port: number, more = "", to = "10.97.0.1"): void => {
    const state = protocol === "tcp" ? " --state ESTABLISHED" : "";
    const from = to.includes(":") ? "2001:db8::1" : "192.0.2.1";
    run("conntrack", `-I -p ${protocol} -s ${from} -d ${to} --sport 4000 --dport ${port} -t 100${state}${more}`);
  };

  it("forgets flows to the ports and flows translated to the addresses, in every zone, and no others", async () => {
    const kept = () => {
      add("udp", 8082);
      add("udp", 8083, " --dst-nat 10.98.0.3");
      add("udp", 8084, "", "10.98.0.2"); // sent to the container itself, as routers do
      add("udp", 8081, " --src-nat 10.97.0.1", "192.0.2.53"); // masqueraded, to somebody else's port
      add("tcp", 8080);
    };
    kept();
    add("udp", 8080, "", "fd00:97::1");
    const before = [flows(), flows("ipv6")];
    for (const port of [8080, 8081]) add("udp", port);
    add("udp", 8080, " --zone 7");
    add("udp", 8080, " --dst-nat 10.98.0.9", "10.97.0.7");
    add("udp", 8085, " --dst-nat 10.98.0.2");
    expect(flows()).to.have.length((before[0]?.length ?? 0) + 5);
    await conntrack.forgetFlows(forget([8080, 8081], ["10.98.0.2"]));
    expect([flows(), flows("ipv6")]).to.deep.equal(before);
    await conntrack.forgetFlows(forget([8080, 8081], ["10.98.0.2", "fd00:98::2"]));
    expect([flows(), flows("ipv6")]).to.deep.equal([before[0], []]);
    await conntrack.forgetFlows(forget([8080, 8081], ["10.98.0.2", "fd00:98::2"]));
    expect(flows()).to.deep.equal(before[0]);
  });

  it("finds a few among 20,000, and forgets as many while other calls go on", async () => {
    const flow = (n: number): string =>
      `-A -t 100 -p udp -s 10.1.${n >> 8}.${n & 255} -d 10.97.0.1 --sport 4000 --dport ${n < 3 ? 8080 : 53}\n`;
    // through a pipe of the shell's: conntrack opens /dev/stdin, which Node has made a socket
    const input = Array.from({ length: 20_000 }, (_, n) => flow(n)).join("");
    execFileSync("sh", ["-c", "cat | conntrack -R -"], { input });
    expect(run("conntrack", "-C").trim()).to.equal("20000");
    const started = performance.now();
    await conntrack.forgetFlows(forget([8080], ["10.98.0.2"]));
    expect(performance.now() - started, "milliseconds").to.be.lessThan(1000 * patience);
    expect(run("conntrack", "-C").trim()).to.equal("19997");
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await conntrack.forgetFlows(forget([53], ["10.98.0.2"]));
    clearInterval(timer);
    expect(run("conntrack", "-C").trim()).to.equal("0");
    expect(turns).to.be.greaterThan(10);
  });
});
