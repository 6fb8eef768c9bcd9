/**
 * Sends one byte to ADDRESS PORT and waits for it to come back, over and over, for SECONDS; prints as JSON how often a second, and the
 * times that half and 99 of 100 took at most, in microseconds. `ping-pong.mjs serve PORT` is the other end.
 */
import { close, connected, recv, send, serveEach } from "./tcp.mjs";

const byte = new Uint8Array(1);

function answer(connection) {
  while (recv(connection, byte, 1, 0) > 0) send(connection, byte, 1, 0);
  close(connection);
}

function measure(address, port, seconds) {
  const connection = connected(address, port);
  const times = [];
  const startedAt = process.hrtime.bigint();
  const end = startedAt + BigInt(seconds * 1e9);
  let before = startedAt;
  while (before < end) {
    send(connection, byte, 1, 0);
    if (recv(connection, byte, 1, 0) !== 1) throw new Error(`the connection to ${address} port ${port} is broken`);
    const now = process.hrtime.bigint();
    times.push(Number(now - before) / 1000);
    before = now;
  }
  const perSecond = times.length / (Number(before - startedAt) / 1e9);
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.floor(share * (times.length - 1))];
  console.log(JSON.stringify({ perSecond, p50: at(0.5), p99: at(0.99) }));
}

const [first, port, seconds] = process.argv.slice(2);
if (first === "serve") serveEach(Number(port), answer);
else measure(first, Number(port), Number(seconds));
