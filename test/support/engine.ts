/**
 * Other versions of Docker than the machine's: the root file system of another Debian, with that Debian's containerd, runc, iptables
 * and nft as well. A ring's mocha runs in it, over a layer of its own, so that it never changes.
 */
import { realpathSync } from "node:fs";
import { run } from "./commands.ts";
import { type DebianRoot, debianRootPath, makeDebianRoot, ownDevices } from "./debian-root.ts";
import { workDirectory } from "./scratch.ts";
import { testPackages } from "./setup.ts";

/** The versions of Docker that tsnet is tested with, and the Debian that has each. */
const suites = { "20.10": "bookworm", "26.1": "trixie", "28.5": "forky" } as const;

export type Engine = keyof typeof suites;
export const engines = Object.keys(suites) as readonly Engine[];

/** $1 is the root, $2 the clone, $3 its packages, $4 where the tests' own directories are; then comes a command. */
const enterScript = `
  root=$1 clone=$2 modules=$3 work=$4
  shift 4
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/root
  mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
  cd /mnt/root
  cp "$(command -v etcd)" usr/local/bin # the machine's own, whichever Docker there is
  mount -t proc proc proc
  mount --rbind /sys sys
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=1777 tmpfs tmp
  for shared in "$clone" "$modules" "$work"; do # each may be below /tmp; packages of a worktree are another's
    mkdir -p "./$shared"
    mount --bind "$shared" "./$shared"
  done
  ${ownDevices(".")}
  pivot_root . .
  umount -l .
  cd "$clone"
  unset NODE_EXTRA_CA_CERTS # the machine's certificates are not in here
  exec "$@"`;

/** What is in it, with what the clone's Node is linked with. */
const rootOf = (engine: Engine): DebianRoot => ({
  suite: suites[engine],
  // the docker command became a package of its own after 20.10
  packages: [...testPackages(), "libstdc++6"].filter((name) => name !== "docker-cli" || engine !== "20.10"),
});

/** Where the root file system of an engine is, or will be. */
export const engineRoot = (engine: Engine): string => debianRootPath(rootOf(engine));

/** Comes before a command line that shall run in the engine's root, in the same directory, which is the clone. */
export const enterEngine = (engine: Engine, clone: string): string[] => [
  ...["unshare", "--mount", "sh", "-ec", enterScript, "sh"],
  ...[engineRoot(engine), clone, realpathSync(`${clone}/node_modules`), workDirectory],
];

/**
 * For a host that runs already, as if its Docker had been upgraded: the same /run, processes and links, and the same directory. $1 is the
 * root, $2 the directory; then comes a command. The root is shown once, however often dockerd is started.
 */
const upgradeScript = `
  root=$1 directory=$2
  shift 2
  if ! mountpoint -q /mnt/root; then
    mount -t tmpfs --make-private tmpfs /mnt # runc's pivot_root refuses a root whose parent is shared: man 2 pivot_root, EINVAL
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
    mkdir -p "/mnt/root$directory"
    for shared in /proc /sys /dev /run "$directory"; do mount --rbind "$shared" "/mnt/root$shared"; done
    cp /etc/resolv.conf /mnt/root/etc/resolv.conf
  fi
  exec chroot /mnt/root "$@"`;

/** Comes before a command line that shall run in the engine's root on a test host, which keeps everything else. */
export const enterEngineOnHost = (engine: Engine, directory: string): string[] => [
  ...["sh", "-ec", upgradeScript, "sh", engineRoot(engine), directory],
];

/** Whether the machine's own Docker is of that version; it has to be installed. */
export const isMachines = async (engine: Engine): Promise<boolean> =>
  isVersion(engine, await run(["dockerd", "--version"]));

/**
 * Makes the root of an engine, unless it is there.
 * @returns Docker's version in it: "Docker version 28.5.2, build …"
 * @throws Error with what is missing and whose words say so, if it cannot be made
 */
export async function makeEngine(engine: Engine): Promise<string> {
  const check = async (root: string): Promise<string> => {
    const version = await run(["chroot", root, "dockerd", "--version"]);
    if (isVersion(engine, version)) return version;
    throw new Error(`${suites[engine]} of this machine's mirror has "${version}", and not Docker ${engine}`);
  };
  return await check(await makeDebianRoot(rootOf(engine), check));
}

const isVersion = (engine: Engine, version: string): boolean => version.startsWith(`Docker version ${engine}.`);
