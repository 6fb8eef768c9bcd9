/**
 * The start: environment -> settings -> sockets. dockerd looks for the sockets half a second after a managed plugin was started, and
 * only three seconds later again: so they are there before the modules are loaded that answer on them.
 */
import { PluginSocket } from "./api/socket.ts";
import { type Config, parseConfig } from "./config.ts";
import { explain } from "./errors.ts";

/** The sockets that are open, to be served. */
export interface Sockets {
  /** Docker calls on any of them. */
  readonly plugin: readonly PluginSocket[];
  readonly admin: PluginSocket;
}

/** Those that are open are closed again if one cannot be. @throws TsnetError "conflict" if somebody answers on one */
async function openSockets(config: Config): Promise<Sockets> {
  const opened: PluginSocket[] = [];
  const open = async (path: string, setting: string): Promise<PluginSocket> => {
    const socket = await PluginSocket.open(path, setting);
    opened.push(socket);
    return socket;
  };
  try {
    const plugin = [await open(config.socket, "TSNET_SOCKET")];
    const admin = await open(config.adminSocket, "TSNET_ADMIN_SOCKET");
    // last: when dockerd finds a managed plugin's own socket, it goes on to networks that ask for the other
    if (config.managedSocket !== null) plugin.push(await open(config.managedSocket, "TSNET_MANAGED_SOCKET"));
    return { plugin, admin };
  } catch (error) {
    await Promise.all(opened.map((socket) => socket.close()));
    throw error;
  }
}

/**
 * How long a managed plugin that cannot start answers with the reason, before it ends and dockerd starts it again: dockerd would wait
 * a minute for one that ends at once, at its own start too, and start it without a pause.
 */
const refusalMs = 10_000;

/** One line for each thing that is wrong. */
function explainEach(error: unknown): string[] {
  const errors = error instanceof AggregateError ? error.errors : [error];
  return errors.map((one) => `tsnet cannot start: ${explain(one)}`);
}

/** Says what is wrong, then ends. */
async function refuseToStart(error: unknown, opened?: Sockets): Promise<never> {
  const lines = explainEach(error);
  for (const line of lines) process.stderr.write(`${line}\n`);
  const sockets = opened ? [...opened.plugin, opened.admin] : [];
  if (opened && opened.plugin.length > 1) {
    (await import("./api/refuse.ts")).refuseCalls(sockets, lines.join("\n"));
    await new Promise((resolve) => setTimeout(resolve, refusalMs));
  }
  await Promise.all(sockets.map((socket) => socket.close()));
  process.exit(1);
}

async function main(): Promise<void> {
  const config = parseConfig(process.env);
  const sockets = await openSockets(config);
  try {
    if (process.argv.includes("--compile")) await (await import("./compile-cache.ts")).fill();
    const { run } = await import("./compose.ts");
    await run(config, sockets);
  } catch (error) {
    await refuseToStart(error, sockets);
  }
}

if (import.meta.main) main().catch((error) => refuseToStart(error));
