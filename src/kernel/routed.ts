/** What the host's namespace routes, or drops, of any destination: one text, however much it is. */
import type { ObservedLink } from "../plan/observed.ts";
import { addressFamily, inetNtop } from "./libc.ts";
import { decodeAttributes, readNumber } from "./netlink/codec.ts";
import { route, rta } from "./netlink/constants.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { removalGroup } from "./own-links.ts";

/** struct rtmsg. */
const rtmsgBytes = 12;

/** RTN_… of include/uapi/linux/rtnetlink.h that say that a destination is somebody's: "throw" only goes on to the next rule. */
const kinds: Readonly<Record<number, string>> = {
  [route.unicast]: "unicast",
  [route.local]: "local",
  [route.blackhole]: "blackhole",
  [route.unreachable]: "unreachable",
  [route.prohibit]: "prohibit",
};

/**
 * Equivalent to: `ip route show table all`, both families, and the subnets of `ip address show`, whose links may be down. Routes
 * that come and go meanwhile may be in it or not.
 * @returns see Kernel.observeRouted
 */
export function observeRouted(rtnetlink: Rtnetlink): string {
  const links = new Map(rtnetlink.listLinks().map((link) => [link.index, link]));
  const lines = new Set<string>();
  for (const { address, link } of rtnetlink.listAddresses()) {
    if (!isLeaving(links.get(link))) lines.add(`${address} address 0 ${links.get(link)?.name ?? ""}`);
  }
  rtnetlink.visitRoutes((payload) => {
    const line = lineOf(payload, links);
    if (line !== undefined) lines.add(line);
  });
  return [...lines].join("\n");
}

/** A link of ours that is as good as deleted: what it had is free again. */
const isLeaving = (link: ObservedLink | undefined): boolean => link?.group === removalGroup;

function lineOf(payload: Buffer, links: ReadonlyMap<number, ObservedLink>): string | undefined {
  const kind = kinds[payload.readUInt8(7)];
  const length = addressBytes[payload.readUInt8(0)];
  if (kind === undefined || length === undefined) return undefined;
  const attributes = decodeAttributes(payload, rtmsgBytes);
  const destination = attributes.get(rta.dst) ?? new Uint8Array(length);
  const table = readNumber(attributes, rta.table) || payload.readUInt8(4);
  const link = links.get(readNumber(attributes, rta.oif));
  if (isLeaving(link)) return undefined;
  return `${textOf(destination)}/${payload.readUInt8(1)} ${kind} ${table} ${link?.name ?? ""}`;
}

/** inet_ntop(3) takes as long as everything else of a route. */
const textOf = (address: Uint8Array): string => (address.length === 4 ? address.join(".") : inetNtop(address));

/** Length of an address by AF_…; MPLS has routes too. */
const addressBytes: Readonly<Record<number, number>> = { [addressFamily.inet]: 4, [addressFamily.inet6]: 16 };
