import { readdirSync, writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { expect } from "chai";
import type { Kernel } from "../../../src/driver/kernel.ts";
import { explain, TsnetError } from "../../../src/errors.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { bindElsewhere } from "../../support/bind-elsewhere.ts";
import { until } from "../../support/poll.ts";
import { closeClients, connected, endOf, mark, passed, Target } from "../../support/proxied.ts";

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

const threads = (): number => readdirSync("/proc/self/task").length;
/** A thread that has ended is listed until the kernel has put it away. */
const leftMs = 1_000;
const counted = { protocol: "tcp", address: "127.0.0.1", port: 9500 } as const;

describe("KernelClient, for ports", () => {
  let client: KernelClient;
  let kernel: Kernel;
  beforeEach(async () => {
    client = await KernelClient.open({ mark });
    kernel = client;
  });
  afterEach(async () => {
    await client.close();
    closeClients();
  });

  it("has a thread for them from the first one on", async () => {
    const before = threads();
    await kernel.releasePorts([passed()]);
    expect((await kernel.observeCounters()).proxied).to.deep.equal([]);
    await until("no thread is left", leftMs, () => threads() === before);
    await kernel.reservePorts([passed()]);
    expect(threads()).to.be.greaterThan(before);
  });

  it("passes on, counts, and lets go", async () => {
    await using _ = await Target.listen((socket) => socket.end("hello"));
    await kernel.reservePorts([passed(), passed({ port: 9501, target: null })]);
    const talking = await connected();
    expect(String(await buffer(talking))).to.equal("hello");
    const { proxied } = await kernel.observeCounters();
    expect(proxied).to.deep.equal([{ ...counted, connections: 1, bytes: 5 }]);
    talking.end();
    await kernel.releasePorts([passed()]);
    expect((await kernel.observeCounters()).proxied).to.deep.equal([]);
    expect([bindElsewhere(passed({ port: 9501 })), bindElsewhere(passed({ port: 9502 }))]).to.deep.equal([
      "Address already in use",
      "bound",
    ]);
  });

  it("ends what is passed on when it is closed, and takes no port any more", async () => {
    await using _ = await Target.listen((socket) => socket.resume());
    await kernel.reservePorts([passed({ port: 9503 })]);
    const end = endOf(await connected(9503));
    await client.close();
    expect(await end).to.equal("ECONNRESET");
    expect(bindElsewhere(passed({ port: 9503 }))).to.equal("bound");
    expect(explain(await errorOf(kernel.reservePorts([passed()])))).to.contain("closed");
    const unused = await KernelClient.open({ mark });
    await unused.close();
    expect(explain(await errorOf(unused.reservePorts([passed()])))).to.contain("closed");
  });

  it("tells of ports that the host keeps out of the ephemeral range", async () => {
    const path = "/proc/sys/net/ipv4/ip_local_reserved_ports";
    expect(await kernel.observeReservedPorts()).to.deep.equal([]);
    writeFileSync(path, "8080,40000-40010,9500");
    try {
      expect(await kernel.observeReservedPorts()).to.deep.equal([
        { first: 8080, last: 8080 },
        { first: 9500, last: 9500 },
        { first: 40000, last: 40010 },
      ]);
    } finally {
      writeFileSync(path, "\n");
    }
  });

  it("says once that it cannot go on when the thread for ports dies", async () => {
    await client.close();
    const ports = new URL("../../support/dying-ports-worker.ts", import.meta.url);
    const dying = await KernelClient.open({ mark }, { ports });
    const exits: TsnetError[] = [];
    dying.onExit((error) => exits.push(error));
    await dying.reservePorts([passed()]);
    const errors = await Promise.all([passed(), passed()].map((port) => errorOf(dying.reservePorts([port]))));
    for (const error of [...errors, await errorOf(dying.releasePorts([passed()]))]) {
      expect(error).to.be.instanceOf(TsnetError);
      expect(explain(error)).to.equal("the ports thread has ended: restart tsnet: out of luck");
    }
    expect(exits).to.deep.equal([errors[0]]);
    expect((await dying.observe()).links).not.to.deep.equal([]);
    await dying.close();
  });
});
