/** Ethernet frames with echo requests as a container would send them, and what tells the replies: RFC 791, RFC 8200, RFC 792, RFC 4443. */
import { inetNtop, inetPton } from "../libc.ts";
import { encodeMac } from "../link-attributes.ts";
import { bpf, bpfPacketType, ethernetBytes, etherType, icmp6Protocol } from "../segment/constants.ts";
import { encode, requireByte } from "../segment/filter.ts";
import { encodeEcho, icmpHeaderBytes, internetChecksum } from "../underlay/icmp.ts";

/** IPPROTO_ICMP of include/uapi/linux/in.h. */
const icmpProtocol = 1;

/** PACKET_OUTGOING of include/uapi/linux/if_packet.h. */
const outgoing = 4;

/** What routers in between leave of it is enough. */
const hopLimit = 64;

const headerBytes = { 4: 20, 6: 40 } as const;
const replyType = { 4: 0, 6: 129 } as const;

export interface Echo {
  readonly source: { readonly mac: string; readonly ip: string };
  readonly gatewayMac: string;
  readonly target: string;
  /** ICMP's identifier. */
  readonly id: number;
}

export function encodeEchoFrame({ source, gatewayMac, target, id }: Echo): Buffer {
  const [from, to] = [inetPton(source.ip), inetPton(target)];
  const isIpv6 = to.length === 16;
  const message = encodeEcho(isIpv6 ? 6 : 4, id, icmpHeaderBytes);
  if (isIpv6) message.writeUInt16BE(checksum6(from, to, message), 2);
  const ethernet = Buffer.concat([encodeMac(gatewayMac), encodeMac(source.mac), Buffer.alloc(2)]);
  ethernet.writeUInt16BE(isIpv6 ? etherType.ipv6 : etherType.ipv4, 12);
  const header = isIpv6 ? header6(from, to, message.length) : header4(from, to, message.length);
  return Buffer.concat([ethernet, header, message]);
}

function header4(from: Uint8Array, to: Uint8Array, bytes: number): Buffer {
  const header = Buffer.alloc(headerBytes[4]);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(headerBytes[4] + bytes, 2);
  header.writeUInt8(hopLimit, 8);
  header.writeUInt8(icmpProtocol, 9);
  header.set(from, 12);
  header.set(to, 16);
  header.writeUInt16BE(internetChecksum(header), 10);
  return header;
}

function header6(from: Uint8Array, to: Uint8Array, bytes: number): Buffer {
  const header = Buffer.alloc(headerBytes[6]);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(bytes, 4);
  header.writeUInt8(icmp6Protocol, 6);
  header.writeUInt8(hopLimit, 7);
  header.set(from, 8);
  header.set(to, 24);
  return header;
}

/** With the pseudo-header of RFC 8200, 8.1. */
function checksum6(from: Uint8Array, to: Uint8Array, message: Buffer): number {
  const rest = Buffer.alloc(8);
  rest.writeUInt32BE(message.length, 0);
  rest.writeUInt8(icmp6Protocol, 7);
  return internetChecksum(Buffer.concat([from, to, rest, message]));
}

/** What drops all but replies with this identifier that come in; headers have no options. */
export function replyFilter(isIpv6: boolean, id: number): Uint8Array {
  const family = isIpv6 ? 6 : 4;
  const message = ethernetBytes + headerBytes[family];
  const type = isIpv6 ? etherType.ipv6 : etherType.ipv4;
  return encode([
    [bpf.loadWord, 0, 0, bpfPacketType],
    [bpf.jumpEqual, 0, 1, outgoing],
    [bpf.return, 0, 0, 0],
    ...requireByte(12, [type >> 8]),
    ...requireByte(13, [type & 0xff]),
    ...requireByte(ethernetBytes + (isIpv6 ? 6 : 9), [isIpv6 ? icmp6Protocol : icmpProtocol]),
    ...requireByte(message, [replyType[family]]),
    ...requireByte(message + 4, [id >> 8]),
    ...requireByte(message + 5, [id & 0xff]),
    [bpf.return, 0, 0, 0xffffffff],
  ]);
}

/** The sender of a packet that the filter has let through, as inetNtop writes it. */
export function senderOf(frame: Buffer, isIpv6: boolean): string {
  const at = ethernetBytes + (isIpv6 ? 8 : 12);
  return inetNtop(frame.subarray(at, at + (isIpv6 ? 16 : 4)));
}
