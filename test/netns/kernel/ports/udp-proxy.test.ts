import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import type { HostPort } from "../../../../src/driver/kernel.ts";
import { HeldPorts } from "../../../../src/kernel/ports/held-ports.ts";
import { until } from "../../../support/poll.ts";
import {
  addNeighbor,
  descriptors,
  limits,
  mark,
  passed,
  removeNeighbor,
  targetPort,
  warmUp,
} from "../../../support/proxied.ts";

const run = promisify(execFile);
const udp = (values: Partial<HostPort> = {}): HostPort => passed({ protocol: "udp", ...values });

/** A socket that answers nothing by itself; its errors are of no concern. */
class Peer {
  readonly socket: Socket;
  readonly received: string[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("message", (data) => this.received.push(data.toString("latin1")));
    socket.on("error", () => {});
    peers.push(this);
  }

  /** Answers as `answer` says. */
  static async bind(answer?: (data: string, port: number) => string, address = "127.0.0.1"): Promise<Peer> {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.bind(targetPort, address);
    await once(socket, "listening");
    if (answer) {
      socket.on("message", (data, { port, address: from }) =>
        socket.send(Buffer.from(answer(data.toString("latin1"), port), "latin1"), port, from),
      );
    }
    return new Peer(socket);
  }

  /** A client that hears only what comes from the very address that it asks. */
  static async connect(port = 9500, address = "127.0.0.1"): Promise<Peer> {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.connect(port, address);
    await once(socket, "connect");
    return new Peer(socket);
  }

  async ask(question: string): Promise<string> {
    const before = this.received.length;
    this.socket.send(Buffer.from(question, "latin1"));
    return until("an answer", 1000, () => this.received[before]);
  }
}

const peers: Peer[] = [];

describe("UDP ports that are passed on", () => {
  let atFirst: number;
  let ports: HeldPorts;
  before(warmUp);
  const open = (values: Partial<typeof limits> = {}): HeldPorts => {
    ports = new HeldPorts(mark, { ...limits, ...values });
    return ports;
  };
  beforeEach(() => {
    atFirst = descriptors();
  });
  afterEach(async () => {
    await ports.close();
    for (const { socket } of peers.splice(0)) socket.close();
    await until("all descriptors closed", 2000, () => descriptors() <= atFirst);
  });

  it("answer from the address that was asked", async () => {
    await Peer.bind((data) => `to ${data}`);
    open().reserve([udp({ address: "0.0.0.0" }), udp({ address: "::" }), udp({ address: "::1", port: 9501 })]);
    const own = ["127.0.0.1", "127.0.0.2", "127.8.8.8", "::1"] as const;
    for (const address of own) expect(await (await Peer.connect(9500, address)).ask(address)).to.equal(`to ${address}`);
    expect(await (await Peer.connect(9501, "::1")).ask("x")).to.equal("to x");
  });

  it("reach a target of IPv6, also from IPv4", async () => {
    await Peer.bind((data) => `to ${data}`, "::1");
    open().reserve([udp({ target: { address: "::1", port: targetPort } })]);
    expect(await (await Peer.connect()).ask("x")).to.equal("to x");
  });

  it("keep clients apart, and answer one that asks two addresses from each", async () => {
    await Peer.bind((data, port) => `${data} ${port}`);
    open().reserve([udp({ address: "0.0.0.0" })]);
    const clients = await Promise.all(Array.from({ length: 20 }, () => Peer.connect()));
    const answers = await Promise.all(clients.map((client, index) => client.ask(String(index))));
    expect(answers.map((answer) => answer.split(" ")[0])).to.deep.equal(clients.map((_, index) => String(index)));
    expect(new Set(answers.map((answer) => answer.split(" ")[1])).size).to.equal(20);
    expect(await clients[3]?.ask("3")).to.equal(answers[3]);

    const socket = createSocket("udp4");
    const heard: string[] = [];
    socket.on("message", (data, { address }) => heard.push(`${address} ${String(data).split(" ")[0]}`));
    for (const address of ["127.0.0.1", "127.0.0.2"]) socket.send(address, 9500, address);
    await until("both answers", 1000, () => heard.length === 2);
    expect(heard).to.have.members(["127.0.0.1 127.0.0.1", "127.0.0.2 127.0.0.2"]);
    socket.close();
    expect(ports.observe()[0]).to.include({ connections: 22 });
  });

  it("carry datagrams of every size, empty ones too, and count them", async () => {
    await Peer.bind((data) => data);
    open().reserve([udp({ address: "::1" })]);
    const client = await Peer.connect(9500, "::1");
    const sizes = [0, 1, 1400, 20_000, 65_507];
    for (const size of sizes) {
      const data = randomBytes(size).toString("latin1");
      expect(await client.ask(data), `${size}`).to.equal(data);
    }
    const bytes = 2 * sizes.reduce((sum, size) => sum + size, 0);
    expect(ports.observe()).to.deep.equal([{ protocol: "udp", address: "::1", port: 9500, connections: 1, bytes }]);
  });

  it("carry many datagrams in both directions", async () => {
    const target = await Peer.bind((data) => data);
    open().reserve([udp()]);
    const client = await Peer.connect();
    for (let round = 1; round <= 100; round++) {
      for (let count = 0; count < 20; count++) client.socket.send(`${round} ${count}`);
      await until("the answers", 1000, () => client.received.length === round * 20);
    }
    expect(client.received).to.deep.equal(target.received);
  });

  it("go on after nobody has listened", async () => {
    open().reserve([udp()]);
    const client = await Peer.connect();
    for (let count = 0; count < 10; count++) {
      client.socket.send("anybody?");
      await sleep(2);
    }
    await Peer.bind((data) => `to ${data}`);
    client.socket.send("x");
    await until("an answer", 1000, () => client.received.includes("to x"));
  });

  it("forget a client that is idle, and not one that is not", async () => {
    await Peer.bind((data, port) => `${data} ${port}`);
    open({ idleMs: 800 }).reserve([udp()]);
    const held = descriptors();
    const [idle, busy] = [await Peer.connect(), await Peer.connect()];
    const first = [await idle.ask("x"), await busy.ask("x")];
    const withBoth = descriptors();
    for (let count = 0; count < 8; count++) {
      await sleep(150);
      expect(await busy.ask("x")).to.equal(first[1]);
    }
    expect(descriptors()).to.equal(withBoth - 1);
    await until("both are forgotten", 2000, () => descriptors() === held + 2); // the clients' own
    expect(await idle.ask("x")).not.to.equal(undefined);
    expect(ports.observe()[0]).to.include({ connections: 3 });
  });

  it("have room for so many clients of a port; the one that was idle longest gives way", async () => {
    await Peer.bind((_, port) => String(port));
    open({ maxClientsPerPort: 2, idleMs: 1000 }).reserve([udp(), udp({ port: 9501 })]);
    const [one, two, three] = [await Peer.connect(), await Peer.connect(), await Peer.connect()];
    const other = await Peer.connect(9501);
    const first = [await other.ask("x"), await one.ask("x"), await two.ask("x")];
    await sleep(30);
    expect(await one.ask("x")).to.equal(first[1]);
    await three.ask("x");
    expect([await other.ask("x"), await one.ask("x")]).to.deep.equal(first.slice(0, 2));
    expect(await two.ask("x")).not.to.equal(first[2]);
  });

  it("have room for so many clients in all; the one that was idle longest gives way", async () => {
    await Peer.bind((_, port) => String(port));
    open({ maxClients: 2 }).reserve([udp(), udp({ port: 9501 }), udp({ port: 9502 })]);
    const held = descriptors();
    const clients = [await Peer.connect(), await Peer.connect(9501), await Peer.connect(9502)] as const;
    const [first, second] = [await clients[0].ask("x"), await clients[1].ask("x")];
    await clients[2].ask("x");
    expect(descriptors()).to.equal(held + 3 + 2);
    expect(await clients[1].ask("x")).to.equal(second);
    expect(await clients[0].ask("x")).not.to.equal(first);
  });

  it("know a client from its first datagram on, however young this thread is", async () => {
    await Peer.bind((data) => data);
    open({ maxClients: 1, idleMs: 200 * performance.now() }).reserve([udp(), udp({ port: 9501 })]);
    const held = descriptors();
    for (const port of [9500, 9501]) await (await Peer.connect(port)).ask("x");
    expect(descriptors()).to.equal(held + 2 + 1);
  });

  it("end with the port, which is free then", async () => {
    await Peer.bind((data) => data);
    open().reserve([udp(), udp({ port: 9501 })]);
    const held = descriptors();
    const [client, other] = [await Peer.connect(), await Peer.connect(9501)];
    await client.ask("x");
    await other.ask("x");
    ports.release([udp()]);
    expect(descriptors()).to.equal(held + 4 - 2);
    const next = createSocket("udp4").bind(9500, "127.0.0.1");
    await once(next, "listening");
    next.close();
    expect(await other.ask("y")).to.equal("y");
  });

  describe("to some only", () => {
    before(addNeighbor);
    after(removeNeighbor);
    /** Ends with the answer, or after so many seconds without one. */
    const ask = async (address: string, seconds: number, ...from: string[]): Promise<string> => {
      const target = address.includes(":") ? `UDP6:[${address}]:9500` : `UDP4:${address}:9500`;
      const script = `printf x | ${from.join(" ")} socat -t ${seconds} - ${target},readbytes=${"hello".length}`;
      return (await run("sh", ["-c", script])).stdout;
    };
    const askFromThere = (address: string, seconds: number): Promise<string> =>
      ask(address, seconds, "ip", "netns", "exec", "neighbor");

    it("let in whom they are for, and this host from every address", async () => {
      await Peer.bind(() => "hello");
      const sources = ["10.97.0.2/31", "fd00:98::/64"];
      open().reserve([udp({ address: "0.0.0.0", sources }), udp({ address: "::", sources })]);
      expect([await askFromThere("10.97.0.1", 5), await askFromThere("fd00:97::1", 0.3)]).to.deep.equal(["hello", ""]);
      const own = ["127.0.0.1", "10.97.0.1", "::1", "fd00:97::1"];
      expect(await Promise.all(own.map((address) => ask(address, 5)))).to.deep.equal(own.map(() => "hello"));
      expect(ports.observe().map(({ connections }) => connections)).to.deep.equal([3, 2]);
    });

    it("answer a neighbor from its link-local address", async () => {
      await Peer.bind(() => "hello");
      open().reserve([udp({ address: "::" })]);
      const [, address = ""] =
        /inet6 (fe80:\S+)\/64/.exec((await run("ip", ["address", "show", "v-neighbor"])).stdout) ?? [];
      expect(address).to.match(/^fe80:/);
      await until("an answer", 5000, async () => (await askFromThere(`${address}%eth0`, 1)) === "hello");
    });
  });
});
