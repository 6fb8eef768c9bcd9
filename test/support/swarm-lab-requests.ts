/** Many short connections, as the clients of a service make them, and who answers them. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { exitOf } from "./commands.ts";
import type { Container } from "./container.ts";
import { patience } from "./patience.ts";
import type { Place } from "./probe.ts";

/** Of an answer in one machine; a lost first packet is sent again after a second. */
const answerMs = 3_000 * patience;

/** The port of `Identities`. */
export const identityPort = 8000;

/** A program whose errors are shown. */
type Talker = ChildProcessByStdio<Writable, Readable, null>;

/** One connection: what was said in it, or why not. */
export interface Answer {
  /** When it was begun: milliseconds of the clock that Docker's timestamps have. */
  readonly at: number;
  /** Until the answer, or the end. */
  readonly ms: number;
  /** The first line. */
  readonly said?: string;
  /** "ECONNREFUSED", "timeout" */
  readonly error?: string;
}

/** Functions that both clients below have. $1 answers are written as JSON lines. */
const clientScript = (address: string, port: number): string => `
  const net = require("node:net");
  const now = () => performance.timeOrigin + performance.now();
  const ask = () => new Promise((resolve) => {
    const at = now();
    let text = "";
    const socket = net.connect({ host: "${address}", port: ${port} });
    const end = (outcome) => { socket.destroy(); clearTimeout(late); resolve({ at, ms: now() - at, ...outcome }); };
    // of a client that was kept waiting itself, the answer may have come
    const late = setTimeout(() => setImmediate(() => end({ error: "timeout" })), ${answerMs});
    socket.on("connect", () => socket.write("ask\\n"));
    socket.on("data", (data) => (text += data).includes("\\n") && end({ said: text.trim() }));
    socket.on("error", ({ code }) => end({ error: code }));
    socket.on("close", () => end({ error: "closed" }));
  });`;

/** So many at once, until all are answered. */
const burstScript = (address: string, port: number, count: number): string => `${clientScript(address, port)}
  let left = ${count};
  const work = async () => { while (left-- > 0) console.log(JSON.stringify(await ask())); };
  Promise.all(Array.from({ length: 32 }, work));`;

/** So many a second, until its standard input is closed. */
const steadyScript = (address: string, port: number, perSecond: number): string => `${clientScript(address, port)}
  const begin = performance.now();
  let sent = 0, open = 0, isEnding = false;
  const endIfAll = () => isEnding && open === 0 && process.exit();
  setInterval(() => {
    for (; !isEnding && sent < (performance.now() - begin) * ${perSecond / 1000}; sent++, open++) {
      ask().then((answer) => { console.log(JSON.stringify(answer)); open--; endIfAll(); });
    }
  }, 2);
  process.stdin.resume().on("end", () => { isEnding = true; endIfAll(); });`;

/** Asks so often as quickly as it can. */
export async function askOften(from: Place, address: string, port: number, count: number): Promise<Answer[]> {
  const asker = await Asker.start(from, burstScript(address, port, count));
  return await asker.ended();
}

/** A client that asks all the time. */
export class Asker implements AsyncDisposable {
  readonly #child: Talker;
  /** All so far, in the order of their ends. */
  readonly answers: Answer[] = [];

  private constructor(child: Talker) {
    this.#child = child;
    createInterface(child.stdout).on("line", (line) => this.answers.push(JSON.parse(line)));
  }

  static async start(from: Place, script: string): Promise<Asker> {
    const [file = "", ...args] = await from.enter([process.execPath, "-e", script]);
    return new Asker(spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] }));
  }

  /** By default it talks to the echo port of the test image's server. */
  static steady = (from: Place, address: string, perSecond: number, port = 7): Promise<Asker> =>
    Asker.start(from, steadyScript(address, port, perSecond));

  /** @returns all, when the last has ended */
  async ended(): Promise<Answer[]> {
    const code = await exitOf(this.#child);
    if (code !== 0) throw new Error(`the client ended with ${code}`);
    return this.answers;
  }

  /** Asks no more. @returns all, when the last has ended */
  async stop(): Promise<Answer[]> {
    this.#child.stdin.end();
    return await this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await exitOf(this.#child);
  }
}

/** Those without an answer, in words. */
export const failures = (answers: readonly Answer[]): string[] =>
  answers.flatMap(({ at, ms, error }) =>
    error === undefined ? [] : [`${new Date(at).toISOString()}: ${error} after ${Math.round(ms)} ms`],
  );

const identityScript = `
  const server = require("node:net").createServer((socket) => {
    const plain = (address) => address.replace(/^::ffff:/, "");
    socket.on("error", () => {}).on("data", () => socket.end(plain(socket.localAddress) + " " + plain(socket.remoteAddress) + "\\n"));
  });
  server.listen({ port: ${identityPort}, backlog: 4096 }, () => console.log("listening"));`;

/** A server in each container that says which address of its own was asked, and who asks: "10.5.0.3 10.5.0.9". */
export class Identities implements AsyncDisposable {
  readonly #servers: readonly Talker[];

  private constructor(servers: readonly Talker[]) {
    this.#servers = servers;
  }

  /** Resolves when all listen. */
  static async start(containers: readonly Container[]): Promise<Identities> {
    const servers = await Promise.all(
      containers.map(async (container) => {
        const [file = "", ...args] = await container.enter([process.execPath, "-e", identityScript]);
        const server = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
        const lines = createInterface(server.stdout)[Symbol.asyncIterator]();
        if ((await lines.next()).value !== "listening") throw new Error("the server of identities does not listen");
        return server;
      }),
    );
    return new Identities(servers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.kill("SIGKILL");
    await Promise.all(this.#servers.map(exitOf));
  }
}

/** How many answers each server gave, by its address. */
export function shares(answers: readonly Answer[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { said = "" } of answers) {
    const [server = ""] = said.split(" ");
    counts.set(server, (counts.get(server) ?? 0) + 1);
  }
  return counts;
}
