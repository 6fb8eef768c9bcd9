/** Real servers and clients of virtual IPs. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { exitOf, run } from "./commands.ts";
import type { Place, Protocol } from "./probe.ts";

/** Says who it is and whom it sees, and then what it is told. */
const serverScript = (name: string): string => `
  const seen = (address) => "${name} " + address.replace("::ffff:", "");
  const server = require("net").createServer((socket) => {
    socket.on("error", () => {});
    socket.write(seen(socket.remoteAddress) + "\\n");
    socket.pipe(socket);
  });
  const udp = require("dgram").createSocket("udp4");
  udp.on("message", (_, from) => udp.send(seen(from.address), from.port, from.address));
  server.listen({ port: 80, host: "0.0.0.0", backlog: 4096 }, () => udp.bind(80, () => console.log("ready")));
`;

/** libnftables' sockets are inherited, and with one of them a table that is to go with its process: they are closed first. */
const closeOthers = `
  for path in /proc/$$/fd/*; do
    number=\${path##*/}
    [ $number -le 2 ] || eval "exec $number>&-"
  done
  exec "$@"`;

const program = (from: Place, script: string, ...words: string[]): string[] => {
  const command = from.enter([process.execPath, "-e", script, ...words]) as string[];
  return ["bash", "-c", closeOthers, "bash", ...command];
};

/** A program that says a line when it is ready. */
class Program implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(from: Place, script: string) {
    const [file = "", ...args] = program(from, script);
    this.#child = spawn(file, args);
    this.#child.stderr.pipe(process.stderr);
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async read(): Promise<string> {
    return (await this.#lines.next()).value ?? "end";
  }

  /** Writes to it. @returns what it says then */
  tell(text: string): Promise<string> {
    this.#child.stdin.write(text);
    return this.read();
  }

  /** Closes its standard input, upon which it says what it has seen. */
  async finish(): Promise<string> {
    this.#child.stdin.end();
    return this.read();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await exitOf(this.#child);
  }
}

/** On port 80, tcp and udp. */
export class VipServer extends Program {
  static async start(on: Place, name: string): Promise<VipServer> {
    const server = new VipServer(on, serverScript(name));
    const said = await server.read();
    if (said !== "ready") throw new Error(`the server on ${name} said ${said}`);
    return server;
  }
}

/** What came of many connections. */
export interface Answers {
  /** "10.5.0.11 10.5.0.2": who answered, and whom it saw; how often. */
  readonly by: Readonly<Record<string, number>>;
  /** What failed, by error; how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Of all of them. */
  readonly seconds: number;
}

/** As many as asked for, or as there is time for, so many at once; of UDP a datagram each, from a port of its own. */
const askScript = `
  const [protocol, address, count, atOnce, seconds] = process.argv.slice(1);
  const by = {}, failures = {};
  let begun = 0, running = 0;
  const startedAt = performance.now();
  const isOver = () => begun >= Number(count) || performance.now() - startedAt > Number(seconds) * 1000;
  const end = (table, key) => {
    table[key] = (table[key] ?? 0) + 1;
    running--;
    next();
  };
  const over = () => console.log(JSON.stringify({ by, failures, seconds: (performance.now() - startedAt) / 1000 }));
  function tcp() {
    const socket = require("net").connect(80, address);
    let done = false;
    const once = (table, key) => {
      if (done) return;
      done = true;
      socket.resetAndDestroy();
      end(table, key);
    };
    socket.setTimeout(3000, () => once(failures, "ETIMEDOUT"));
    socket.on("error", (error) => once(failures, error.code));
    socket.on("data", (data) => once(by, String(data).trim()));
    socket.on("close", () => once(failures, "closed"));
  }
  function udp() {
    const socket = require("dgram").createSocket("udp4");
    let done = false;
    const once = (table, key) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      socket.close();
      end(table, key);
    };
    const timer = setTimeout(() => once(failures, "ETIMEDOUT"), 3000);
    socket.on("error", (error) => once(failures, error.code));
    socket.on("message", (data) => once(by, String(data)));
    socket.connect(80, address, () => socket.send("ask"));
  }
  function next() {
    while (running < Number(atOnce) && !isOver()) {
      begun++;
      running++;
      protocol === "tcp" ? tcp() : udp();
    }
    if (running === 0) over();
  }
  next();
`;

/** @param options how many; how many at once; at most how long */
export async function askMany(
  from: Place,
  protocol: Protocol,
  address: string,
  { count = 200, atOnce = 8, seconds = 60 } = {},
): Promise<Answers> {
  const words = [protocol, address, count, atOnce, seconds].map(String);
  return JSON.parse(await run(program(from, askScript, ...words)));
}

/** What came of long connections. */
export interface Talked {
  /** Who was at the other end. */
  readonly servers: readonly string[];
  readonly messages: number;
  /** Connections that ended, or in which a message was not answered within 3 s. */
  readonly broken: number;
}

const talkScript = (address: string, count: number): string => `
  const servers = [];
  let messages = 0, broken = 0, isOver = false;
  for (let n = 0; n < ${count}; n++) {
    const socket = require("net").connect(80, "${address}");
    let isFirst = true;
    socket.setTimeout(3000, () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => isOver || broken++);
    socket.on("data", (data) => {
      if (!isFirst) messages++;
      else if (servers.push(String(data).split(" ")[0]) === ${count}) console.log("talking");
      isFirst = false;
      setTimeout(() => isOver || socket.write("hello\\n"), 5);
    });
  }
  process.stdin.resume();
  process.stdin.on("end", () => {
    isOver = true;
    console.log(JSON.stringify({ servers, messages, broken }));
    process.exit();
  });
`;

/** From one port, as often as it is told to; says who answered, or the error. */
const senderScript = (address: string): string =>
  `
  const socket = require("dgram").createSocket("udp4");
  socket.on("message", (data) => console.log(String(data).split(" ")[0]));
  socket.on("error", (error) => console.log(error.code));
  socket.connect(80, address, () => console.log("ready"));
  process.stdin.on("data", () => socket.send("ask"));
`.replace("80, address", `80, ${JSON.stringify(address)}`);

/** A UDP flow. */
export class VipSender extends Program {
  static async start(from: Place, address: string): Promise<VipSender> {
    const sender = new VipSender(from, senderScript(address));
    await sender.read();
    return sender;
  }

  /** Who answers the next datagram: "10.5.0.11"; "ECONNREFUSED" for nobody. */
  ask(): Promise<string> {
    return this.tell("ask\n");
  }
}

/** Keeps connections, and talks over each all the time. */
export class Talkers extends Program {
  static async start(from: Place, address: string, count: number): Promise<Talkers> {
    const talkers = new Talkers(from, talkScript(address, count));
    const said = await talkers.read();
    if (said !== "talking") throw new Error(`connections to ${address}: ${said}`);
    return talkers;
  }

  async end(): Promise<Talked> {
    return JSON.parse(await this.finish());
  }
}
