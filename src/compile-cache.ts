/**
 * The compiled modules, kept in files: with them Node does not load its compiler of types (18 MB in each thread), and starts sooner.
 * What is compiled holds for one kind of processor, so that it is made where it runs, at the first start.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const cache = join(root, "node_modules/.cache/tsnet");
const stampFile = join(cache, "stamp");

/**
 * Without Maglev, whose working memory malloc does not give back, and with less garbage left lying: 27 MB instead of 120 after 100,000
 * requests. Without V8's own cache of what is compiled, which is for scripts that are loaded again: 2 MB.
 */
export const nodeFlags: readonly string[] = [
  "--max-semi-space-size=1",
  "--optimize-for-size",
  "--no-maglev",
  "--no-compilation-cache",
  "--disable-warning=ExperimentalWarning",
];

/**
 * One malloc arena keeps the heaps small. Of the pool's threads, four wait for the kernel's events (Watcher and Poller of kernel/), and
 * those that look up names wait for servers that do not answer: four more are for what is to be done at once.
 */
export const nodeEnvironment: NodeJS.ProcessEnv = {
  ...{ NODE_COMPILE_CACHE: cache, MALLOC_ARENA_MAX: "1", UV_THREADPOOL_SIZE: "8" },
};

/** Whether Node takes the types out of the modules: without its cache that is most of the time of a start. */
export const haveTypes = import.meta.filename.endsWith(".ts");

/** Whether each module is there as it is now, compiled. */
export const isFilled = (): boolean => cachedStamp() === currentStamp();

/** Compiles some modules, with what they import. Without a cache the plugin runs as well: what fails here is not said. */
export async function compile(files: readonly string[]): Promise<boolean> {
  const load = `Promise.all(process.argv.slice(1).map((file) => import(file)))`;
  const paths = files.map((file) => join(root, file));
  const env = { ...process.env, ...nodeEnvironment };
  const child: ChildProcess = spawn(process.execPath, [...nodeFlags, "-e", load, "--", ...paths], {
    ...{ env, stdio: "ignore" },
  });
  if (!haveTypes && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW); // nobody waits for it
  const [code] = await once(child, "close").catch(() => [1]);
  return code === 0;
}

/** Compiles all modules, in a process of its own, and remembers it. */
export async function fill(): Promise<void> {
  const stamp = currentStamp();
  if (!(await compile(modules().filter((file) => !/start\.[jt]s$/.test(file))))) return;
  try {
    writeFileSync(stampFile, stamp);
  } catch {
    // a read-only installation: the modules are compiled again at each start
  }
}

const modules = (): string[] => globSync("src/**/*.[jt]s", { cwd: root }).toSorted();

/** Changes with every module, and with Node. */
function currentStamp(): string {
  const hash = createHash("sha256").update(process.version);
  for (const file of modules()) {
    const { mtimeMs, size } = statSync(join(root, file));
    hash.update(`${file} ${mtimeMs} ${size}\n`);
  }
  return hash.digest("hex");
}

function cachedStamp(): string {
  try {
    return readFileSync(stampFile, "utf8");
  } catch {
    return "";
  }
}
