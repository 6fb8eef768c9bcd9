/**
 * Starts the plugin so that it needs little memory: with the compiled modules in a cache, Node does not load its compiler of
 * types (18 MB in each thread), and with a small young generation and one malloc arena the heaps stay small.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const cache = join(root, "node_modules/.cache/tsnet");
const stampFile = join(cache, "stamp");
/**
 * Without Maglev, whose working memory malloc does not give back, and with less garbage left lying: 27 MB instead of 120 after 100,000
 * requests. Without V8's own cache of what is compiled, which is for scripts that are loaded again: 2 MB.
 */
const flags = [
  "--max-semi-space-size=1",
  "--optimize-for-size",
  "--no-maglev",
  "--no-compilation-cache",
  "--disable-warning=ExperimentalWarning",
];
const env = { ...process.env, NODE_COMPILE_CACHE: cache, MALLOC_ARENA_MAX: "1" };

/** Changes with every module, and with Node. */
function currentStamp(): string {
  const hash = createHash("sha256").update(process.version);
  for (const file of globSync("src/**/*.ts", { cwd: root }).toSorted()) {
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

/** Loads all modules once in a process of its own, which leaves them compiled. Without a cache the plugin runs as well. */
function fillCache(stamp: string): void {
  const load = `const { globSync } = require("node:fs");
    const files = globSync("${import.meta.dirname}/**/*.ts").filter((file) => !file.endsWith("start.ts"));
    Promise.all(files.map((file) => import(file)));`;
  const { status } = spawnSync(process.execPath, [...flags, "-e", load], { env, stdio: "ignore" });
  if (status !== 0) return;
  try {
    writeFileSync(stampFile, stamp);
  } catch {
    // a read-only installation: the modules are compiled again at each start
  }
}

/**
 * Docker waits for the plugin with each container, and when many come and go at once it is what takes the processor: 50 removals
 * at once held the event loop up for 50 ms on two processors, and for 12 ms with this.
 */
function comeFirst(): void {
  try {
    setPriority(-10);
  } catch {
    // without CAP_SYS_NICE it runs like any other program
  }
}

comeFirst();
const stamp = currentStamp();
if (cachedStamp() !== stamp) fillCache(stamp);
if (process.execve === undefined) throw new Error(`Node ${process.version} is too old for tsnet: use "npm start"`);
process.execve(process.execPath, [process.execPath, ...flags, join(import.meta.dirname, "main.ts")], env);
