/**
 * A segment in the namespace of this process: a bridge as the switch, a parent link on it as a host has one, macvlan links on the
 * parent, and a stranger in a namespace of its own. Nobody on it has link-local addresses, whose packets would only be noise.
 */
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { close, inetPton } from "../../src/kernel/libc.ts";
import { inNamespace } from "../../src/kernel/netlink/in-namespace.ts";
import { arp } from "../../src/kernel/segment/arp.ts";
import { PacketSocket } from "../../src/kernel/segment/packet-socket.ts";
import { ip, ipJson, linkJson } from "./netns.ts";
import { until } from "./poll.ts";

const deadlineMs = 2000;

export const parent = "parent0";
export const parentMac = "02:42:00:00:00:01";
export const strangerMac = "02:42:00:00:00:99";
/** Of a frame behind all that tcpdump is to tell of. */
const markerMac = "02:42:00:00:00:ee";

/** The file of a namespace that `ip netns` has made. */
export const pathOf = (namespace: string): string => `/run/netns/${namespace}`;

/** Links, the switch and the stranger. */
export function setUpSegment(): void {
  ip("link add lan type bridge");
  setUpQuietly("lan");
  ip(`link add ${parent} address ${parentMac} type veth peer name port0`);
  ip("netns add stranger");
  ip(`link add s0 address ${strangerMac} netns stranger type veth peer name port1`);
  for (const port of ["port0", "port1"]) {
    ip(`link set ${port} master lan`);
    setUpQuietly(port);
  }
  setUpQuietly(parent);
  setUpQuietly("s0", "-n stranger ");
  // the kernel waits for a random time before it looks for duplicates
  ip("netns exec stranger sysctl -qw net.ipv6.conf.s0.router_solicitation_delay=0");
}

/** Without the mode first, the kernel makes a link-local address. */
function setUpQuietly(link: string, namespace = ""): void {
  ip(`${namespace}link set ${link} addrgenmode none`);
  ip(`${namespace}link set ${link} up`);
}

/** Removes all links and namespaces but loopback. */
export function tearDownSegment(): void {
  for (const { ifname } of ipJson("link show")) {
    if (ifname !== "lo" && linkJson(ifname)) ip(`link del ${ifname}`);
  }
  // not before the links: it takes the other ends along some time later
  for (const { name } of ipJson("netns list")) ip(`netns del ${name}`);
}

/** A macvlan link on the parent as tsnet makes it: nothing on the host answers on it. It is up if it is to be. */
export function addMacvlan(name: string, mac: string, { up }: { up: boolean }): void {
  ip(`link add ${name} address ${mac} link ${parent} type macvlan mode bridge`);
  write(`net/ipv4/conf/${name}/arp_ignore`, "8");
  write(`net/ipv6/conf/${name}/disable_ipv6`, "1");
  if (up) ip(`link set ${name} up`);
}

/** Gives a link in a namespace these addresses, and sets it up. */
export function setUpInside(namespace: string, link: string, addresses: readonly string[]): void {
  ip(`-n ${namespace} link set ${link} addrgenmode none`);
  for (const address of addresses) {
    ip(`-n ${namespace} addr add ${address} dev ${link}${address.includes(":") ? " nodad" : ""}`);
  }
  ip(`-n ${namespace} link set ${link} up`);
}

/** A container: a namespace with a macvlan link on the parent and its addresses. */
export function addContainer(namespace: string, mac: string, addresses: readonly string[]): void {
  ip(`netns add ${namespace}`);
  ip(`link add link ${parent} name eth0 address ${mac} netns ${namespace} type macvlan mode bridge`);
  setUpInside(namespace, "eth0", addresses);
}

/** Sends frames from the stranger's link. */
export function sendAsStranger(...frames: readonly Buffer[]): void {
  const socket = inNamespace(pathOf("stranger"), () => new PacketSocket());
  try {
    const { ifindex } = ipJson("-n stranger link show s0")[0];
    for (const frame of frames) socket.send(frame, ifindex);
  } finally {
    close(socket.fd);
  }
}

/** What the stranger knows about an address: the MAC address, if any. */
export const learned = (address: string): string | undefined =>
  ipJson("-n stranger neigh show").find(({ dst }) => dst === address)?.lladdr;

/** What tcpdump writes about frames on the stranger's link while `work` runs. */
export async function captured(filter: string, work: () => Promise<void>): Promise<string[]> {
  const words = ["netns", "exec", "stranger", "tcpdump", "-lnnte", "--immediate-mode", "-i", "s0"];
  const withMarker = `(${filter}) or (arp and ether src ${markerMac})`;
  const tcpdump = spawn("ip", [...words, withMarker], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, said] = ["", ""];
  tcpdump.stdout.on("data", (chunk) => {
    out += chunk;
  });
  tcpdump.stderr.on("data", (chunk) => {
    said += chunk;
  });
  const ended = new Promise((resolve) => tcpdump.on("close", resolve));
  try {
    await until("tcpdump listens", deadlineMs, () => said.includes("listening on"));
    await work();
    // at its end it leaves unread what it has not read yet
    sendAsStranger(arp.encodeProbe(markerMac, inetPton("192.0.2.255")));
    await until("tcpdump has read all", deadlineMs, () => out.includes(`${markerMac} > `));
  } finally {
    tcpdump.kill("SIGINT");
    await ended;
  }
  const lines = out.trim().split("\n");
  return lines.filter((line) => !line.startsWith(`${markerMac} > `));
}

function write(key: string, value: string): void {
  const path = `/proc/sys/${key}`;
  if (existsSync(path)) writeFileSync(path, value);
}
