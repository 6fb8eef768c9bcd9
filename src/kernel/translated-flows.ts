/** Flows that the kernel remembers in a network namespace, and by which destination was translated to which (ctnetlink). */
import { findAttribute } from "./netlink/codec.ts";
import { cta, ctaIp, ctaTuple, ctMessage, netlinkNetfilter, nfproto } from "./netlink/constants.ts";
import { NetlinkSocket } from "./netlink/socket.ts";
import { isNoNamespace } from "./sandbox-links.ts";

/** struct nfgenmsg: family, version, resource ID. include/uapi/linux/netfilter/nfnetlink.h. */
const nfgenBytes = 4;

/** IPS_DST_NAT of include/uapi/linux/netfilter/nf_conntrack_common.h. */
const destinationTranslated = 1 << 5;

/** CTA_PROTOINFO_TCP, and CTA_PROTOINFO_TCP_STATE in it, of nfnetlink_conntrack.h. */
const protoinfo = { tcp: 1, tcpState: 1 } as const;

/** TCP_CONNTRACK_TIME_WAIT, TCP_CONNTRACK_CLOSE of include/uapi/linux/netfilter/nf_conntrack_tcp.h: closed, and still remembered. */
const closed: readonly number[] = [7, 8];

/**
 * How many open flows of IPv4 were translated, by "FROM TO": what they were sent to, and who answers. The kernel walks through its
 * table while this thread waits: 100,000 flows take about a second.
 * @param path the network namespace's file
 * @returns null if it is none
 * @throws TsnetError "kernel"
 */
export function countTranslated(path: string): Record<string, number> | null {
  const socket = openIn(path);
  if (socket === null) return null;
  const counts = new Map<number, Map<number, number>>();
  try {
    const header = Uint8Array.of(nfproto.ipv4, 0, 0, 0);
    const request = { type: ctMessage.get, flags: 0, header, attributes: [] };
    socket.dump(
      request,
      () => counts.clear(),
      ({ payload }) => count(payload, counts),
    );
  } finally {
    socket.close();
  }
  const found = [...counts].flatMap(([from, answerers]) =>
    [...answerers].map(([to, times]) => [`${textOf(from)} ${textOf(to)}`, times] as const),
  );
  return Object.fromEntries(found);
}

function openIn(path: string): NetlinkSocket | null {
  try {
    return new NetlinkSocket(netlinkNetfilter, path);
  } catch (error) {
    if (isNoNamespace(error)) return null;
    throw error;
  }
}

/** Looks at no more than it has to, since it is asked for every flow. */
function count(payload: Buffer, counts: Map<number, Map<number, number>>): void {
  const bits = findAttribute(payload, cta.status, nfgenBytes)?.readUInt32BE() ?? 0;
  if ((bits & destinationTranslated) === 0 || isClosed(payload)) return;
  const from = addressOf(payload, cta.tupleOrig, ctaIp.v4Dst);
  const to = addressOf(payload, cta.tupleReply, ctaIp.v4Src);
  if (from === undefined || to === undefined) return;
  const answerers = counts.get(from) ?? new Map<number, number>();
  counts.set(from, answerers.set(to, 1 + (answerers.get(to) ?? 0)));
}

/** What is no TCP has no state. */
function isClosed(payload: Buffer): boolean {
  const info = findAttribute(payload, cta.protoinfo, nfgenBytes);
  const tcp = info && findAttribute(info, protoinfo.tcp);
  const state = tcp && findAttribute(tcp, protoinfo.tcpState);
  return closed.includes(state?.[0] ?? 0);
}

function addressOf(payload: Buffer, tuple: number, which: number): number | undefined {
  const bytes = findAttribute(payload, tuple, nfgenBytes);
  const addresses = bytes && findAttribute(bytes, ctaTuple.ip);
  return addresses && findAttribute(addresses, which)?.readUInt32BE();
}

const textOf = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
