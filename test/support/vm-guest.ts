/** What runs inside the virtual machine of the vm ring, until the tests' own command line, and what comes back from there. */
import type { Totals } from "./reporter.ts";

/** Of the kernel's modules these come with the first file system, since the others are on a disk: in the order of their needs. */
export const bootModules = [
  "virtio_ring",
  "virtio",
  "virtio_pci_legacy_dev",
  "virtio_pci_modern_dev",
  "virtio_pci",
  "virtio_blk",
  "virtio_console",
] as const;

/** Where the second disk is mounted: the script of this run, and the clone. */
const runDisk = "/mnt";

/** The names of the run disk's entries. */
export const runScript = "run.sh";
export const loadHook = "load.mjs";
export const cloneDirectory = "clone";
export const pluginDirectory = "plugin";

/**
 * Preloaded by each Node inside: TypeScript files have lost their types already, since an emulated processor takes seconds for that; of
 * files that keep theirs Node takes them, as ever.
 */
export const loadHookSource = `import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
const isStripped = (url) => url.endsWith(".ts") && !url.includes("/node_modules/");
registerHooks({
  load: (url, context, next) =>
    isStripped(url) ? { format: "module", source: readFileSync(new URL(url)), shortCircuit: true } : next(url, context),
});
`;

/** Docker's programs collect their garbage when they have much of it: starting dockerd takes a quarter less. */
const goSettings = { GOGC: "off", GOMEMLIMIT: "400MiB" };

/** What nothing loads by itself, or not as it is wanted: the first dummy link is made by the module, unless it is told not to. */
const loadModules =
  "modprobe br_netfilter; modprobe dummy numdummies=0; for module in ip_vs ip_vs_rr; do modprobe $module; done";

/** Serial ports of the machine, by name. */
export const ports = { output: "tsnet.output", result: "tsnet.result" } as const;

/** /init of the first file system: mounts the root and the disk of this run, and goes on with the script of the latter. */
export const initScript = `#!/bin/busybox sh
busybox=/bin/busybox
for module in ${bootModules.join(" ")}; do $busybox insmod /modules/$module.ko; done
$busybox mount -t devtmpfs dev /dev
$busybox mount -t ext4 -o noatime,noinit_itable /dev/vda /root
$busybox mount -t ext4 -o noatime,noinit_itable /dev/vdb /root${runDisk}
exec $busybox switch_root /root /bin/sh ${runDisk}/${runScript}
`;

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

export interface GuestRun {
  /** The clone's path on the machine: it has the same inside. */
  readonly clone: string;
  /** The path of the managed plugin as dockerd keeps it, the same inside; null for none. */
  readonly plugin: string | null;
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[];
}

/** The file that the reporter writes inside. */
const totalsFile = "/run/totals.json";

/**
 * The script of a run, as pid 1: mounts what a running system has, runs the command in the clone, reports, and switches off. Directories of
 * the tests are in memory: Docker's layers need a file system that is no overlay.
 */
export const guestScript = ({ clone, plugin, env, command }: GuestRun): string => `
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for directory in /dev/shm /run /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $directory; done
for port in /sys/class/virtio-ports/*; do
  case $(cat $port/name) in
    ${ports.output}) output=/dev/\${port##*/} ;;
    ${ports.result}) result=/dev/\${port##*/} ;;
  esac
done
exec >$output 2>&1 </dev/null
hostname vm
${loadModules}
export NODE_OPTIONS=--import=${runDisk}/${loadHook}
ip link set lo up
clone=${quote(clone)}
mkdir -p "$clone"
mount --bind ${runDisk}/${cloneDirectory} "$clone"
${plugin === null ? "" : copyPlugin(plugin)}
cd "$clone"
${Object.entries({ ...goSettings, ...env, TEST_TSNET_TOTALS: totalsFile })
  .map(([name, value]) => `export ${name}=${quote(value)}`)
  .join("\n")}
read -r up _ </proc/uptime
echo "The virtual machine is up: Linux $(uname -r), $up s after its start."
${command.map(quote).join(" ")}
code=$?
{ echo $code; cat ${totalsFile} 2>/dev/null; } >$result
sync
busybox poweroff -f
`;

/** Hosts have links to its files. */
const copyPlugin = (plugin: string): string =>
  `mkdir -p ${quote(plugin)} && cp -a ${runDisk}/${pluginDirectory}/. ${quote(plugin)}`;

/** What the command did inside. */
export interface GuestResult {
  readonly code: number;
  /** undefined if it was not mocha, or one that has said nothing. */
  readonly totals: Totals | undefined;
}

/**
 * Reads what came through the port for results.
 * @returns undefined if the machine ended without a result
 */
export function parseResult(text: string): GuestResult | undefined {
  const [, code, totals = ""] = /^(\d+)\n(.*)/s.exec(text) ?? [];
  if (code === undefined) return undefined;
  return { code: Number(code), totals: totals.trim() === "" ? undefined : JSON.parse(totals) };
}
