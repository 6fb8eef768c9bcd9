/** Neighbor discovery of IPv6 over Ethernet: RFC 4861 and RFC 2464; probes as in the duplicate address detection of RFC 4862. */
import { encodeMac } from "../link-attributes.ts";
import { formatMac } from "../netlink/messages.ts";
import {
  ethernetBytes,
  etherType,
  icmp6Protocol,
  macBytes,
  neighbor,
  neighborHopLimit,
  overrideFlag,
} from "./constants.ts";
import { encodeFrame, hexOf, isFrameOf, payloadOf, sourceOf } from "./ethernet.ts";
import { filterBy, requireByte } from "./filter.ts";
import type { SegmentProtocol, Statement } from "./protocol.ts";

/** Where the parts of the IPv6 header are, and those of a solicitation or advertisement behind it. */
const at = { payloadBytes: 4, nextHeader: 6, hopLimit: 7, source: 8, destination: 24, message: 40 };
const inMessage = { type: 0, code: 1, checksum: 2, flags: 4, target: 8, options: 24 };

const nobody = "0".repeat(32);
const allNodes = Buffer.from("ff020000000000000000000000000001", "hex");

/** The group where an address is asked for (RFC 4291, 2.7.1). */
const solicitedNode = (address: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from("ff0200000000000000000001ff", "hex"), address.subarray(13)]);

/** The MAC address of a group (RFC 2464, 7). */
const macOfGroup = (group: Uint8Array): Uint8Array => Uint8Array.of(0x33, 0x33, ...group.subarray(12));

/** A packet to a group, without options; its flags. */
interface Packet {
  readonly type: number;
  readonly flags: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly target: Uint8Array;
  /** The source's MAC address goes along as an option of this type. */
  readonly option: number | undefined;
}

function encode(mac: string, { type, flags, source, destination, target, option }: Packet): Buffer {
  const messageBytes = inMessage.options + (option === undefined ? 0 : 8);
  const frame = encodeFrame(formatMac(macOfGroup(destination)), mac, etherType.ipv6, at.message + messageBytes);
  const packet = payloadOf(frame);
  packet[0] = 0x60; // version 6
  packet.writeUInt16BE(messageBytes, at.payloadBytes);
  packet[at.nextHeader] = icmp6Protocol;
  packet[at.hopLimit] = neighborHopLimit;
  packet.set(source, at.source);
  packet.set(destination, at.destination);
  const message = packet.subarray(at.message);
  message[inMessage.type] = type;
  message[inMessage.flags] = flags;
  message.set(target, inMessage.target);
  if (option !== undefined) message.set([option, 1, ...encodeMac(mac)], inMessage.options);
  message.writeUInt16BE(checksumOf(packet, message), inMessage.checksum);
  return frame;
}

/** RFC 4443, 2.3. Of a message with a right checksum it is 0. */
function checksumOf(packet: Buffer, message: Buffer): number {
  let sum = message.length + icmp6Protocol;
  for (let n = at.source; n < at.message; n += 2) sum += packet.readUInt16BE(n);
  for (let n = 0; n < message.length; n++) sum += (message[n] ?? 0) << (n % 2 === 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function decode(frame: Buffer): Statement[] {
  if (!isFrameOf(frame, etherType.ipv6, at.message + inMessage.options)) return [];
  const packet = payloadOf(frame);
  const message = packet.subarray(at.message, at.message + packet.readUInt16BE(at.payloadBytes));
  if (!isSound(packet, message)) return [];
  const type = message[inMessage.type];
  const linkMac = sourceOf(frame);
  const source = hexOf(packet.subarray(at.source, at.destination));
  const target = hexOf(message.subarray(inMessage.target, inMessage.options));
  const own: Statement[] = source === nobody ? [] : [{ address: source, mac: linkMac, isProbe: false }];
  if (type === neighbor.solicitation) {
    return source === nobody ? [{ address: target, mac: linkMac, isProbe: true }] : own;
  }
  return [{ address: target, mac: targetMacOf(message) ?? linkMac, isProbe: false }, ...own];
}

/** RFC 4861, 7.1. */
function isSound(packet: Buffer, message: Buffer): boolean {
  const isWhole = message.length === packet.readUInt16BE(at.payloadBytes) && message.length >= inMessage.options;
  const [version = 0] = packet;
  if (!isWhole || version >> 4 !== 6 || packet[at.nextHeader] !== icmp6Protocol) return false;
  if (packet[at.hopLimit] !== neighborHopLimit || message[inMessage.code] !== 0) return false;
  const type = message[inMessage.type];
  if (type !== neighbor.solicitation && type !== neighbor.advertisement) return false;
  return checksumOf(packet, message) === 0;
}

/** The target's MAC address, if the advertisement names it. */
function targetMacOf(message: Buffer): string | undefined {
  for (let n = inMessage.options; n + 2 + macBytes <= message.length; ) {
    const [type = 0, units = 0] = message.subarray(n);
    if (type === neighbor.targetOption) return formatMac(message.subarray(n + 2, n + 2 + macBytes));
    if (units === 0) return undefined;
    n += units * 8;
  }
  return undefined;
}

/** The last four bytes of an address. */
const keyOf = (address: Uint8Array): number => Buffer.from(address).readUInt32BE(12);

export const nd: SegmentProtocol = {
  etherType: etherType.ipv6,
  encodeProbe: (mac, target) =>
    encode(mac, {
      ...{ type: neighbor.solicitation, flags: 0, option: undefined },
      ...{ source: new Uint8Array(16), destination: solicitedNode(target), target },
    }),
  encodeAnnouncement: (mac, target) =>
    encode(mac, {
      ...{ type: neighbor.advertisement, flags: overrideFlag, option: neighbor.targetOption },
      ...{ source: target, destination: allNodes, target },
    }),
  decode,
  groupsOf: (address) => [allNodes, solicitedNode(address)].map(macOfGroup),
  filterFor: (addresses) =>
    filterBy(
      [
        ...requireByte(ethernetBytes + at.nextHeader, [icmp6Protocol]),
        ...requireByte(ethernetBytes + at.message, [neighbor.solicitation, neighbor.advertisement]),
      ],
      addresses.map(keyOf),
      { sender: ethernetBytes + at.source + 12, target: ethernetBytes + at.message + inMessage.target + 12 },
    ),
};
