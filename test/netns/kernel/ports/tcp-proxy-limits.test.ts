import { execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import { HeldPorts } from "../../../../src/kernel/ports/held-ports.ts";
import { bindElsewhere } from "../../../support/bind-elsewhere.ts";
import { patience } from "../../../support/patience.ts";
import { until } from "../../../support/poll.ts";
import {
  addNeighbor,
  closeClients,
  connected,
  descriptors,
  dial,
  endOf,
  limits,
  mark,
  passed,
  removeNeighbor,
  Target,
  warmUp,
} from "../../../support/proxied.ts";

const run = promisify(execFile);
const ip = (words: string): unknown => execFileSync("ip", words.split(" "));

/** What a process has used of the processor: utime and stime of man 5 proc_pid_stat, in ticks of 10 ms. */
function processorMs(pid = 0): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** Says hello, and returns the answer, or how it ended. */
async function sayHello(socket: Socket): Promise<string> {
  socket.write("hello");
  return Promise.race([once(socket, "data").then(String), endOf(socket)]);
}

const text = async (socket: Socket): Promise<string> => (await buffer(socket)).toString();
const chunk = randomBytes(1 << 20);

/** Writes so many MiB, as fast as they are taken, and ends. */
async function pour(socket: Socket, mebibytes: number): Promise<void> {
  for (let count = 0; count < mebibytes; count++) if (!socket.write(chunk)) await once(socket, "drain");
  socket.end();
}

describe("TCP ports that are passed on, when there is too much or too little,", () => {
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

  it("end at once when the port is released, which is free then for everybody", async () => {
    await using target = await Target.listen((socket) => socket.resume());
    const port = 9502; // of which no other test has left anything in TIME_WAIT
    ports.reserve([passed({ port }), passed({ port: 9501 })]);
    const [client, half, other] = [await connected(port), await connected(port), await connected(9501)];
    half.end();
    await until("three connections", 1000, () => target.sockets.size === 3);
    const ends = [endOf(client), endOf(half)];
    ports.release([passed({ port })]);
    expect(bindElsewhere(passed({ port }))).to.equal("bound");
    expect(await Promise.all(ends)).to.deep.equal(["ECONNRESET", "ECONNRESET"]);
    other.write("more");
    await until("the other one goes on", 1000, () => [...target.sockets].some(({ bytesRead }) => bytesRead === 4));
  });

  it("survive clients that reset in every state, and targets that do", async () => {
    await using _ = await Target.listen((socket) => {
      socket.on("data", () => {});
      if (Math.random() < 0.3) socket.resetAndDestroy();
      else if (Math.random() < 0.5) void pour(socket, 1).catch(() => {});
    });
    ports.reserve([passed()]);
    for (let round = 0; round < 5; round++) {
      const clients = await Promise.all(Array.from({ length: 100 }, () => connected()));
      for (const client of clients) {
        client.write(chunk.subarray(0, Math.floor(Math.random() * 300_000)));
        if (Math.random() < 0.3) client.end();
        setTimeout(() => client.resetAndDestroy(), Math.random() * 30);
      }
      await Promise.all(clients.map((client) => client.closed || endOf(client)));
    }
    await until("all of them are taken", 1000, () => ports.observe()[0]?.connections === 500);
  });

  it("give up a target that does not answer, and reset the client", async () => {
    addNeighbor();
    ip("neighbor add 10.97.0.9 lladdr 02:00:00:00:00:09 dev v-neighbor"); // which nobody has
    const impatient = new HeldPorts(mark, { ...limits, connectTimeoutMs: 200 });
    try {
      const target = { address: "10.97.0.9", port: 80 };
      impatient.reserve([passed({ target })]);
      const start = performance.now();
      const [first, second] = [dial(), dial()].map(endOf);
      expect(await first).to.equal("ECONNRESET");
      expect(performance.now() - start).to.be.within(190, 1500 * patience);
      await second;
      ports.reserve([passed({ target, port: 9501 })]);
      const [third, start3] = [await connected(9501), performance.now()];
      ports.release([passed({ port: 9501 })]);
      expect(await endOf(third)).to.equal("ECONNRESET");
      expect(performance.now() - start3).to.be.lessThan(1000 * patience);
    } finally {
      await impatient.close();
      removeNeighbor();
    }
  });

  it("let those wait that are too many, and take them when others go", async () => {
    await using target = await Target.listen((socket) => socket.pipe(socket));
    const small = new HeldPorts(mark, { ...limits, maxConnections: 2 });
    try {
      small.reserve([passed(), passed({ port: 9501 })]);
      const clients = await Promise.all([connected(), connected(9501), connected(9501)]);
      for (const client of clients) client.write("hello");
      const served = () => clients.filter(({ readableLength }) => readableLength === 5);
      await until("two are served", 1000, () => served().length >= 2);
      await sleep(50);
      expect(target.sockets.size).to.equal(2);
      const answered = served();
      expect(answered).to.have.length(2);
      answered[0]?.end();
      const waiting = clients.find((client) => !answered.includes(client));
      await until("the third is served", 1000, () => waiting?.readableLength === 5);
    } finally {
      closeClients();
      await small.close();
    }
  });

  // a connection takes two descriptors: once the client's is the one that fails, once the target's
  for (const openFiles of [80, 81]) {
    it(`do not spin with all of ${openFiles} descriptors in use, and go on when there are some again`, async () => {
      const program = new URL("../../../support/few-descriptors.ts", import.meta.url).pathname;
      const script = 'ulimit -n "$1"; exec "$0" "$2"';
      const child = spawn("sh", ["-c", script, process.execPath, String(openFiles), program], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        await once(child.stdout, "data");
        await using _ = await Target.listen((socket) => socket.pipe(socket));
        const answers = Array.from({ length: 60 }, () => sayHello(dial()));
        await sleep(300);
        const used = processorMs(child.pid);
        await sleep(1000);
        expect(processorMs(child.pid) - used).to.be.lessThan(150);
        closeClients();
        expect(new Set(await Promise.all(answers))).to.include("hello");
        await until("a new one is served", 2000, async () => (await sayHello(dial())) === "hello");
      } finally {
        child.kill();
        await once(child, "exit");
      }
    });
  }

  describe("to some only", () => {
    before(addNeighbor);
    after(removeNeighbor);

    /** What somebody in the other namespace gets. */
    const askFromThere = async (address: string): Promise<string> => {
      const target = address.includes(":") ? `TCP6:[${address}]:9500` : `TCP4:${address}:9500`;
      const socat = ["netns", "exec", "neighbor", "socat", "-u", target, "-"];
      return (await run("ip", socat)).stdout; // a reset is an end to it
    };
    const refused = "";
    const cases: [sources: string[], neighbor4: string, neighbor6: string][] = [
      [[], "hello", "hello"],
      [["10.97.0.0/24"], "hello", refused],
      [["10.97.0.3/32", "fd00:97::/127"], refused, refused],
      [["10.97.0.2/32", "fd00:97::2/127"], "hello", "hello"],
      [["0.0.0.0/0"], "hello", refused],
      [["10.97.0.128/25", "::/0"], refused, "hello"],
    ];
    for (const [sources, neighbor4, neighbor6] of cases) {
      it(`lets in ${sources.join(" and ") || "everybody"}, and this host from every address`, async () => {
        await using _ = await Target.listen((socket) => socket.end("hello"));
        ports.reserve([passed({ address: "0.0.0.0", sources }), passed({ address: "::", sources })]);
        expect(await Promise.all(["10.97.0.1", "fd00:97::1"].map(askFromThere))).to.deep.equal([neighbor4, neighbor6]);
        for (const own of ["127.0.0.1", "10.97.0.1", "::1", "fd00:97::1"]) {
          expect(await text(await connected(9500, own)), own).to.equal("hello");
        }
      });
    }
  });
});
