import { createHash } from "node:crypto";
import type { Ip } from "./cidr.ts";

/**
 * The MAC address that belongs to an address (DESIGN.md, D11): `02:42:` and the four bytes of an IPv4 address, as Docker's own
 * bridge did up to 27; for IPv6, four bytes of a hash of the network and the address.
 */
export function macOf(networkId: string, ip: Ip): string {
  const bytes =
    ip.family === 4
      ? Buffer.from(ip.value.toString(16).padStart(8, "0"), "hex")
      : createHash("sha256").update(`${networkId} ${ip.text}`).digest().subarray(0, 4);
  return ["02", "42", ...[...bytes].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

/**
 * The MAC address of the host's own link on the parent of a network: the same for as long as the parent has its own, so that no
 * container asks in vain for one that is gone; another on each host, also where hosts have networks of the same ID.
 */
export function shimMacOf(networkId: string, parentMac: string): string {
  const digest = createHash("sha256").update(`tsnet shim ${networkId} ${parentMac}`).digest();
  return ["06", ...[...digest.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

/** Canonical text of a unicast MAC address; undefined if it is none. */
export function parseMac(text: string): string | undefined {
  const match = /^([0-9a-f]{2})(:[0-9a-f]{2}){5}$/.exec(text.toLowerCase());
  const first = Number.parseInt(match?.[1] ?? "1", 16);
  return match && (first & 1) === 0 && match[0] !== "00:00:00:00:00:00" ? match[0] : undefined;
}
