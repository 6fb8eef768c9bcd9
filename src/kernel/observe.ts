import { statfsSync } from "node:fs";
import { TsnetError } from "../errors.ts";
import type { Observed, ObservedLink, ObservedRoutes } from "../plan/observed.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { gatewayPrefix, shimPrefix } from "./own-links.ts";
import { fileError, readSysctl } from "./sysctl.ts";

/** NSFS_MAGIC of include/uapi/linux/magic.h: the file system of namespaces. */
const nsfsMagic = 0x6e736673;

/**
 * Links, addresses, routes and neighbors of the namespace of the socket, one after another: a link that comes or goes meanwhile may
 * be in one of the lists only.
 */
export function observe(rtnetlink: Rtnetlink, routes: ObservedRoutes): Observed {
  const links = rtnetlink.listLinks();
  const shims = links.filter(isShim).map(({ index }) => index);
  const wanted = new Set([...shims, ...links.filter(hasGateways).map(({ index }) => index)]);
  const isWanted = routes === "all" ? () => true : (link: number): boolean => wanted.has(link);
  return {
    links,
    addresses: rtnetlink.listAddresses(),
    routes: rtnetlink.listRoutes(isWanted),
    neighbors: shims.flatMap((link) => rtnetlink.listNeighbors(link)),
  };
}

const hasGateways = ({ kind, alias }: ObservedLink): boolean => kind === "bridge" || alias.startsWith(gatewayPrefix);

const isShim = ({ alias }: ObservedLink): boolean => alias.startsWith(shimPrefix);

/** Those of these files that are namespaces. What is left of one after its unmount is an empty ordinary file. */
export const observeSandboxes = (paths: readonly string[]): string[] => paths.filter(isNamespace);

function isNamespace(path: string): boolean {
  try {
    return statfsSync(path).type === nsfsMagic;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined && ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"].includes(code)) return false;
    throw fileError(path, error);
  }
}

/** net.ipv4.ip_local_port_range, both ends included. */
export function observeEphemeralPorts(): { readonly first: number; readonly last: number } {
  const text = readSysctl(["net", "ipv4", "ip_local_port_range"]);
  const [, first, last] = /^(\d+)\s+(\d+)$/.exec(text) ?? [];
  if (first !== undefined && last !== undefined) return { first: Number(first), last: Number(last) };
  throw new TsnetError("kernel", `net.ipv4.ip_local_port_range: expected two numbers, got ${JSON.stringify(text)}`);
}

/** net.ipv4.ip_local_reserved_ports, "8080,9000-9010": blocks, both ends included. */
export function observeReservedPorts(): { readonly first: number; readonly last: number }[] {
  const text = readSysctl(["net", "ipv4", "ip_local_reserved_ports"]);
  return text
    .split(",")
    .filter((block) => block !== "")
    .map((block) => {
      const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(block) ?? [];
      if (first !== undefined) return { first: Number(first), last: Number(last) };
      throw new TsnetError("kernel", `net.ipv4.ip_local_reserved_ports: expected ports, got ${JSON.stringify(text)}`);
    });
}
