/**
 * The start: environment -> settings -> sockets. dockerd looks for the sockets half a second after a managed plugin was started, and
 * only three seconds later again: so they are there before the modules are loaded that answer on them.
 */
import { PluginSocket } from "./api/socket.ts";
import { type Config, parseConfig } from "./config.ts";
import { explain, TsnetError } from "./errors.ts";

/** The sockets that are open, to be served. */
export interface Sockets {
  /** Docker calls on any of them. */
  readonly plugin: readonly PluginSocket[];
  readonly admin: PluginSocket;
}

/** @param opened gets each socket as soon as it is open @throws TsnetError "conflict" if somebody answers on one; Error */
async function openSockets(config: Config, opened: PluginSocket[]): Promise<Sockets> {
  const open = async (path: string, setting: string): Promise<PluginSocket> => {
    const socket = await PluginSocket.open(path, setting);
    opened.push(socket);
    return socket;
  };
  const plugin = [await open(config.socket, "TSNET_SOCKET")];
  const admin = await open(config.adminSocket, "TSNET_ADMIN_SOCKET");
  // last: when dockerd finds a managed plugin's own socket, it goes on to networks that ask for the other
  if (config.managedSocket !== null) plugin.push(await open(config.managedSocket, "TSNET_MANAGED_SOCKET"));
  return { plugin, admin };
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

/** With who else is here, if a socket is taken: it is most likely the one that answers there. */
async function withHolder(error: unknown): Promise<unknown> {
  if (!(error instanceof TsnetError && error.code === "conflict")) return error;
  try {
    const { anotherTsnet, currentHolder } = await import("./kernel/holder.ts");
    const holder = currentHolder();
    return holder === undefined ? error : new AggregateError([error, anotherTsnet(holder)]);
  } catch {
    return error; // without nft or CAP_NET_ADMIN nobody can be found
  }
}

/**
 * How long a managed plugin whose settings are wrong stays there: dockerd dials it for 12.5 s, then disables it and sends SIGTERM. It
 * would start one that ended meanwhile again, and that one's remains are in the way when the plugin is enabled with the right setting.
 */
const dialMs = 15_000;

/** Says what is wrong, and ends. */
async function refuseSettings(error: unknown): Promise<never> {
  for (const line of explainEach(error)) process.stderr.write(`${line}\n`);
  if (process.env["TSNET_MANAGED_SOCKET"]) {
    endBySignal();
    await new Promise((resolve) => setTimeout(resolve, dialMs));
  }
  process.exit(1);
}

/** The first process of a pid namespace is ended by no signal that it does not handle. */
function endBySignal(): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.removeAllListeners(signal).once(signal, () => process.exit(1));
}

/** Says what is wrong, to Docker as well if it is to be waited for, then ends. */
async function refuseToStart(error: unknown, config: Config, opened: PluginSocket[]): Promise<never> {
  const lines = explainEach(error);
  for (const line of lines) process.stderr.write(`${line}\n`);
  const { managedSocket: path } = config;
  if (path !== null) {
    endBySignal();
    if (opened.every((socket) => socket.path !== path))
      opened.push(await PluginSocket.open(path, "TSNET_MANAGED_SOCKET"));
    (await import("./api/refuse.ts")).refuseCalls(opened, config, lines.join("\n"));
    await new Promise((resolve) => setTimeout(resolve, refusalMs));
  }
  await Promise.all(opened.map((socket) => socket.close()));
  process.exit(1);
}

async function main(): Promise<void> {
  const config = parseConfig(process.env);
  if (config.managedSocket !== null) endBySignal(); // until run() has something to end
  const opened: PluginSocket[] = [];
  try {
    const sockets = await openSockets(config, opened).catch(async (error) => Promise.reject(await withHolder(error)));
    const cache = process.argv.includes("--compile") ? await import("./compile-cache.ts") : undefined;
    if (cache?.haveTypes) await cache.fill().catch(() => {});
    const threads = (await import("./threads.ts")).startThreads(config);
    const { run } = await import("./compose.ts");
    await run(config, sockets, threads);
    // now that nobody waits for it; a process of its own, which ends with a managed plugin
    if (cache && !cache.haveTypes) await cache.fill().catch(() => {});
  } catch (error) {
    await refuseToStart(error, config, opened);
  }
}

if (import.meta.main) main().catch(refuseSettings);
