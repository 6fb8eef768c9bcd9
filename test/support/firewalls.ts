/**
 * Firewalls that administrators run on Docker hosts. All of them run in a test host's namespaces: their rules go with its network,
 * and what they write goes into its private copies of /etc and /run.
 */
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import type { Host } from "./host.ts";
import type { Daemon } from "./namespace.ts";
import { until } from "./poll.ts";

/** A daemon in Python, and the bus before it. */
const startDeadlineMs = 20_000;

/** Configuration of the machine's own firewalls, and a log, that no test may change. */
const machineFiles = [
  "/etc/{ufw,firewalld}/**",
  "/etc/default/ufw",
  "/etc/alternatives/ip{,6}tables",
  "/var/log/{firewalld,ufw.log}",
];

/** For `HostOptions.prepare`: which of the two iptables the host's `iptables` is, as update-alternatives sets it. */
export const iptablesIs = (backend: "nft" | "legacy"): string =>
  ["iptables", "ip6tables"].map((name) => `ln -sf /usr/sbin/${name}-${backend} /etc/alternatives/${name}`).join("\n");

/**
 * For `HostOptions.prepare`: a new bridge resolves no IPv6 neighbors for the 2 s in which it looks for duplicates of its own
 * address (ndisc_solicit of net/ipv6/ndisc.c wants one that is not tentative); without, tests need not wait.
 */
export const noDuplicateCheck = "sysctl -qw net.ipv6.conf.default.dad_transmits=0";

/** Starts firewalld with a system bus of its own, and Docker anew, which looks for it only when it starts. */
export async function startFirewalld(host: Host): Promise<AsyncDisposable> {
  await host.sh("mkdir -p /run/dbus");
  const start = (...command: string[]) => host.namespace.start(command, `${host.directory}/firewalld.log`, process.env);
  const bus = await start("dbus-daemon", "--system", "--nofork", "--nopidfile");
  await until("the system bus listens", startDeadlineMs, () => existsSync(host.path("/run/dbus/system_bus_socket")));
  const firewalld = await start("firewalld", "--nofork", "--nopid", "--log-target", "console");
  await until("firewalld runs", startDeadlineMs, async () => (await host.sh("firewall-cmd --state")) === "running");
  await host.dockerd.restart();
  return { [Symbol.asyncDispose]: () => end(firewalld, bus) };
}

/** `ufw enable`, with what it does by default: incoming and forwarded traffic is dropped. */
export async function enableUfw(host: Host): Promise<AsyncDisposable> {
  await host.sh("ufw --force enable");
  return {
    [Symbol.asyncDispose]: async () => {
      await host.sh("ufw --force disable && ufw --force reset");
    },
  };
}

/** In this order: firewalld needs its bus to the end. */
async function end(...daemons: readonly Daemon[]): Promise<void> {
  for (const { pid, ended } of daemons) {
    process.kill(pid, "SIGTERM");
    await ended;
  }
}

/** One text that changes with any of the machine's own firewall files. */
export function machineFirewallFiles(): string {
  const files = globSync(machineFiles).sort();
  const hash = createHash("sha256");
  for (const file of files) {
    const { mtimeMs } = statSync(file);
    hash.update(`${file} ${mtimeMs}\n`);
    if (statSync(file).isFile()) hash.update(readFileSync(file));
  }
  return `${files.length} files, ${hash.digest("hex")}`;
}
