/** JSON over HTTP on a unix socket, and what to do if nobody answers. */
import { inHostRoot } from "./host-root.ts";

/** Not imported: as a module, node:http has all of its exports at once, WebSocket among them, which takes 25 ms. */
const { request } = process.getBuiltinModule("node:http");

/** The plugin answers within this time, or not at all. */
const timeoutMs = 10_000;

/** As a service, and as a managed plugin, whose lines are among Docker's. */
const start = "systemctl start tsnet, or docker plugin enable tsnet-plugin";
const log = "journalctl -u tsnet, or -u docker";

/** Where to ask: options of node:http. */
export type Address = { readonly socketPath: string } | { readonly host: string; readonly port: string };

/**
 * One request to the plugin's admin API.
 * @throws Error with what to do
 */
export async function askAdmin<T>(socketPath: string, path: string, method: "GET" | "POST" = "GET"): Promise<T> {
  const answer = ask({ socketPath }, path, timeoutMs, method);
  const { status, body } = await answer.catch((error: NodeJS.ErrnoException) => {
    throw new Error(explainFailure(socketPath, error), { cause: error });
  });
  if (status === 200) return body as T;
  const said = (body as { error?: unknown } | null)?.error;
  throw new Error(typeof said === "string" ? said : `${socketPath}: ${path} answers with status ${status}`);
}

function explainFailure(socket: string, { code, message }: NodeJS.ErrnoException): string {
  const advice: Readonly<Record<string, string>> = {
    ENOENT: `no such socket: start the plugin (${start}), or name its socket with --socket`,
    ENOTDIR: `no such socket: start the plugin (${start}), or name its socket with --socket`,
    ECONNREFUSED: `nobody answers: the plugin has ended; start it (${start})`,
    EACCES: "no permission: run this as root (sudo tsnet …)",
    EPERM: "no permission: run this as root (sudo tsnet …)",
    ETIMEDOUT: `no answer within ${timeoutMs / 1000} s: see the plugin's log (${log})`,
    ECONNRESET: `the plugin has broken off its answer: see its log (${log})`,
    ENOTSOCK: "it is no socket: name the plugin's with --socket",
  };
  return `${socket}: ${advice[code ?? ""] ?? message}`;
}

/** An answer as it came. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** What is sent besides the path. */
export interface Sent {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

/** @throws Error with the code ETIMEDOUT if the whole answer is not there in time */
export function send(
  address: Address,
  path: string,
  timeoutMs: number,
  { method, headers = {}, body }: Sent,
): Promise<Answer> {
  const where = "socketPath" in address ? { socketPath: inHostRoot(address.socketPath) } : address;
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => call.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })), timeoutMs);
    const call = request({ ...where, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    call.on("error", reject);
    call.on("close", () => clearTimeout(late));
    call.end(body);
  });
}

/** The same, of JSON. */
export async function ask(
  address: Address,
  path: string,
  timeoutMs: number,
  method: "GET" | "POST" = "GET",
): Promise<{ status: number; body: unknown }> {
  const { status, text } = await send(address, path, timeoutMs, { method });
  try {
    return { status, body: JSON.parse(text) };
  } catch {
    throw new Error(`${path}: the answer is no JSON: is this the right socket?`);
  }
}
