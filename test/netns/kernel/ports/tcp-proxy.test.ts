import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { HeldPorts } from "../../../../src/kernel/ports/held-ports.ts";
import { until } from "../../../support/poll.ts";
import {
  closeClients,
  connected,
  descriptors,
  endOf,
  limits,
  mark,
  passed,
  Target,
  warmUp,
} from "../../../support/proxied.ts";

const text = async (socket: Socket): Promise<string> => (await buffer(socket)).toString();
const chunk = randomBytes(1 << 20);

/** Writes so many MiB, as fast as they are taken, and ends. */
async function pour(socket: Socket, mebibytes: number): Promise<void> {
  for (let count = 0; count < mebibytes; count++) if (!socket.write(chunk)) await once(socket, "drain");
  socket.end();
}

async function hashOf(socket: Socket): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of socket) hash.update(part);
  return hash.digest("hex");
}

function hashOfMany(mebibytes: number): string {
  const hash = createHash("sha256");
  for (let count = 0; count < mebibytes; count++) hash.update(chunk);
  return hash.digest("hex");
}

describe("TCP ports that are passed on", () => {
  let atFirst: number;
  let ports: HeldPorts;
  before(warmUp);
  beforeEach(() => {
    atFirst = descriptors();
    ports = new HeldPorts(mark, limits);
  });
  afterEach(async () => {
    await ports.close();
    closeClients();
    await until("all descriptors closed", 2000, () => descriptors() <= atFirst);
  });

  it("reach the target from every family, each port of a block its own", async () => {
    await using _ = await Target.listen((socket) => socket.end(`from ${socket.remoteAddress}`));
    ports.reserve([
      passed({ address: "0.0.0.0", port: 9499, count: 2, target: { address: "127.0.0.1", port: 6999 } }),
      passed({ address: "::", port: 9500 }),
      passed({ address: "::1", port: 9501 }),
    ]);
    for (const [port, address] of [
      [9500, "127.0.0.1"],
      [9500, "127.0.0.2"],
      [9500, "::1"],
      [9501, "::1"],
    ] as const) {
      expect(await text(await connected(port, address)), `${address} ${port}`).to.equal("from 127.0.0.1");
    }
    expect(await endOf(await connected(9499))).to.equal("ECONNRESET");
  });

  it("reach a target of IPv6", async () => {
    await using _ = await Target.listen((socket) => socket.end("here"), "::1");
    ports.reserve([passed({ target: { address: "::1", port: 7000 } })]);
    expect(await text(await connected())).to.equal("here");
  });

  it("pass on the client's end, and go on with the answer", async () => {
    await using _ = await Target.listen(async (socket) => socket.end(`got ${await text(socket)}`));
    ports.reserve([passed()]);
    const client = await connected();
    client.write("one ");
    await sleep(20);
    client.end("two");
    expect(await text(client)).to.equal("got one two");
    const silent = await connected();
    silent.end();
    expect(await text(silent)).to.equal("got ");
  });

  it("pass on the target's end, and go on with what the client says", async () => {
    const got = Promise.withResolvers<string>();
    await using _ = await Target.listen((socket) => {
      socket.end("bye");
      got.resolve(text(socket));
    });
    ports.reserve([passed()]);
    const client = await connected();
    expect(await text(client)).to.equal("bye");
    client.write("still ");
    await sleep(20);
    client.end("here");
    expect(await got.promise).to.equal("still here");
  });

  it("carry 100 MiB each way at once, unharmed, and count them", async () => {
    const received = Promise.withResolvers<string>();
    await using _ = await Target.listen((socket) => {
      received.resolve(hashOf(socket));
      void pour(socket, 100);
    });
    ports.reserve([passed(), passed({ port: 9501 })]);
    const client = await connected();
    void pour(client, 100);
    const wanted = hashOfMany(100);
    expect([await hashOf(client), await received.promise]).to.deep.equal([wanted, wanted]);
    expect(ports.observe()).to.deep.equal([
      { protocol: "tcp", address: "127.0.0.1", port: 9500, connections: 1, bytes: 2 * 100 * chunk.length },
      { protocol: "tcp", address: "127.0.0.1", port: 9501, connections: 0, bytes: 0 },
    ]);
  });

  it("carry 500 connections at once", async () => {
    await using _ = await Target.listen((socket) => socket.pipe(socket));
    ports.reserve([passed()]);
    const clients = await Promise.all(Array.from({ length: 500 }, () => connected()));
    for (const [index, client] of clients.entries()) client.end(`client ${index}`);
    const answers = await Promise.all(clients.map(text));
    expect(answers).to.deep.equal(clients.map((_, index) => `client ${index}`));
    expect(ports.observe()[0]).to.include({ connections: 500 });
  });

  it("reset the client at once where nobody listens", async () => {
    ports.reserve([passed()]);
    const client = await connected();
    expect(await Promise.race([endOf(client), sleep(1000, "late")])).to.equal("ECONNRESET");
  });

  it("pass on a reset, either way", async () => {
    const ends: Promise<string>[] = [];
    await using target = await Target.listen((socket) => ends.push(endOf(socket.resume())));
    ports.reserve([passed()]);
    const one = await connected();
    await until("a connection", 1000, () => target.sockets.size === 1);
    one.resetAndDestroy();
    await until("its end", 1000, () => target.sockets.size === 0);
    const two = await connected();
    const end = endOf(two);
    await until("a connection", 1000, () => target.sockets.size === 1);
    for (const socket of target.sockets) socket.resetAndDestroy();
    expect([await ends[0], await end]).to.deep.equal(["ECONNRESET", "ECONNRESET"]);
  });

  it("stop taking what the other side does not take, in either direction", async () => {
    let taken = 0;
    await using _ = await Target.listen((socket) => {
      socket.write("x", () => void pour(socket, 200));
      const count = setInterval(() => (taken = Math.max(taken, socket.bytesWritten - socket.writableLength)), 5);
      socket.on("close", () => clearInterval(count));
    });
    ports.reserve([passed()]);
    const client = await connected();
    client.pause();
    void pour(client, 200);
    const resident = process.memoryUsage.rss();
    const settled = async (): Promise<number> => {
      for (let last = -1; ; ) {
        const now = taken + client.bytesWritten - client.writableLength;
        if (now === last && now > 0) return now;
        last = now;
        await sleep(200);
      }
    };
    expect(await settled()).to.be.lessThan(40 << 20); // what the kernel keeps in four sockets
    expect(process.memoryUsage.rss() - resident).to.be.lessThan(32 << 20);
    client.destroy();
  });
});
