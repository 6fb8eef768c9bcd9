/** The managed plugin, as the hosts of the benchmarks have it. */
import { cpSync } from "node:fs";
import { makePlugin } from "../support/managed.ts";
import { installedVariable } from "../support/managed-plugin.ts";
import { makeDirectory, newName, removeDirectory } from "../support/scratch.ts";

/** Lets the hosts that are created from now on find the plugin installed, those of processes that are started from now on as well. */
export async function providePlugin(): Promise<Disposable> {
  if (process.env[installedVariable] !== undefined) return { [Symbol.dispose]: () => {} };
  const built = await makePlugin();
  const directory = makeDirectory(newName());
  // hosts have links to these files, which have to be where their directories are
  cpSync(built, directory, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  process.env[installedVariable] = `${directory}/plugins`;
  return {
    [Symbol.dispose]: () => {
      delete process.env[installedVariable];
      removeDirectory(directory);
    },
  };
}
