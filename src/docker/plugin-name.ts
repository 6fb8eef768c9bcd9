/**
 * Whether `-d tsnet` can mean this tsnet. Docker looks for a managed plugin of that name first, enabled or not, and registers it as
 * "tsnet:latest" alone: so that "tsnet" is nobody, wherever one is installed under that name (engine-contract, fact 19).
 */
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { get } from "./api.ts";

/** The name that hides ours. */
const hidden = "tsnet:latest";

/** Docker is asked again after so long, then after twice as long, and so on. */
const firstPauseMs = 1000;
const longestPauseMs = 30_000;

/** Another tsnet under that name keeps this one from nothing but its name; the words say how to get it back. */
const remedy =
  'either use "-d tsnet:latest" and "--ipam-driver tsnet:latest", or install it under another name: ' +
  '"docker plugin install --alias tsnet-plugin", or "docker plugin create tsnet-plugin"';

const pluginsShape = z.array(z.object({ Id: z.string(), Name: z.string() }));

/** pino's loggers fit. */
interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface PluginNameOptions {
  /** "/run/docker.sock" */
  readonly socketPath: string;
  /** Of this process, 64 digits; null if it is no managed plugin. */
  readonly pluginId: string | null;
  readonly log: Log;
  /** Only tests are in a hurry. */
  readonly pauseMs?: number;
}

/** Asks Docker in the background, until it has answered once, and says in the log what will not work. */
export class PluginName {
  readonly #options: PluginNameOptions;
  readonly #end = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: PluginNameOptions) {
    this.#options = options;
  }

  /** Begins to ask. Docker's answer is nothing that anybody waits for. */
  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#end;
    for (let pauseMs = this.#options.pauseMs ?? firstPauseMs; !signal.aborted; ) {
      const plugins = await this.#ask();
      if (plugins !== undefined) return this.#tell(plugins);
      await wait(pauseMs, undefined, { signal, ref: false }).catch(() => {});
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    }
  }

  /** undefined while Docker does not answer. */
  async #ask(): Promise<z.infer<typeof pluginsShape> | undefined> {
    try {
      return pluginsShape.parse(await get(this.#options.socketPath, "/plugins", this.#end.signal));
    } catch {
      return undefined;
    }
  }

  #tell(plugins: z.infer<typeof pluginsShape>): void {
    const { pluginId, log } = this.#options;
    const own = plugins.find(({ Id }) => Id === pluginId)?.Name;
    const other = plugins.find(({ Id, Name }) => Name === hidden && Id !== pluginId);
    if (own === hidden) {
      const message = `this plugin is installed as ${hidden}: "-d tsnet" and "--ipam-driver tsnet" will not work, since Docker`;
      log.warn({ plugin: own }, `${message} takes "tsnet" for its name and does not find it under that: ${remedy}`);
    } else if (other !== undefined) {
      const message = `another plugin is installed as ${hidden}: "-d tsnet" and "--ipam-driver tsnet" will not work`;
      const id = other.Id.slice(0, 12);
      log.warn({ plugin: id }, `${message} here, since Docker takes "tsnet" for it: "docker plugin rm ${id}"`);
    } else if (own !== undefined) {
      log.info({ plugin: own }, `answers to two names: "-d tsnet" and "-d ${own}"`);
    }
  }
}
