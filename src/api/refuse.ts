/** What a plugin answers that could not start. */
import { errorAnswer } from "./error-answer.ts";
import { type Registered, registrationAnswers } from "./registration.ts";
import type { PluginSocket } from "./socket.ts";

/**
 * Answers each call on these sockets with the error, as Docker's NetworkDriver, IpamDriver and the command tsnet read it; but Docker
 * can register the plugin, so that it needs to do nothing more once the plugin can start. A socket that is served goes on as it does:
 * who serves it knows of the error.
 */
export function refuseCalls(sockets: readonly PluginSocket[], registered: Registered, text: string): void {
  const { createServer } = process.getBuiltinModule("node:http");
  const answers: Readonly<Record<string, object>> = registrationAnswers(registered);
  const server = createServer((request, response) => {
    request.resume();
    const method = (request.url ?? "").slice(1);
    const isDockers = !method.startsWith("v1/");
    const refusal = isDockers ? errorAnswer(method, new Error(text)).body : { error: text };
    const answer = JSON.stringify(answers[method] ?? refusal);
    response.writeHead(isDockers ? 200 : 503, { "content-type": "application/json" }).end(answer);
  });
  for (const socket of sockets) if (!socket.isServed) socket.serve(server);
}
