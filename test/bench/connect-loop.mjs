/**
 * Connects to ADDRESS PORT and resets the connection, over and over, for SECONDS; prints connections per second.
 * `connect-loop.mjs serve PORT` is the other end: it takes each connection and closes it.
 */
import { close, connected, serveEach } from "./tcp.mjs";

function measure(address, port, seconds) {
  const startedAt = performance.now();
  let connections = 0;
  while (performance.now() - startedAt < seconds * 1000) {
    for (let batch = 0; batch < 50; batch++) {
      close(connected(address, port));
      connections++;
    }
  }
  console.log((connections / (performance.now() - startedAt)) * 1000);
}

const [first, port, seconds] = process.argv.slice(2);
if (first === "serve") serveEach(Number(port), close);
else measure(first, Number(port), Number(seconds));
