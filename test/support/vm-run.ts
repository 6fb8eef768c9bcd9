/**
 * Runs a command line in the virtual machine, in a copy of the clone: `node test/support/vm-run.ts COMMAND...`. Its output comes out here,
 * its exit code is this program's, and what its reporter counts goes to the file that TEST_TSNET_TOTALS names.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { exitOf, run } from "./commands.ts";
import { installedVariable } from "./managed-plugin.ts";
import { makeDirectory, newName, removeDirectory } from "./scratch.ts";
import { type VmFiles, vmFiles } from "./vm.ts";
import {
  cloneDirectory,
  guestScript,
  loadHook,
  loadHookSource,
  parseResult,
  pluginDirectory,
  ports,
  runScript,
} from "./vm-guest.ts";

const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** What of the clone goes along: as it is, and without types. */
const parts = ["node_modules", "docs", "README.md", "package.json", "package-lock.json", "tsconfig.json"];
const programs = ["src", "test"];

const megabytes = 3072;
const diskMegabytes = 1536;

/** An emulated processor does in 10 s what a real one does in 1. */
const patience = 6;

/** Longer than all tests take; a kernel that hangs never ends by itself. */
const deadlineMs = 1_500_000;
const tailLines = 30;

/**
 * $1 is the clone, $2 what else comes on the disk, $3 the image, $4 the managed plugin, if there is one; then come the parts of the clone.
 * Bound, they need not be copied.
 */
const diskScript = `
  clone=$1 more=$2 image=$3 plugin=$4
  shift 4
  mount -t tmpfs tmpfs /mnt
  cp -a "$more/." /mnt
  if [ -n "$plugin" ]; then
    mkdir /mnt/${pluginDirectory}
    mount --bind "$plugin" /mnt/${pluginDirectory}
  fi
  for part; do
    target=/mnt/${cloneDirectory}/$part
    if [ -d "$clone/$part" ]; then mkdir "$target"; else touch "$target"; fi
    mount --bind "$clone/$part" "$target"
  done
  mke2fs -q -t ext4 -O ^has_journal -d /mnt "$image" ${diskMegabytes}M`;

async function makeDisk(scratch: string, command: readonly string[]): Promise<string> {
  const [more, image] = [`${scratch}/more`, `${scratch}/run.img`];
  for (const directory of programs) copyWithoutTypes(`${root}/${directory}`, `${more}/${cloneDirectory}/${directory}`);
  writeFileSync(`${more}/${loadHook}`, loadHookSource);
  const plugin = process.env[installedVariable] ?? null;
  writeFileSync(`${more}/${runScript}`, guestScript({ clone: root, plugin, env: guestEnvironment(), command }));
  await run(["unshare", "--mount", "sh", "-ec", diskScript, "sh", root, more, image, plugin ?? "", ...parts]);
  removeDirectory(more);
  return image;
}

/** Lines and columns stay what they are. */
function copyWithoutTypes(from: string, to: string): void {
  cpSync(from, to, { recursive: true });
  for (const file of globSync(`${to}/**/*.ts`)) writeFileSync(file, stripTypeScriptTypes(readFileSync(file, "utf8")));
}

/** What tests read of the environment goes along. */
function guestEnvironment(): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => /^(TEST_TSNET_|TSNET_|NODE_NO_WARNINGS$)/.test(name));
  const color = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
  return { TEST_TSNET_PATIENCE: `${patience}`, ...(Object.fromEntries(own) as Record<string, string>), ...color };
}

function qemuCommand({ kernel, initrd, root: rootImage }: VmFiles, disk: string, scratch: string): string[] {
  const processors = ["-accel", "tcg,thread=multi,tb-size=1024", "-smp", "2", "-cpu", "max", "-m", `${megabytes}`];
  const plain = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"];
  const words = "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on no_timer_check";
  const disks = [rootImage, disk].flatMap((file) => ["-drive", `file=${file},if=virtio,format=raw,snapshot=on`]);
  const port = (id: string, name: string, backend: string) => [
    ...["-chardev", `${backend},id=${id}`],
    ...["-device", `virtserialport,chardev=${id},name=${name}`],
  ];
  return [
    ...["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", ...processors, ...plain],
    ...["-kernel", kernel, "-initrd", initrd, "-append", words, ...disks],
    ...["-serial", `file:${scratch}/console`, "-device", "virtio-serial-pci"],
    ...port("output", ports.output, "stdio,signal=off"),
    ...port("result", ports.result, `file,path=${scratch}/result`),
  ];
}

/** @returns the exit code */
async function main(command: readonly string[]): Promise<number> {
  const scratch = makeDirectory(newName());
  try {
    const [file = "", ...args] = qemuCommand(await vmFiles(), await makeDisk(scratch, command), scratch);
    const env = { ...process.env, TMPDIR: scratch };
    // a standard input that ends would close the port of the output
    const qemu = spawn(file, args, { stdio: ["pipe", "inherit", "inherit"], env, timeout: deadlineMs });
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => qemu.kill("SIGKILL"));
    await exitOf(qemu);
    return report(scratch);
  } finally {
    removeDirectory(scratch);
  }
}

function report(scratch: string): number {
  const result = parseResult(readText(`${scratch}/result`));
  if (result === undefined) {
    const tail = readText(`${scratch}/console`).split("\n").slice(-tailLines).join("\n");
    console.error(`The virtual machine ended without a result. The end of its kernel's log:\n${tail}`);
    return 1;
  }
  const totalsFile = process.env["TEST_TSNET_TOTALS"];
  if (totalsFile !== undefined && result.totals) writeFileSync(totalsFile, JSON.stringify(result.totals));
  return result.code;
}

const readText = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8") : "");

process.exit(await main(process.argv.slice(2)));
