/** The threads, which take as long to start as the modules of the main thread take to load: they are begun first. */
import type { Config } from "./config.ts";
import { describeInstallation, ownPluginId } from "./docker/installation.ts";
import { KernelClient } from "./kernel/kernel-client.ts";
import { SqliteStore } from "./store/sqlite-store.ts";

/** What starts meanwhile. */
export interface Threads {
  readonly kernel: Promise<KernelClient>;
  readonly store: Promise<SqliteStore>;
  /** The ID of the managed plugin that this is, if it is one. */
  readonly pluginId: string | null;
}

/** Begins it; whoever waits for a promise learns what failed. */
export function startThreads(config: Config): Threads {
  const pluginId = config.managedSocket === null ? null : ownPluginId();
  const kernel = KernelClient.open({
    mark: config.mark,
    namespaceDir: config.namespaceDir,
    holder: describeInstallation(config, pluginId, process.pid),
  });
  const store = SqliteStore.open(config.stateDir);
  for (const opening of [kernel, store]) opening.catch(() => {}); // nobody may wait for it yet
  return { kernel, store, pluginId };
}
