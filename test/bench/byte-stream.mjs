/**
 * Sends to ADDRESS PORT for SECONDS as much as the other end takes; prints bytes per second.
 * `byte-stream.mjs serve PORT` is the other end.
 */
import { close, connected, recv, send, serveEach } from "./tcp.mjs";

const buffer = new Uint8Array(128 * 1024); // as iperf3 does it

function take(connection) {
  while (recv(connection, buffer, buffer.length, 0) > 0);
  close(connection);
}

function measure(address, port, seconds) {
  const connection = connected(address, port);
  const startedAt = performance.now();
  let bytes = 0;
  while (performance.now() - startedAt < seconds * 1000) {
    const sent = send(connection, buffer, buffer.length, 0);
    if (sent < 0) throw new Error(`the connection to ${address} port ${port} is broken`);
    bytes += sent;
  }
  console.log((bytes / (performance.now() - startedAt)) * 1000);
}

const [first, port, seconds] = process.argv.slice(2);
if (first === "serve") serveEach(Number(port), take);
else measure(first, Number(port), Number(seconds));
