/** A program in a network namespace that listens, connects and pings as a test tells it. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** How long nothing may come back before it counts as dropped; an answer takes well below a millisecond. */
const silenceMs = 1500;

/** How long is waited for what is to come: many who ask at once wait for a processor. */
const answerMs = 15_000;

/**
 * Runs in the namespace, on plain Node. It answers each request, a line of JSON, by a line of JSON with the same id. A server
 * answers a connection or a datagram with "<the client's address> <the port that it came to>".
 */
const program = `
const net = require("node:net"), dgram = require("node:dgram"), { execFile } = require("node:child_process");
const plain = (address) => address.replace(/^::ffff:/, "");
const ports = JSON.parse(process.argv[1]);
let waiting = ports.length * 2;
const listening = () => { if (--waiting === 0) console.log("{}"); };
if (waiting === 0) console.log("{}");
for (const port of ports) {
  net.createServer((socket) => {
    socket.on("error", () => {});
    socket.end(plain(socket.remoteAddress) + " " + socket.localPort);
  }).listen(port, "::", listening);
  const socket = dgram.createSocket("udp6");
  socket.on("message", (_, from) => socket.send(plain(from.address) + " " + port, from.port, from.address));
  socket.bind(port, "::", listening);
}
const ask = {
  tcp: ({ address, port }, done) => {
    let text = "";
    const socket = net.connect({ host: address, port });
    socket.on("data", (data) => { text += data; });
    socket.on("end", () => done(text));
    socket.on("error", ({ code }) => done(code));
    return () => socket.destroy();
  },
  udp: ({ address, port }, done) => {
    const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.on("error", ({ code }) => done(code));
    socket.on("message", (data) => done(String(data)));
    socket.connect(port, address, (error) => { if (error) done(error.code); else socket.send("?"); });
    return () => socket.close();
  },
  ping: ({ address, ms }, done) => {
    const child = execFile("busybox", ["ping", "-c", "1", "-W", String(Math.ceil(ms / 1000)), address], (error) => done(error ? "silence" : "pong"));
    return () => child.kill();
  },
};
require("node:readline").createInterface(process.stdin).on("line", (line) => {
  const request = JSON.parse(line);
  let isDone = false, end = () => {};
  const done = (answer) => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    console.log(JSON.stringify({ id: request.id, answer }));
    setImmediate(() => end());
  };
  const timer = setTimeout(() => done("silence"), request.ms);
  end = ask[request.how](request, done);
});
process.stdin.on("end", () => process.exit());
`;

/** How to ask a server: by a connection, a datagram, or an echo request. */
export type How = "tcp" | "udp" | "ping";

export class Agent implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, (answer: string) => void>();
  readonly #ready: Promise<void>;
  #lastId = 0;

  /**
   * @param namespace its name, or "" for the namespace of this process
   * @param ports on which it listens, tcp and udp, all addresses
   */
  constructor(namespace: string, ports: readonly number[] = []) {
    const enter = namespace === "" ? [] : ["ip", "netns", "exec", namespace];
    const [file = "", ...words] = [...enter, process.execPath, "-e", program, JSON.stringify(ports)];
    this.#child = spawn(file, words);
    this.#ready = new Promise((resolve, reject) => {
      let errors = "";
      this.#child.stderr.on("data", (data) => {
        errors += data;
      });
      this.#child.once("close", () => reject(new Error(`agent in ${namespace}: ${errors}`)));
      createInterface(this.#child.stdout).on("line", (line) => {
        const { id, answer } = JSON.parse(line);
        if (id === undefined) resolve();
        else this.#waiting.get(id)?.(answer);
        this.#waiting.delete(id);
      });
    });
    this.#ready.catch(() => {});
  }

  /** Resolves when it listens. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /**
   * Asks a server.
   * @param isAnswered whether something is to come back: it is waited for longer
   * @returns what it said, an errno such as "ECONNREFUSED", "pong", or "silence" if nothing came back
   */
  ask(how: How, address: string, port: number, isAnswered: boolean): Promise<string> {
    const id = ++this.#lastId;
    const ms = isAnswered ? answerMs : silenceMs;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin.write(`${JSON.stringify({ id, how, address, port, ms })}\n`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
  }
}
