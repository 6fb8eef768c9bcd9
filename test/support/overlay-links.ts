/** An overlay network's links and entries, made by the code under test in the namespace of this process. */

import { execFileSync } from "node:child_process";
import { planEndpoint } from "../../src/plan/endpoint-request.ts";
import type { Endpoint, OverlayNetwork } from "../../src/plan/network.ts";
import { planInnerVeth, planOverlay, type Underlay } from "../../src/plan/overlay.ts";
import type { RemoteEndpoint } from "../../src/plan/overlay-places.ts";
import { planOverlayNetwork } from "../../src/plan/overlay-request.ts";
import { type LinksFixture, useLinks } from "./links.ts";
import { ip } from "./netns.ts";

const id = "4f2a".padEnd(64, "0");

/** Names of what the network has: see net/names.ts. */
export const names = {
  namespace: "tsnet-4f2a0000000",
  bridge: "tsb-4f2a0000000",
  vxlan: "tsx-4f2a0000000",
  gateway: "tsg-4f2a0000000",
  gatewayPort: "tsu-4f2a0000000",
  port: "tsv-ee111111111",
  container: "tsc-ee111111111",
} as const;

const subnet = (pool: string, gateway: string) => ({ addressSpace: "x", pool, gateway, auxiliary: {} });

/** Dual stack, with VNI 8388700. */
export const network: OverlayNetwork = {
  ...planOverlayNetwork({
    ...{ id, internal: false, enableIpv4: undefined, enableIpv6: true, options: { mode: "overlay" } },
    ipv4: [subnet("10.1.0.0/24", "10.1.0.1/24")],
    ipv6: [subnet("fd00:1::/64", "fd00:1::1/64")],
  }).network,
  vni: 8388700,
};

/** Of the address that the fixture gives this host. */
export const underlay: Underlay = { local: "192.168.9.1", port: 4789, mtuBytes: 1500, knowsPlaces: true };

/** Of this host: 10.1.0.2, 02:42:0a:01:00:02. */
export const endpoint: Endpoint = planEndpoint(
  { network: id, id: "ee".padEnd(64, "1"), addresses: ["10.1.0.2/24", "fd00:1::2/64"], mac: null },
  network,
);

/** The nth of another host, from 1 to 65535: 10.2.0.N, 02:42:0a:02:00:NN, at 192.168.9.(2 + n % hosts). */
export const remote = (n: number, hosts = 200): RemoteEndpoint => ({
  mac: `02:42:0a:02:${hex(n >> 8)}:${hex(n & 255)}`,
  ips: [`10.2.${n >> 8}.${n & 255}`],
  vtep: `192.168.9.${2 + (n % hosts)}`,
});

const hex = (value: number): string => value.toString(16).padStart(2, "0");

/** `bridge …` in the network's namespace. @throws Error with what it wrote */
export const bridge = (words: string): string =>
  execFileSync("bridge", ["-n", names.namespace, ...words.split(" ")], {
    ...{ encoding: "utf8", stdio: "pipe", maxBuffer: 64 << 20 },
  });

/** `ip …` in the network's namespace. */
export const inside = (words: string): string => ip(`-n ${names.namespace} ${words}`);

/** `ip -j …` in the network's namespace. */
// biome-ignore lint/suspicious/noExplicitAny: the output of ip has no type; each test says what it reads
export const insideJson = (words: string): any[] => JSON.parse(inside(`-j -d ${words}`) || "[]");

/** A link in the network's namespace, as `ip -j -d` shows it; undefined if there is none. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export const linkInside = (name: string): any => insideJson("link show").find((link) => link.ifname === name);

/** The host's UDP sockets. */
export const sockets = (): string => execFileSync("ss", ["-Hlun"], { encoding: "utf8" });

/** All links in the namespace, without what the kernel changes by itself. */
export const linksInside = (): object[] =>
  insideJson("link show").map(({ ifindex, ifname, address, mtu, master, flags, ifalias, group, linkinfo }) => {
    const { state: _, ...slave } = linkinfo?.info_slave_data ?? {};
    const own = Object.fromEntries(
      ["learning", "flood", "mcast_flood", "bcast_flood", "neigh_suppress", "hairpin"].map((key) => [key, slave[key]]),
    );
    const isUp = flags.includes("UP");
    return { ifindex, ifname, address, mtu, master, isUp, ifalias, group, kind: linkinfo?.info_kind, ...own };
  });

/** What `bridge fdb` and `ip neigh` say, sorted, without links' own addresses: "02:42:… dev tsx-… dst 192.168.9.2 self permanent". */
export function entries(): string[] {
  const lines = [bridge("fdb show"), inside("neigh show nud permanent")].flatMap((text) => text.split("\n"));
  const isOwn = (line: string): boolean => / master \S+ permanent$|^(33:33|01:00:5e):/.test(line);
  return lines
    .map((line) => line.replace(/ link-netnsid \d+/, "").trim())
    .filter((line) => line !== "" && !isOwn(line))
    .toSorted();
}

/**
 * To be called in a describe: this host has 192.168.9.1 and fd00:9::1, and after each test nothing but loopback.
 * @param cleanUp what is run after each test before that
 */
export function useOverlay(cleanUp: () => Promise<void> | void = () => {}): LinksFixture & { make(): Promise<void> } {
  const fixture = useLinks(async () => {
    await cleanUp();
    // what is left to the kernel takes it a while, in which the VNI is taken
    for (const one of fixture.namespaces.opened()) one.clear();
    for (const name of ip("netns list").matchAll(/^\S+/gm)) ip(`netns del ${name[0]}`);
  });
  beforeEach(() => {
    ip("link add up0 type veth peer name up1");
    for (const name of ["up0", "up1"]) ip(`link set ${name} up`);
    ip("addr add 192.168.9.1/24 dev up0");
    ip("addr add fd00:9::1/64 dev up0 nodad");
  });
  const make = (): Promise<void> =>
    fixture.ensure(...planOverlay(network, underlay), ...planInnerVeth(network, endpoint, underlay));
  return Object.assign(fixture, { make });
}
