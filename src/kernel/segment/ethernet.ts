/** Ethernet frames without a VLAN tag: the kernel takes tags off before a packet socket sees them. */
import { encodeMac } from "../link-attributes.ts";
import { formatMac } from "../netlink/messages.ts";
import { ethernetBytes, macBytes } from "./constants.ts";

/** The MAC address of everybody. */
export const broadcastMac = "ff:ff:ff:ff:ff:ff";

/** A frame with room for so many bytes of payload. */
export function encodeFrame(destination: string, source: string, type: number, payloadBytes: number): Buffer {
  const frame = Buffer.alloc(ethernetBytes + payloadBytes);
  frame.set(encodeMac(destination), 0);
  frame.set(encodeMac(source), macBytes);
  frame.writeUInt16BE(type, 2 * macBytes);
  return frame;
}

/** Whether a frame is of this type and has at least so many bytes of payload. */
export const isFrameOf = (frame: Buffer, type: number, payloadBytes: number): boolean =>
  frame.length >= ethernetBytes + payloadBytes && frame.readUInt16BE(2 * macBytes) === type;

/** Who sent a frame. */
export const sourceOf = (frame: Buffer): string => formatMac(frame.subarray(macBytes, 2 * macBytes));

/** What is behind the header. */
export const payloadOf = (frame: Buffer): Buffer => frame.subarray(ethernetBytes);

/** Bytes of an address in hexadecimal digits. */
export const hexOf = (address: Uint8Array): string => Buffer.from(address).toString("hex");
