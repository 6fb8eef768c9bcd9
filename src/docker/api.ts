/** Docker's own API over its unix socket: one JSON answer, or a stream of JSON lines. Docker's words: Engine API, /networks and /events. */
import type { ClientRequest, IncomingMessage } from "node:http";

/** Not imported: as a module, node:http has all of its exports at once, WebSocket among them, which takes 4 MB that nobody needs. */
const { request } = process.getBuiltinModule("node:http");

/** Docker answers within this time, or is as good as away. */
const timeoutMs = 5000;

/** Larger than this is no list of networks. */
const maxBytes = 64 << 20;

/** Whatever Docker answers. */
export interface Answer {
  /** Of HTTP. */
  readonly status: number;
  readonly text: string;
}

/**
 * One GET.
 * @param signal ends it
 * @throws Error with the path, and what was wrong: no answer in time, another status than 200, no JSON; or when the signal ends it
 */
export async function get(socketPath: string, path: string, signal: AbortSignal): Promise<unknown> {
  const { status, text } = await ask(socketPath, path, signal);
  if (status !== 200) throw statusError(path, status);
  return JSON.parse(text);
}

/**
 * One GET, whatever the status of its answer.
 * @param signal ends it
 * @param waitMs for the whole answer
 * @throws Error with the path, and what was wrong: no answer in time; or when the signal ends it
 */
export async function ask(socketPath: string, path: string, signal: AbortSignal, waitMs = timeoutMs): Promise<Answer> {
  const call = request({ socketPath, path, agent: false, headers: { host: "docker" }, signal });
  const late = setTimeout(() => call.destroy(new Error(`GET ${path}: no answer within ${waitMs} ms`)), waitMs);
  try {
    const response = await answerOf(call);
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) {
      text += chunk as string;
      if (text.length > maxBytes) throw new Error(`GET ${path}: more than ${maxBytes} bytes`);
    }
    return { status: response.statusCode ?? 0, text };
  } finally {
    clearTimeout(late);
    call.destroy();
  }
}

/**
 * A GET whose answer does not end.
 * @param signal ends it
 * @param onOpen is called when the answer begins
 * @param onLine is called with each line
 * @returns when Docker has ended it
 * @throws Error as `get`, or when the connection breaks or is ended by the signal
 */
export async function follow(
  socketPath: string,
  path: string,
  { signal, onOpen, onLine }: { signal: AbortSignal; onOpen: () => void; onLine: (line: string) => void },
): Promise<void> {
  const call = request({ socketPath, path, agent: false, headers: { host: "docker" }, signal });
  const late = setTimeout(() => call.destroy(new Error(`GET ${path}: no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    const response = await answerOf(call);
    if (response.statusCode !== 200) throw statusError(path, response.statusCode ?? 0);
    clearTimeout(late);
    onOpen();
    let rest = "";
    for await (const chunk of response.setEncoding("utf8")) {
      const lines = (rest + (chunk as string)).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > maxBytes) throw new Error(`GET ${path}: a line of more than ${maxBytes} bytes`);
      for (const line of lines) if (line.trim() !== "") onLine(line);
    }
  } finally {
    clearTimeout(late);
    call.destroy();
  }
}

function answerOf(call: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    call.on("error", reject);
    call.on("response", resolve);
    call.end();
  });
}

/** @param status of HTTP */
export const statusError = (path: string, status: number): Error => new Error(`GET ${path}: status ${status}`);
