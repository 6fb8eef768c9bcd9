/** Echo messages: RFC 792, RFC 4443. */

/** Type of a request and of its reply. */
const types = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;

/** type, code, checksum, identifier, sequence number. */
export const icmpHeaderBytes = 8;

/** Of IPv4 the kernel leaves the checksum to the sender (man 7 raw), of IPv6 it makes it itself. */
export function encodeEcho(family: 4 | 6, id: number, bytes: number): Buffer {
  const message = Buffer.alloc(Math.max(bytes, icmpHeaderBytes));
  message.writeUInt8(types[family].request, 0);
  message.writeUInt16BE(id, 4);
  if (family === 4) message.writeUInt16BE(internetChecksum(message), 2);
  return message;
}

/** Whether what a raw socket has received is the answer; of IPv4 it begins with the IP header. */
export function isEchoReply(family: 4 | 6, received: Buffer, id: number): boolean {
  const start = family === 4 ? ((received[0] ?? 0) & 0x0f) * 4 : 0;
  if (received.length < start + icmpHeaderBytes) return false;
  return received[start] === types[family].reply && received.readUInt16BE(start + 4) === id;
}

/** RFC 1071. */
export function internetChecksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  if (bytes.length % 2 === 1) sum += (bytes.at(-1) ?? 0) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
