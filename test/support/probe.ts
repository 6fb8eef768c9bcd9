/** Real clients: what they reach, and as whom they are seen. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { attempt, exitOf, type Outcome } from "./commands.ts";
import { patience } from "./patience.ts";
import { until } from "./poll.ts";

/** Where traffic starts: a host, a container, the client outside. */
export interface Place {
  /** A command line that runs the command in the network namespace of the place. */
  enter(command: readonly string[]): string[] | Promise<string[]>;
}

const exec = async (from: Place, script: string): Promise<Outcome> =>
  await attempt(await from.enter(["bash", "-c", script]));

export type Protocol = "tcp" | "udp";

/** Within a machine an answer takes less than a millisecond; the rest is for a busy one. */
export const answerSeconds = 5 * patience;

/** Long enough that what would come has come, and that a lost first packet would have been sent again. */
export const silenceSeconds = 1.5;

/** bash opens these itself: man 1 bash, REDIRECTION. */
const askScript = (protocol: Protocol, address: string, port: number, seconds: number): string =>
  `exec 2>/dev/null; timeout ${seconds} bash -c 'exec 3<>/dev/${protocol}/${address}/${port} && echo ask >&3 && head -n 1 <&3'`;

/** socat's form of an IPv6 address, "[fd00:0000:…]", shortened. */
export function shorten(address: string): string {
  return address.startsWith("[") ? new URL(`http://${address}`).hostname.slice(1, -1) : address;
}

/**
 * Asks a server of the test image.
 * @returns the address as which the server saw the client
 * @throws Error if no answer came
 */
export async function ask(from: Place, protocol: Protocol, address: string, port = 80): Promise<string> {
  const { stdout } = await exec(from, askScript(protocol, address, port, answerSeconds));
  if (stdout.trim() === "") throw new Error(`no answer from ${protocol} ${address} port ${port} in ${answerSeconds} s`);
  return shorten(stdout.trim());
}

/** Whether a server answers within a time in which it would, if it could. */
export async function answers(
  from: Place,
  protocol: Protocol,
  address: string,
  port = 80,
  seconds = silenceSeconds,
): Promise<boolean> {
  const { stdout } = await exec(from, askScript(protocol, address, port, seconds));
  return stdout.trim() !== "";
}

/** @throws Error if no echo came back */
export async function ping(from: Place, address: string): Promise<void> {
  const { code, stdout } = await exec(from, pingScript(address, answerSeconds));
  if (code !== 0) throw new Error(`no echo from ${address}: ${stdout}`);
}

export async function echoes(from: Place, address: string, seconds = silenceSeconds): Promise<boolean> {
  return (await exec(from, pingScript(address, Math.ceil(seconds)))).code === 0;
}

const pingScript = (address: string, seconds: number): string => `busybox ping -c 1 -W ${seconds} ${address}`;

/** Which of tcp, udp and icmp get through to a server of the test image, in this order. */
export async function reachable(from: Place, address: string, port = 80, seconds = silenceSeconds): Promise<string[]> {
  const [tcp, udp, icmp] = await Promise.all([
    answers(from, "tcp", address, port, seconds),
    answers(from, "udp", address, port, seconds),
    echoes(from, address, seconds),
  ]);
  return [tcp ? "tcp" : [], udp ? "udp" : [], icmp ? "icmp" : []].flat();
}

/** The same where all should: it waits as long as a busy machine may need. */
export const reached = (from: Place, address: string, port = 80): Promise<string[]> =>
  reachable(from, address, port, answerSeconds);

/** What these say where nothing is in the way. */
export const everything = ["tcp", "udp", "icmp"];

/** Sends a number each 20 ms and waits for it to come back, until its standard input is closed; then it says how many did. */
const talkScript = (address: string, port: number): string => `
  exec 3<>/dev/tcp/${address}/${port} || exit 1
  echo talking
  n=0
  while read -rt 0.02 _; [ $? -gt 128 ]; do
    echo $n >&3
    read -rt ${answerSeconds} -u 3 line && [ "$line" = $n ] || { echo "no answer to message $n"; exit 1; }
    n=$((n + 1))
  done
  echo $n`;

/**
 * Keeps one connection to the echo port of a server of the test image, and talks over it while something else happens.
 * @returns how many messages were answered, which is all of them
 * @throws Error if one was not
 */
export async function talkDuring(
  from: Place,
  address: string,
  during: () => Promise<unknown>,
  port = 7,
): Promise<number> {
  const [file = "", ...args] = await from.enter(["bash", "-c", talkScript(address, port)]);
  const talker = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface(talker.stdout)[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.value !== "talking") throw new Error(`no connection to ${address} port ${port}`);
  try {
    await during();
  } finally {
    talker.stdin.end();
  }
  const last = (await lines.next()).value ?? "";
  if (!/^\d+$/.test(last)) throw new Error(`connection to ${address} port ${port}: ${last || "broken"}`);
  return Number(last);
}

/** Sends from one port each 20 ms, and prints a line for each answer. Not connected, so that it learns of no refusal. */
const steadyScript = (address: string, port: number): string => `
  const socket = require("dgram").createSocket("udp4");
  socket.on("message", () => console.log("answer"));
  socket.bind(5000, () => {
    console.log("sending");
    setInterval(() => socket.send("ask", ${port}, "${address}"), 20);
  });`;

/** A client that sends datagrams to one address from one port all the time, as statsd, syslog and WireGuard do. */
export class SteadySender implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #answers = 0;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  /** Resolves when it sends. */
  static async start(from: Place, address: string, port: number): Promise<SteadySender> {
    const [file = "", ...args] = await from.enter([process.execPath, "-e", steadyScript(address, port)]);
    const sender = new SteadySender(spawn(file, args));
    const { value } = await sender.#lines.next();
    if (value !== "sending") throw new Error(`cannot send to ${address} port ${port}`);
    sender.#child.stdout.on("data", () => sender.#answers++);
    return sender;
  }

  /** Waits until something that is sent from now on is answered. @throws Error if nothing is */
  async isAnswered(): Promise<void> {
    const before = this.#answers;
    await until("a steady sender is answered", answerSeconds * 1000, () => this.#answers > before + 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await exitOf(this.#child);
  }
}
