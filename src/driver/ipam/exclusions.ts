/** What a subnet that we choose must not touch. */
import { type Cidr, cidrOf, parseCidr, parseHostAddress, parseIp } from "../../net/cidr.ts";
import { isTsnetPlugin } from "../../net/names.ts";
import type { DockerNetwork } from "../../plan/docker-network.ts";
import type { Network } from "../../plan/network.ts";
import type { Obstacle } from "./subnet-search.ts";

/** What there is to know; asked anew for each subnet that is chosen. */
export interface Surroundings {
  /** See Kernel.observeRouted. */
  readonly routed: string;
  readonly networks: Iterable<Network>;
  /** null while Docker cannot be asked. */
  readonly docker: Iterable<DockerNetwork> | null;
  /** Contents of resolv.conf(5) files. */
  readonly resolvConf: readonly string[];
  /** Of TSNET_ADDRESS_POOLS. */
  readonly excluded: readonly Cidr[];
}

/**
 * A default route in pieces, as VPNs make it (OpenVPN's def1: 0.0.0.0/1 and 128.0.0.0/1; 2000::/3), says nothing about who uses
 * what: it begins with these prefix lengths. 10.0.0.0/8 and fc00::/7 are no such pieces.
 */
const shortest = { 4: 8, 6: 7 } as const;

/**
 * What the host routes or drops, in any table; its own addresses; its name servers; the subnets of tsnet's networks, whichever IPAM
 * gave them, and of Docker's, but for those that tsnet's own IPAM gave: its pools are known better. Those who are named best come
 * first. They are made one by one, as there may be 100,000.
 */
export function* obstacles({ routed, networks, docker, resolvConf, excluded }: Surroundings): Generator<Obstacle> {
  for (const cidr of excluded) yield { cidr, by: "excluded by TSNET_ADDRESS_POOLS" };
  for (const text of resolvConf) yield* nameServers(text);
  for (const { name, ipamDriver, subnets } of docker ?? []) {
    if (isTsnetPlugin(ipamDriver)) continue;
    for (const { subnet } of subnets) yield* obstacle(subnet, `Docker network ${name}`);
  }
  for (const { id, subnets } of networks) {
    for (const { pool } of subnets) yield* obstacle(pool, `tsnet network ${id.slice(0, 12)}`);
  }
  yield* routes(routed);
}

/** One after the other, without a list of all. */
export function* chain(...lists: readonly Iterable<Obstacle>[]): Generator<Obstacle> {
  for (const list of lists) yield* list;
}

function* nameServers(resolvConf: string): Generator<Obstacle> {
  for (const [, text = ""] of resolvConf.matchAll(/^\s*nameserver\s+([0-9a-fA-F.:]+)/gm)) {
    try {
      const { family, value } = parseIp(text);
      yield { cidr: cidrOf(family, value, family === 4 ? 32 : 128), by: "name server" };
    } catch {
      // the resolver passes over it, too
    }
  }
}

/** Nothing for what is no subnet: Docker may know of something that we do not understand. */
function* obstacle(text: string, by: string): Generator<Obstacle> {
  try {
    yield { cidr: parseHostAddress(text).subnet, by };
  } catch {
    // no subnet that we choose can touch it
  }
}

function* routes(routed: string): Generator<Obstacle> {
  for (let at = 0; at < routed.length; ) {
    const end = routed.indexOf("\n", at);
    const line = routed.slice(at, end === -1 ? routed.length : end);
    at += line.length + 1;
    const [text = "", kind = "", table = "", link = ""] = line.split(" ");
    const cidr = kind === "address" ? parseHostAddress(text).subnet : parseCidr(text);
    if (cidr.prefix >= shortest[cidr.family]) yield { cidr, by: describe(kind, table, link) };
  }
}

/** "route of tun0", "route of wg0 in table 52", "blackhole route", "address of eth0". */
function describe(kind: string, table: string, link: string): string {
  const ofLink = link === "" ? "" : ` of ${link}`;
  if (kind === "address") return `address${ofLink}`;
  // RT_TABLE_MAIN, RT_TABLE_LOCAL of include/uapi/linux/rtnetlink.h
  const inTable = table === "254" || table === "255" ? "" : ` in table ${table}`;
  return `${kind === "unicast" ? "" : `${kind} `}route${ofLink}${inTable}`;
}
