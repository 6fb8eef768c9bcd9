/** What virtual IPs need in a namespace of ours, and who takes it away. */

import type { Message } from "./netlink/codec.ts";
import { decodeAttributes } from "./netlink/codec.ts";
import { netconf, route, rtm } from "./netlink/constants.ts";
import { decodeAddress, decodeRoute } from "./netlink/messages.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";

/** struct netconfmsg, aligned. */
const netconfBytes = 4;

/**
 * Whether an address or a route went, and not by us, or a setting is as it must not be: those that the kernel tells of, which are
 * forwarding and the check of the reverse path.
 */
export function isVipLoss({ type, portId, payload }: Message, rtnetlink: Rtnetlink): boolean {
  switch (type) {
    case rtm.delAddr:
      return portId !== rtnetlink.portId && decodeAddress(payload) !== undefined;
    case rtm.delRoute:
      return portId !== rtnetlink.portId && decodeRoute(payload)?.table === route.tableMain;
    case rtm.newNetconf:
      return isWrong(payload, rtnetlink);
    default:
      return false;
  }
}

function isWrong(payload: Buffer, rtnetlink: Rtnetlink): boolean {
  const attributes = decodeAttributes(payload, netconfBytes);
  const index = attributes.get(netconf.index)?.readInt32LE();
  const isOff = attributes.get(netconf.forwarding)?.readInt32LE() === 0;
  const isChecked = (attributes.get(netconf.rpFilter)?.readInt32LE() ?? 0) !== 0;
  if (index === undefined || !(isOff || isChecked)) return false;
  return index === netconf.all || (index > 0 && rtnetlink.getLink({ index })?.kind === "bridge");
}
