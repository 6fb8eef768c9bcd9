/** What a plugin answers that could not start. */
import type { PluginSocket } from "./socket.ts";

/** Answers each call on these sockets with the error, as Docker's NetworkDriver, IpamDriver and the command tsnet read it. */
export function refuseCalls(sockets: readonly PluginSocket[], text: string): void {
  const { createServer } = process.getBuiltinModule("node:http");
  const body = JSON.stringify({ Err: text, Error: text, error: text });
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(request.method === "POST" ? 200 : 503, { "content-type": "application/json" }).end(body);
  });
  for (const socket of sockets) socket.serve(server);
}
