import { resolve } from "node:path";
import { isAddress, parseIp } from "../net/cidr.ts";
import { parseDuration } from "../net/duration.ts";
import { isLinkName } from "../net/names.ts";
import { absolutePath, optional, type Read } from "./setting.ts";

/** How overlay networks reach other hosts. */
export interface OverlayConfig {
  /** UDP port of VXLAN, on all hosts the same. */
  readonly port: number;
  /** This host's tunnel address, or the name of the link that has it; null for the one that the routing takes. */
  readonly advertise: string | null;
  /** The other hosts' tunnel addresses, where no etcd knows them. */
  readonly peers: readonly string[];
  /** After how long without a sign of life a host's entries are dropped. */
  readonly hostTtlMs: number;
}

export const overlaySettings = {
  port: { name: "TSNET_VXLAN_PORT", fallback: "4789", parse: udpPort },
  advertise: { name: "TSNET_ADVERTISE_ADDRESS", fallback: "", parse: optional(addressOrLink) },
  peers: { name: "TSNET_PEERS", fallback: "", parse: peerAddresses },
  hostTtl: { name: "TSNET_HOST_TTL", fallback: "24h", parse: ttlMs },
} as const;

export const readOverlay = (read: Read): OverlayConfig => ({
  port: read(overlaySettings.port),
  advertise: read(overlaySettings.advertise),
  peers: read(overlaySettings.peers),
  hostTtlMs: read(overlaySettings.hostTtl),
});

function udpPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65535) return port;
  throw new Error("expected a UDP port from 1 to 65535");
}

function addressOrLink(text: string): string {
  if (isAddress(text)) return usableAddress(text);
  if (isLinkName(text)) return text;
  throw new Error("expected an address of this host, or the name of the link that has it");
}

/** All of one family, in order, since a VXLAN link has one. */
function peerAddresses(text: string): string[] {
  const addresses = text === "" ? [] : text.split(",").map((part) => usableAddress(part.trim()));
  const twice = addresses.find((address, index) => addresses.indexOf(address) !== index);
  if (twice !== undefined) throw new Error(`${twice} is given twice`);
  const [first = ""] = addresses;
  const other = addresses.find((address) => address.includes(":") !== first.includes(":"));
  if (other !== undefined) throw new Error(`${first} and ${other} are of two families: give addresses of one`);
  return addresses;
}

function usableAddress(text: string): string {
  const ip = parseIp(text);
  const isNoHosts = /^(0\.|127\.|22[4-9]\.|23\d\.|255\.255\.255\.255|::1?$|ff)/.test(ip.text);
  if (isNoHosts) throw new Error(`${ip.text} is no address at which other hosts reach one`);
  return ip.text;
}

/** All that is mounted below is made to be seen in all mount namespaces: it is to be nobody else's. */
export function namespaceDirectory(text: string): string {
  const path = resolve(absolutePath(text));
  const [first = "", ...rest] = path.split("/").slice(1);
  if (rest.length > 0 && rest.at(-1) !== "run" && !["proc", "sys", "dev"].includes(first)) return path;
  throw new Error("expected a directory for network namespaces alone, such as /run/netns");
}

/** A host that is restarted must not lose what it has; a year is for ever. */
function ttlMs(text: string): number {
  const ms = parseDuration(text);
  if (ms >= 60_000 && ms <= 365 * 24 * 3_600_000) return ms;
  throw new Error("expected 1m to 8760h");
}
