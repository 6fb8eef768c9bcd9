/**
 * A virtual machine with a kernel of Debian's, for links that the machine's own kernel cannot make. Processors are emulated, so that it runs
 * wherever the tests run. Its root file system is that of the newer Docker, with the kernel's modules.
 */
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { attempt, run } from "./commands.ts";
import { engineRoot, makeEngine } from "./engine.ts";
import { cacheDirectory, newName, removeDirectory } from "./scratch.ts";
import { install } from "./setup.ts";
import { bootModules, initScript } from "./vm-guest.ts";

/** Depends on the kernel of the day. Made for clouds, it has what virtual machines need, and boots in a few seconds. */
const kernelPackage = "linux-image-cloud-amd64";

const buildTimeoutMs = 300_000;

/** More than the files need; what is not used takes no space. */
const rootMegabytes = 3072;

/** Each command that this and the run of a machine need, and its package. */
const packages = { "qemu-system-x86_64": "qemu-system-x86", mke2fs: "e2fsprogs" };

/** What qemu starts it with. */
export interface VmFiles {
  readonly kernel: string;
  readonly initrd: string;
  readonly root: string;
}

const filesIn = (directory: string): VmFiles => ({
  kernel: `${directory}/vmlinuz`,
  initrd: `${directory}/initrd`,
  root: `${directory}/root.img`,
});

/** $1 is the root, $2 what is put over it, $3 the image, $4 its size. */
const imageScript = `
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/root
  mount -t overlay -o "ro,lowerdir=$2:$1" overlay /mnt/root
  mke2fs -q -t ext4 -O ^has_journal -d /mnt/root "$3" "$4"`;

/** $1 is the directory of /init, of busybox and of the modules, $2 the archive. */
const initrdScript = 'cd "$1" && find . | busybox cpio -o -H newc >"$2"';

/**
 * Makes the machine's files, unless they are there.
 * @returns what it runs: "Linux 6.1.0-9-cloud-amd64, Docker version 28.5.2, build …"
 * @throws Error with what is missing, if they cannot be made
 */
export async function makeVm(): Promise<string> {
  const docker = await makeEngine("28.5");
  await install(packages);
  const kernel = await currentKernel();
  const directory = vmDirectory(kernel);
  if (!existsSync(directory)) await build(kernel, directory);
  return `${kernel}, ${docker}`;
}

/** Where the files are that `makeVm` has made. */
export const vmFiles = async (): Promise<VmFiles> => filesIn(vmDirectory(await currentKernel()));

function vmDirectory(kernel: string): string {
  const recipe = JSON.stringify([kernel, engineRoot("28.5"), initScript, imageScript, initrdScript, rootMegabytes]);
  return `${cacheDirectory}/vm-${createHash("sha256").update(recipe).digest("hex").slice(0, 12)}`;
}

/** The package that the machine's apt has as the kernel of the day: "linux-image-6.1.0-9-cloud-amd64". */
async function currentKernel(): Promise<string> {
  const { stdout, stderr } = await attempt(["apt-cache", "depends", kernelPackage]);
  const found = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  if (found !== undefined) return found;
  throw new Error(
    `apt knows no package ${kernelPackage} on this machine (${stderr.trim() || "run apt-get update"}): the vm ring needs Debian on amd64`,
  );
}

/** Made under another name, so that what was not finished is never taken for it; a killed run's is swept. */
async function build(kernel: string, directory: string): Promise<void> {
  mkdirSync(cacheDirectory, { recursive: true });
  const unfinished = `${cacheDirectory}/${newName()}`;
  console.log(`Making a virtual machine with ${kernel}: ${directory}`);
  try {
    mkdirSync(unfinished);
    const unpacked = await unpackKernel(kernel, `${unfinished}/kernel`);
    const files = filesIn(unfinished);
    copyFileSync(unpacked.image, files.kernel);
    await makeInitrd(unpacked.modules, `${unfinished}/initial`, files.initrd);
    await makeRoot(unpacked, `${unfinished}/over`, files.root);
    for (const name of ["kernel", "initial", "over"]) removeDirectory(`${unfinished}/${name}`);
    if (!existsSync(directory)) renameSync(unfinished, directory); // another run may have been quicker
  } finally {
    removeDirectory(unfinished);
  }
}

interface Kernel {
  /** As uname -r has it. */
  readonly version: string;
  readonly image: string;
  readonly modules: string;
}

async function unpackKernel(name: string, directory: string): Promise<Kernel> {
  mkdirSync(directory);
  const download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name];
  await run(download, { cwd: directory, timeoutMs: buildTimeoutMs });
  const [file = ""] = globSync(`${directory}/*.deb`);
  await run(["dpkg", "-x", file, directory], { timeoutMs: buildTimeoutMs });
  rmSync(file);
  const version = name.replace("linux-image-", "");
  const [modules] = globSync(`${directory}/{lib,usr/lib}/modules/${version}`);
  if (modules === undefined) throw new Error(`${name} has no modules of ${version}`);
  return { version, modules, image: `${directory}/boot/vmlinuz-${version}` };
}

async function makeInitrd(modules: string, directory: string, archive: string): Promise<void> {
  for (const name of ["bin", "dev", "modules", "root"]) mkdirSync(`${directory}/${name}`, { recursive: true });
  copyFileSync(`${engineRoot("28.5")}/usr/bin/busybox`, `${directory}/bin/busybox`);
  for (const name of bootModules) copyFileSync(moduleFile(modules, name), `${directory}/modules/${name}.ko`);
  writeFileSync(`${directory}/init`, initScript);
  chmodSync(`${directory}/init`, 0o755);
  await run(["sh", "-c", initrdScript, "sh", directory, archive]);
}

function moduleFile(modules: string, name: string): string {
  const [file] = globSync(`${modules}/kernel/**/${name}.ko`);
  if (file === undefined) throw new Error(`${modules} has no ${name}.ko`);
  return file;
}

/** The modules are loaded on demand: the kernel runs modprobe, which is busybox. */
async function makeRoot({ version, modules }: Kernel, over: string, image: string): Promise<void> {
  mkdirSync(`${over}/usr/lib/modules`, { recursive: true });
  renameSync(modules, `${over}/usr/lib/modules/${version}`);
  mkdirSync(`${over}/usr/sbin`);
  await run(["ln", "-s", "/usr/bin/busybox", `${over}/usr/sbin/modprobe`]);
  await run(["busybox", "depmod", "-b", `${over}/usr`, version]);
  const make = ["unshare", "--mount", "sh", "-ec", imageScript, "sh", engineRoot("28.5"), over, image];
  await run([...make, `${rootMegabytes}M`], { timeoutMs: buildTimeoutMs });
}
