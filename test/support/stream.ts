/** A long connection that is never idle, so that what happens to the path for a few milliseconds happens to a packet of it. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Place } from "./probe.ts";

/** Longer than the pauses after which TCP sends a lost packet again: 0.2, 0.4, 0.8 and 1.6 s. */
const answerMs = 5_000;

/** Sends a number each millisecond, whether or not the one before was answered, and wants all of them back in order. */
const script = (address: string, port: number): string => `
  const socket = require("node:net").connect(${port}, "${address}");
  const fail = (why) => { console.log(why); process.exit(1); };
  let sent = 0, received = 0, isEnding = false;
  const endIfAll = () => { if (isEnding && received === sent) { console.log(received); process.exit(); } };
  socket.setNoDelay();
  socket.on("error", ({ code }) => fail(code + " after message " + received));
  socket.on("close", () => fail("closed after message " + received));
  require("node:readline").createInterface({ input: socket }).on("line", (line) => {
    if (line !== String(received)) fail("got " + line + " instead of message " + received);
    if (received++ === 0) console.log("streaming");
    endIfAll();
  });
  socket.on("connect", () => setInterval(() => isEnding || socket.write(sent++ + "\\n"), 1));
  process.stdin.resume().on("end", () => {
    isEnding = true;
    endIfAll();
    setTimeout(() => fail("no answer to message " + received), ${answerMs});
  });`;

/**
 * Keeps a connection to the echo port of a server of the test image busy while something else happens.
 * @returns how many messages came back, which is all that were sent
 * @throws Error that says after which message it broke
 */
export async function streamDuring(
  from: Place,
  address: string,
  during: () => Promise<unknown>,
  port = 7,
): Promise<number> {
  const [file = "", ...args] = await from.enter([process.execPath, "-e", script(address, port)]);
  const sender = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface(sender.stdout)[Symbol.asyncIterator]();
  const first = (await lines.next()).value ?? "no connection";
  if (first !== "streaming") throw new Error(`stream to ${address} port ${port}: ${first}`);
  try {
    await during();
  } finally {
    sender.stdin.end();
  }
  const last = (await lines.next()).value ?? "";
  if (!/^\d+$/.test(last)) throw new Error(`stream to ${address} port ${port}: ${last || "broken"}`);
  return Number(last);
}
