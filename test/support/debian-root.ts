/**
 * Root file systems of Debian's releases, made from the machine's own mirror by mmdebstrap, once for each list of packages, and kept.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { attempt, run } from "./commands.ts";
import { cacheDirectory, newName, removeDirectory } from "./scratch.ts";
import { install } from "./setup.ts";

const buildTimeoutMs = 600_000;

/** What a root file system is made of. */
export interface DebianRoot {
  /** "bookworm" */
  readonly suite: string;
  readonly packages: readonly string[];
}

/** A script's first lines: /dev of its own below $1, so that no package's script and no container changes the machine's. */
export const ownDevices = (root: string): string => `
  mount -t tmpfs -o mode=755 tmpfs ${root}/dev
  while read -r name major minor; do mknod -m 666 ${root}/dev/$name c $major $minor; done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
  mkdir ${root}/dev/pts ${root}/dev/shm
  ln -s pts/ptmx ${root}/dev/ptmx
  ln -s /proc/self/fd ${root}/dev/fd
  mount -t devpts -o newinstance,ptmxmode=666 devpts ${root}/dev/pts
  mount -t tmpfs tmpfs ${root}/dev/shm`;

const buildScript = `${ownDevices("")}
  exec "$@"`;

/** Ends with this process, with all that it has started; its mounts are nobody else's. */
const alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"];
const builder = [...alone, "--mount-proc", "sh", "-ec", buildScript, "sh"];

/** Where it is, or will be; another list of packages makes another root. */
export function debianRootPath({ suite, packages }: DebianRoot): string {
  const recipe = JSON.stringify([suite, packages.toSorted(), buildScript]);
  return `${cacheDirectory}/${suite}-${createHash("sha256").update(recipe).digest("hex").slice(0, 12)}`;
}

/**
 * Makes the root, unless it is there.
 * @param check throws an Error if what was made is not what is needed: then it is not kept
 * @returns its path
 * @throws Error with what is missing and whose words say so, if it cannot be made
 */
export async function makeDebianRoot(
  root: DebianRoot,
  check: (path: string) => Promise<unknown> = async () => {},
): Promise<string> {
  const path = debianRootPath(root);
  if (!existsSync(path)) await build(root, path, check);
  return path;
}

/** Made under another name, so that what was not finished is never taken for it; a killed run's is swept. */
async function build(root: DebianRoot, path: string, check: (path: string) => Promise<unknown>): Promise<void> {
  await install({ mmdebstrap: "mmdebstrap" });
  mkdirSync(cacheDirectory, { recursive: true });
  const unfinished = `${cacheDirectory}/${newName()}`;
  const mirror = await machineMirror();
  console.log(`Making a root file system of ${root.suite}: ${path}`);
  const settings = (await aptSettings()).flatMap((setting) => ["--aptopt", setting]);
  const packages = root.packages.toSorted().join(",");
  const contents = ["--variant=essential", "--components=main", `--include=${packages}`];
  const format = ["--mode=root", "--format=directory"];
  const command = ["mmdebstrap", ...format, ...contents, ...settings, root.suite, unfinished, mirror];
  try {
    const { code, stderr } = await attempt([...builder, ...command], { timeoutMs: buildTimeoutMs });
    if (code !== 0)
      throw new Error(`mmdebstrap could not make ${root.suite} from ${mirror} (exit code ${code}): ${stderr}`);
    await check(unfinished);
    publish(unfinished, path);
  } finally {
    removeDirectory(unfinished);
  }
}

/** Another run may have been quicker. */
function publish(unfinished: string, root: string): void {
  try {
    renameSync(unfinished, root);
  } catch (error) {
    if (!existsSync(root)) throw error;
  }
}

/** "bookworm" */
function machineSuite(): string {
  const suite = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  if (suite !== undefined) return suite;
  throw new Error("/etc/os-release names no VERSION_CODENAME: the tests need Debian");
}

/** The mirror that the machine's own Debian comes from: it has the other releases as well. */
async function machineMirror(): Promise<string> {
  const codename = machineSuite();
  const command = [
    "apt-get",
    "indextargets",
    "--format",
    "$(CODENAME) $(COMPONENT) $(REPO_URI)",
    "Created-By: Packages",
  ];
  const listed = (await run(command)).split("\n").map((line) => line.split(" "));
  const mirror = listed.find(([name, component]) => name === codename && component === "main")?.[2];
  if (mirror !== undefined) return mirror;
  throw new Error(
    `apt knows no mirror of ${codename} main on this machine (run apt-get update), to take other releases from`,
  );
}

/** How the machine's apt reaches its mirror, and what it lets pass: a mirror that is a snapshot has dates of the past. */
async function aptSettings(): Promise<string[]> {
  const names = ["http", "https", "Check-Valid-Until", "Check-Date"].map((name) => `Acquire::${name}`);
  const settings = await run(["apt-config", "dump", "--no-empty", "--format", '%f "%v";%n', ...names]);
  return settings.split("\n").filter(Boolean);
}
