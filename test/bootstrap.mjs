/**
 * Starts a TypeScript program of this package on whatever Node from 18 on the machine has: installs the packages if they are
 * missing or not those of package-lock.json, then hands over to the Node that came with them.
 * Usage: node test/bootstrap.mjs PROGRAM.ts [ARGUMENT...]
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const binaries = `${root}node_modules/.bin`;

const packagesIn = (file) => Object.entries(JSON.parse(readFileSync(file, "utf8")).packages);

/** npm writes what it has installed into node_modules/.package-lock.json. */
function isInstalled() {
  const record = `${root}node_modules/.package-lock.json`;
  if (!existsSync(`${binaries}/node`) || !existsSync(record)) return false;
  const installed = Object.fromEntries(packagesIn(record));
  return packagesIn(`${root}package-lock.json`).every(
    ([path, { version, optional }]) => path === "" || optional || installed[path]?.version === version,
  );
}

function runNpm(...words) {
  const npm = process.env.npm_execpath;
  const [file, ...before] = npm ? [process.execPath, npm] : ["npm"];
  spawnSync(file, [...before, ...words, "--no-audit", "--no-fund"], { cwd: root, stdio: "inherit" });
}

/**
 * npm 12 refuses `npm ci` where package-lock.json lacks an optional package, be it one for another operating system, and removes
 * node_modules first; `npm install` takes the locked versions all the same.
 */
function install() {
  runNpm("ci");
  if (!isInstalled()) runNpm("install", "--no-save");
  if (isInstalled()) return;
  console.error("tsnet: npm could not install the packages of package-lock.json; see above. Nothing was run.");
  process.exit(1);
}

if (!isInstalled()) install();
const env = { ...process.env, PATH: `${binaries}:${process.env.PATH}` };
const child = spawn(`${binaries}/node`, process.argv.slice(2), { stdio: "inherit", env });
// a terminal sends its interrupt to the child as well, which cleans up before it ends
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("error", (error) => {
  console.error(`tsnet: ${binaries}/node could not be started: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code) => process.exit(code ?? 1));
