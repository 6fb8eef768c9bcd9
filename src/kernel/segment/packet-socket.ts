/** Packet sockets (man 7 packet), for frames with their Ethernet headers. None of their calls blocks. */
import { constants } from "node:os";
import { TsnetError } from "../../errors.ts";
import { bindBytes, describeErrno, errnoName, socket } from "../libc.ts";
import { attachFilter, socketType, tryRecvfrom, trySendto, trySetOption } from "../libc-sockets.ts";
import { macBytes, multicastMembership, packetFamily, packetOption } from "./constants.ts";

/** Sizes of struct sockaddr_ll and struct packet_mreq of include/uapi/linux/if_packet.h. */
const addressBytes = 20;
const membershipBytes = 16;

/** A packet of neighbor discovery is rarely longer than 100 bytes; what is cut off here does not count. */
const frameBytes = 2048;

/** A frame and the index of the link that it came by. */
interface Received {
  readonly frame: Buffer;
  readonly link: number;
}

/** How many frames a link takes at a time is no error: some are lost on the way, too. */
const full: ReadonlySet<number> = new Set([constants.errno.EAGAIN, constants.errno.ENOBUFS]);

/** A socket of the thread's namespace. */
export class PacketSocket {
  readonly fd = socket(packetFamily, socketType.raw | socketType.nonblock | socketType.cloexec, 0);
  readonly #buffer = Buffer.allocUnsafeSlow(frameBytes);
  readonly #sender = new Uint8Array(addressBytes);

  /** Receives, from all links, frames of a type that the filter lets through. Until then it receives nothing. */
  listen(etherType: number): void {
    bindBytes(this.fd, encodeAddress(etherType, 0));
  }

  /** Replaces the filter: classic BPF, struct sock_filter after struct sock_filter. */
  filter(program: Uint8Array): void {
    attachFilter(this.fd, program);
  }

  /** The next frame, valid until the next call; undefined if there is none. */
  receive(): Received | undefined {
    const length = tryRecvfrom(this.fd, this.#buffer, this.#sender);
    if (length < 0) return undefined;
    return { frame: this.#buffer.subarray(0, length), link: new DataView(this.#sender.buffer).getInt32(4, true) };
  }

  /** Sends a frame by a link, or loses it. @throws TsnetError "kernel" with errno ENXIO or ENETDOWN if the link is gone or down */
  send(frame: Buffer, link: number): void {
    const result = trySendto(this.fd, frame, encodeAddress(frame.readUInt16BE(2 * macBytes), link));
    if (result < 0 && !full.has(-result)) throw errorOf("sendto", -result);
  }

  /** Lets a link receive what goes to a multicast group. */
  join(link: number, mac: Uint8Array): void {
    const result = trySetOption(this.fd, packetOption.addMembership, encodeMembership(link, mac));
    if (result < 0) throw errorOf("setsockopt PACKET_ADD_MEMBERSHIP", -result);
  }

  /** Undoes one `join`; a link that is gone has left its groups already. */
  leave(link: number, mac: Uint8Array): void {
    trySetOption(this.fd, packetOption.dropMembership, encodeMembership(link, mac));
  }
}

const errorOf = (call: string, errno: number): TsnetError =>
  new TsnetError("kernel", `${call}: ${describeErrno(errno)}`, { errno: errnoName(errno) });

/** struct sockaddr_ll: family, protocol in the network's byte order, index; 0 for all links. */
function encodeAddress(etherType: number, link: number): Uint8Array {
  const address = new DataView(new ArrayBuffer(addressBytes));
  address.setUint16(0, packetFamily, true);
  address.setUint16(2, etherType);
  address.setInt32(4, link, true);
  return new Uint8Array(address.buffer);
}

/** struct packet_mreq: index, type, length of the address, address. */
function encodeMembership(link: number, mac: Uint8Array): Uint8Array {
  const membership = new DataView(new ArrayBuffer(membershipBytes));
  membership.setInt32(0, link, true);
  membership.setUint16(4, multicastMembership, true);
  membership.setUint16(6, mac.length, true);
  const bytes = new Uint8Array(membership.buffer);
  bytes.set(mac, 8);
  return bytes;
}
