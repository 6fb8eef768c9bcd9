/** What the tests of host access have in common: modes macvlan and ipvlan. */
import { expect } from "chai";
import { attempt } from "./commands.ts";
import type { Container } from "./container.ts";
import type { Host } from "./host.ts";
import { hostSubnet, type LanMode, lanDriver, onParent } from "./lan.ts";
import { hostNetwork } from "./outside.ts";
import { until } from "./poll.ts";
import { ask, everything, type Place, ping, reached } from "./probe.ts";

/** What an administrator waits for a repair. */
export const repairMs = 1000;

/** Makes a network with host access in the subnet of the hosts, on eth0. @returns the name of its shim */
export async function createWithAccess(host: Host, mode: LanMode, name: string, ...args: string[]): Promise<string> {
  const options = [...lanDriver(mode), ...onParent("eth0"), "-o", "tsnet.host_access=true"];
  const id = await host.docker("network", "create", ...options, ...hostSubnet(), ...args, name);
  return `tsh-${id.slice(0, 11)}`;
}

/** The host and a container with the test image's server reach each other, under the addresses that they have on the LAN. */
export async function expectBothWays(host: Host, container: Container, network = "lan"): Promise<void> {
  const address = await container.ipv4(network);
  expect(await reached(host, address)).to.deep.equal(everything);
  expect(await ask(host, "tcp", address)).to.equal(hostNetwork.ipv4(1));
  await ping(container, hostNetwork.ipv4(1));
}

/** What the host has for a container: its routes and neighbors there, and the elements of the table. */
export async function wayTo(host: Host, address: string): Promise<string[]> {
  const [routes, neighbors] = await Promise.all([
    host.ip(`route show ${address}`) as Promise<{ dev: string; prefsrc?: string }[]>,
    host.ip(`neigh show ${address} nud permanent`) as Promise<{ dev: string; lladdr: string }[]>,
  ]);
  const { stdout } = await host.exec("nft list set arp tsnet reach");
  return [
    ...routes.map(({ dev, prefsrc }) => `route ${dev} ${prefsrc}`),
    ...neighbors.map(({ dev, lladdr }) => `neighbor ${dev} ${lladdr}`),
    ...(new RegExp(`[^0-9]${address.replaceAll(".", "\\.")}[^0-9]`).test(stdout) ? ["element"] : []),
  ];
}

export const hasTable = async (host: Host): Promise<boolean> =>
  (await host.exec("nft list table arp tsnet")).code === 0;

export const hasLink = async (host: Host, name: string): Promise<boolean> =>
  (await host.exec(`ip link show ${name}`)).code === 0;

/** Waits until host and container reach each other, within the time of a repair. */
export const reachesAgain = (host: Host, address: string): Promise<unknown> =>
  until(`the host reaches ${address}`, repairMs, async () => {
    const { code } = await host.exec(`busybox ping -c 1 -W 1 ${address}`);
    return code === 0;
  });

/**
 * Has a machine ask for an address by ARP, twice.
 * @param link of that machine
 * @returns the MAC addresses of all answers that come within a time in which each would
 */
export async function answersToArp(asker: Place, link: string, address: string): Promise<string[]> {
  const words = ["busybox", "arping", "-b", "-c", "2", "-w", "2", "-I", link, address];
  const { stdout, stderr } = await attempt(await asker.enter(words));
  if (!stdout.includes("Sent 2 probe")) throw new Error(`busybox arping did not ask: ${stderr || stdout}`);
  return [...stdout.matchAll(/reply from \S+ \[([0-9a-f:]+)\]/g)].map(([, mac = ""]) => mac);
}
