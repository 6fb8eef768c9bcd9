/** One packet of SCTP, made by hand: the kernel of a test machine may have no sockets for it. */

import { run } from "./commands.ts";
import type { Place } from "./probe.ts";

const initChunk = { type: 1, bytes: 20 };

/** An INIT to a port: RFC 9260, 3.1 (header) and 3.3.2. Connection tracking drops one with a wrong checksum. */
export function sctpInit(fromPort: number, toPort: number): Buffer {
  const packet = Buffer.alloc(12 + initChunk.bytes);
  packet.writeUInt16BE(fromPort, 0);
  packet.writeUInt16BE(toPort, 2);
  packet.writeUInt8(initChunk.type, 12);
  packet.writeUInt16BE(initChunk.bytes, 14);
  packet.writeUInt32BE(1, 16); // initiate tag
  packet.writeUInt32BE(65536, 20); // receiver's window, bytes
  packet.writeUInt16BE(1, 24); // streams out
  packet.writeUInt16BE(1, 26); // streams in
  packet.writeUInt32BE(1, 28); // first TSN
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}

/** The Castagnoli polynomial, reflected: RFC 9260, appendix A. */
function crc32c(data: Buffer): number {
  let crc = 0xffff_ffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return ~crc >>> 0;
}

/** Sends it from a raw socket. */
export async function sendSctpInit(from: Place, address: string, port: number): Promise<void> {
  const target = address.includes(":") ? `IP6-SENDTO:[${address}]:132` : `IP4-SENDTO:${address}:132`;
  const hex = sctpInit(5000, port).toString("hex").replaceAll(/../g, "\\x$&");
  await run(await from.enter(["bash", "-c", `printf '${hex}' | socat -u - ${target}`]));
}

/** The port that a packet was sent to, from its hexadecimal digits; with a header of IPv4 before it or without. */
export function targetPortOf(digits: string): number {
  const packet = Buffer.from(digits.replaceAll(/\s/g, ""), "hex");
  const start = packet[0] === 0x45 ? 20 : 0;
  return packet.readUInt16BE(start + 2);
}
