/** Datagrams by a program of Node's own, in a network namespace: what is said there is not said by the code under test. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";

export interface Reply {
  readonly bytes: Buffer;
  /** Since before the first was sent. */
  readonly ms: number;
}

/** Who is written to. */
export interface UdpTarget {
  readonly namespace: string;
  readonly address: string;
  readonly port: number;
}

const familyOf = (address: string): string => (address.includes(":") ? "udp6" : "udp4");

const sender = `
  const [family, address, port, idleMs, ...messages] = process.argv.slice(1);
  const socket = require("node:dgram").createSocket(family);
  const startedAt = performance.now();
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.close(), Number(idleMs));
  };
  socket.on("message", (bytes) => {
    console.log(performance.now() - startedAt, bytes.toString("hex"));
    wait();
  });
  socket.on("error", () => {});
  for (const message of messages) {
    const [hex, times = "1"] = message.split("*");
    for (let n = 0; n < Number(times); n++) socket.send(Buffer.from(hex, "hex"), Number(port), address);
  }
  wait();`;

/**
 * Sends each message so many times, in order, and takes what comes back.
 * @param idleMs after so long without an answer there will be none
 */
export function exchange(
  { namespace, address, port }: UdpTarget,
  messages: readonly { readonly bytes: Uint8Array; readonly times?: number }[],
  idleMs: number,
): Reply[] {
  const words = messages.map(({ bytes, times = 1 }) => `${Buffer.from(bytes).toString("hex")}*${times}`);
  const node = [process.execPath, "-e", sender, "--", familyOf(address), address, `${port}`, `${idleMs}`, ...words];
  const output = execFileSync("ip", ["netns", "exec", namespace, ...node], { encoding: "utf8", maxBuffer: 1 << 26 });
  return output.split("\n").flatMap((line) => {
    const [ms, hex = ""] = line.split(" ");
    return ms ? { ms: Number(ms), bytes: Buffer.from(hex, "hex") } : [];
  });
}

const impostor = `
  const [family, address, port, ...answers] = process.argv.slice(1);
  const dgram = require("node:dgram");
  const [socket, other] = [dgram.createSocket(family), dgram.createSocket(family)];
  socket.on("message", (question, { address, port }) => {
    for (const answer of answers) {
      const { hex, nonce, elsewhere } = JSON.parse(answer);
      const bytes = Buffer.from(hex, "hex");
      if (nonce) question.copy(bytes, 8, 8, 24);
      (elsewhere ? other : socket).send(bytes, port, address);
    }
  });
  other.bind(0, address, () => socket.bind(Number(port), address, () => console.log("bound")));`;

/** What comes back for a question, whatever it is; with its nonce if that is asked for, and from another port. */
export interface Forged {
  readonly bytes: Uint8Array;
  readonly nonce?: boolean;
  readonly elsewhere?: boolean;
}

/** Answers each datagram with all of these, in order, until it is killed. */
export async function startImpostor(
  { namespace, address, port }: UdpTarget,
  answers: readonly Forged[],
): Promise<ChildProcess> {
  const words = answers.map(({ bytes, ...how }) => JSON.stringify({ hex: Buffer.from(bytes).toString("hex"), ...how }));
  const node = [process.execPath, "-e", impostor, "--", familyOf(address), address, `${port}`, ...words];
  const child = spawn("ip", ["netns", "exec", namespace, ...node], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}
