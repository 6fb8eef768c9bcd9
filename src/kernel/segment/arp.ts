/** ARP for IPv4 over Ethernet: RFC 826; probes and announcements as in RFC 5227. */
import { encodeMac } from "../link-attributes.ts";
import { formatMac } from "../netlink/messages.ts";
import { arpHardware, arpOperation, ethernetBytes, etherType, macBytes } from "./constants.ts";
import { broadcastMac, encodeFrame, hexOf, isFrameOf, payloadOf } from "./ethernet.ts";
import { filterBy } from "./filter.ts";
import type { SegmentProtocol, Statement } from "./protocol.ts";

/** Where the parts are; its length. */
const at = { hardware: 0, protocol: 2, sizes: 4, operation: 6, senderMac: 8, sender: 14, targetMac: 18, target: 24 };
const arpBytes = 28;

/** Lengths of a MAC address and of an IPv4 address, in one number. */
const sizes = (macBytes << 8) | 4;

const nobody = "00000000";

function encode(mac: string, sender: Uint8Array, target: Uint8Array): Buffer {
  const frame = encodeFrame(broadcastMac, mac, etherType.arp, arpBytes);
  const arp = payloadOf(frame);
  arp.writeUInt16BE(arpHardware, at.hardware);
  arp.writeUInt16BE(etherType.ipv4, at.protocol);
  arp.writeUInt16BE(sizes, at.sizes);
  arp.writeUInt16BE(arpOperation.request, at.operation);
  arp.set(encodeMac(mac), at.senderMac);
  arp.set(sender, at.sender);
  arp.set(target, at.target);
  return frame;
}

function decode(frame: Buffer): Statement[] {
  if (!isFrameOf(frame, etherType.arp, arpBytes)) return [];
  const arp = payloadOf(frame);
  const isIpv4 = arp.readUInt16BE(at.protocol) === etherType.ipv4 && arp.readUInt16BE(at.sizes) === sizes;
  if (!isIpv4 || arp.readUInt16BE(at.hardware) !== arpHardware) return [];
  const operation = arp.readUInt16BE(at.operation);
  if (operation !== arpOperation.request && operation !== arpOperation.reply) return [];
  const mac = formatMac(arp.subarray(at.senderMac, at.sender));
  const sender = hexOf(arp.subarray(at.sender, at.targetMac));
  if (sender !== nobody) return [{ address: sender, mac, isProbe: false }];
  if (operation !== arpOperation.request) return [];
  return [{ address: hexOf(arp.subarray(at.target, arpBytes)), mac, isProbe: true }];
}

export const arp: SegmentProtocol = {
  etherType: etherType.arp,
  encodeProbe: (mac, address) => encode(mac, new Uint8Array(4), address),
  encodeAnnouncement: (mac, address) => encode(mac, address, address),
  decode,
  groupsOf: () => [],
  filterFor: (addresses) =>
    filterBy(
      [],
      addresses.map((address) => Buffer.from(address).readUInt32BE()),
      { sender: ethernetBytes + at.sender, target: ethernetBytes + at.target },
    ),
};
