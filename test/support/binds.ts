/** Programs of a host that want ports for themselves. */
import { run } from "./commands.ts";
import type { Host } from "./host.ts";
import { until } from "./poll.ts";
import type { Protocol } from "./probe.ts";

const listenDeadlineMs = 5_000;

/** Where a program binds: "::" is both families, "[::]" IPv6 alone. */
export interface Bind {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
}

export const bindText = ({ protocol, address, port }: Bind): string => `${protocol} ${address} ${port}`;

/** Binds one after another, tcp with SO_REUSEADDR, udp with it if that is asked for, and prints how each went: "" or an error code. */
const bindScript = `
  const { createServer } = require("node:net");
  const { createSocket } = require("node:dgram");
  const bind = ({ protocol, address, port }) => new Promise((resolve) => {
    const ipv6Only = address === "[::]";
    const host = ipv6Only ? "::" : address;
    const type = host.includes(":") ? "udp6" : "udp4";
    const socket = protocol === "tcp" ? createServer() : createSocket({ type, ipv6Only, reuseAddr: process.argv[2] === "reuse" });
    socket.once("error", ({ code }) => resolve(code));
    socket.once("listening", () => socket.close(() => resolve("")));
    if (protocol === "tcp") socket.listen({ host, port, ipv6Only });
    else socket.bind(port, host);
  });
  (async () => {
    const codes = [];
    for (const each of JSON.parse(process.argv[1])) codes.push(await bind(each));
    console.log(JSON.stringify(codes));
  })();`;

/**
 * What a program is told that binds there, by `bindText`: "" if it may, or "EADDRINUSE" and the like.
 * @param isRuthless it shares udp ports with whoever lets it
 */
export async function tryBinds(
  host: Host,
  binds: readonly Bind[],
  { isRuthless = false } = {},
): Promise<Record<string, string>> {
  const command = [process.execPath, "-e", bindScript, JSON.stringify(binds), isRuthless ? "reuse" : "alone"];
  const codes: string[] = JSON.parse(await run(host.enter(command)));
  return Object.fromEntries(binds.map((bind, index) => [bindText(bind), codes[index] ?? ""]));
}

/** A program of the host that answers "host" to whoever asks, until it is disposed of. */
export async function startProgram(host: Host, { protocol, address, port }: Bind): Promise<AsyncDisposable> {
  const family = address.includes(":") ? 6 : 4;
  const where =
    family === 6 ? `bind=[${address.replace(/[[\]]/g, "")}],ipv6only=${address === "[::]" ? 1 : 0}` : `bind=${address}`;
  const kind = protocol === "tcp" ? `TCP${family}-LISTEN:${port},reuseaddr` : `UDP${family}-RECVFROM:${port}`;
  const daemon = await host.namespace.start(
    ["socat", `${kind},fork,${where}`, "SYSTEM:'read _; echo host'"],
    "/dev/null",
    process.env,
  );
  await until(`a program listens at ${address} ${protocol} port ${port}`, listenDeadlineMs, async () => {
    const { stdout } = await host.exec(`ss -Hln --${protocol} 'sport = :${port}'`);
    return stdout.includes(`:${port} `);
  });
  return {
    [Symbol.asyncDispose]: async () => {
      process.kill(daemon.pid, "SIGKILL");
      await daemon.ended;
    },
  };
}
