/**
 * A newer Docker than the machine's: the root file system of a later Debian, with that Debian's containerd, runc, iptables and nft as
 * well. It is made once, from the machine's own mirror, and kept; a ring's mocha runs in it, over a layer of its own, so that it never
 * changes.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { attempt, run } from "./commands.ts";
import { cacheDirectory, newName, removeDirectory, workDirectory } from "./scratch.ts";
import { install, testPackages } from "./setup.ts";

/** It has Docker 28.5; the machine's own is older or the same. */
const suite = "forky";
const oldestMajor = 28;

const buildTimeoutMs = 600_000;

/** A script's first lines: /dev of its own below $1, so that no package's script and no container changes the machine's. */
const ownDevices = (root: string): string => `
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

/** $1 is the root, $2 the clone, $3 where the tests' own directories are; then comes a command. */
const enterScript = `
  root=$1 clone=$2 work=$3
  shift 3
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/root
  mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
  cd /mnt/root
  mount -t proc proc proc
  mount --rbind /sys sys
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=1777 tmpfs tmp
  mkdir -p "./$clone" "./$work" # either may be below /tmp
  mount --bind "$clone" "./$clone"
  mount --bind "$work" "./$work"
  ${ownDevices(".")}
  pivot_root . .
  umount -l .
  cd "$clone"
  unset NODE_EXTRA_CA_CERTS # the machine's certificates are not in here
  exec "$@"`;

/** What is in it, with what the clone's Node is linked with; another list makes another root. */
const packages = (): string[] => [...testPackages(), "libstdc++6"].toSorted();

/** Where its root file system is, or will be. */
export function newerDockerRoot(): string {
  const recipe = JSON.stringify([suite, packages(), buildScript]);
  return `${cacheDirectory}/${suite}-${createHash("sha256").update(recipe).digest("hex").slice(0, 12)}`;
}

/** Comes before a command line that shall run in the newer root, in the same directory, which is the clone. */
export const enterNewerDocker = (clone: string): string[] => [
  "unshare",
  "--mount",
  "sh",
  "-ec",
  enterScript,
  "sh",
  newerDockerRoot(),
  clone,
  workDirectory,
];

/**
 * Makes the root, unless it is there.
 * @returns Docker's version in it: "Docker version 28.5.2, build …"
 * @throws Error with what is missing and whose words say so, if it cannot be made
 */
export async function makeNewerDocker(): Promise<string> {
  const root = newerDockerRoot();
  if (!existsSync(root)) await build(root);
  return await versionIn(root);
}

/** Made under another name, so that what was not finished is never taken for it; a killed run's is swept. */
async function build(root: string): Promise<void> {
  await install({ mmdebstrap: "mmdebstrap" });
  mkdirSync(cacheDirectory, { recursive: true });
  const unfinished = `${cacheDirectory}/${newName()}`;
  const mirror = await machineMirror();
  console.log(`Making the root file system of ${suite}, for its newer Docker: ${root}`);
  const settings = (await aptSettings()).flatMap((setting) => ["--aptopt", setting]);
  const contents = ["--variant=essential", "--components=main", `--include=${packages().join(",")}`];
  const command = [
    "mmdebstrap",
    "--mode=root",
    "--format=directory",
    ...contents,
    ...settings,
    suite,
    unfinished,
    mirror,
  ];
  try {
    const { code, stderr } = await attempt([...builder, ...command], { timeoutMs: buildTimeoutMs });
    if (code !== 0) throw new Error(`mmdebstrap could not make ${suite} from ${mirror} (exit code ${code}): ${stderr}`);
    await versionIn(unfinished);
    publish(unfinished, root);
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

async function versionIn(root: string): Promise<string> {
  const version = await run(["chroot", root, "dockerd", "--version"]);
  const major = Number(/version (\d+)\./.exec(version)?.[1]);
  if (major >= oldestMajor) return version;
  throw new Error(
    `${suite} of this machine's mirror has "${version}"; these tests need Docker ${oldestMajor} or later`,
  );
}

/** The mirror that the machine's own Debian comes from: it has the other releases as well. */
async function machineMirror(): Promise<string> {
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
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
    `apt knows no mirror of ${codename} main on this machine (run apt-get update), to take ${suite} from`,
  );
}

/** How the machine's apt reaches its mirror, and what it lets pass: a mirror that is a snapshot has dates of the past. */
async function aptSettings(): Promise<string[]> {
  const names = ["http", "https", "Check-Valid-Until", "Check-Date"].map((name) => `Acquire::${name}`);
  const settings = await run(["apt-config", "dump", "--no-empty", "--format", '%f "%v";%n', ...names]);
  return settings.split("\n").filter(Boolean);
}
