import { parseHostAddress } from "../../net/cidr.ts";
import type { Kernel } from "../kernel.ts";

/**
 * An address of IPv6 of the link that has an address of IPv4: that of the link itself, if it has one, since it is on the segment
 * whatever the prefixes are (RFC 4291, 2.5.6).
 * @returns null for none, and for an address that is one of IPv6
 */
export async function findLocal6(kernel: Pick<Kernel, "observeAddresses">, local: string): Promise<string | null> {
  if (local.includes(":")) return null;
  const all = (await kernel.observeAddresses()).map(({ link, address }) => ({
    link,
    ip: parseHostAddress(address).ip,
  }));
  const on = all.find(({ ip }) => ip.text === local)?.link;
  const there = all.filter(({ link, ip }) => link === on && ip.family === 6).map(({ ip }) => ip.text);
  return there.find((text) => text.startsWith("fe80:")) ?? there[0] ?? null;
}
