import koffi from "koffi";
import { addressFamily } from "../libc.ts";
import { addressBytes, familyOf, tryRecv, tryRecvmsg, trySend, trySendmsg } from "../libc-sockets.ts";

/** Parts of the buffer: struct msghdr and struct iovec of a machine of 64 bits, an address, control data, and a datagram. */
const at = { message: 0, vector: 64, peer: 96, control: 128, data: 192 } as const;

/** More than any datagram has. */
const dataBytes = 65_536;

/** struct cmsghdr of 64 bits, and the offset of what follows it. */
const controlBytes = 64;
const controlData = 16;

/** Whom to answer, and from which address. */
export interface Peer {
  /** The same for datagrams of one client to one address. */
  readonly key: string;
  /** struct sockaddr. */
  readonly address: Uint8Array;
  /** Control data with IP_PKTINFO or IPV6_PKTINFO (man 7 ip, man 7 ipv6): the answer's source. */
  readonly control: Uint8Array;
}

/** Room for one datagram, which is passed on from where it was received. */
export class Datagrams {
  readonly #memory = koffi.alloc("uint8_t", at.data + dataBytes);
  readonly #bytes = new Uint8Array(koffi.view(this.#memory, at.data + dataBytes));
  readonly #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
  readonly #message = koffi.address(this.#memory) + BigInt(at.message);
  readonly #data = this.#bytes.subarray(at.data);
  readonly #start = koffi.address(this.#memory);

  constructor() {
    this.#setPointer(at.message, at.peer);
    this.#setPointer(at.message + 16, at.vector);
    this.#setSize(at.message + 24, 1);
    this.#setPointer(at.message + 32, at.control);
    this.#setPointer(at.vector, at.data);
  }

  close(): void {
    koffi.free(this.#memory);
  }

  /** From a socket with packet information. @returns its length, or the errno negated */
  receive(fd: number): number {
    this.#view.setUint32(at.message + 8, addressBytes, true);
    this.#setSize(at.message + 40, controlBytes);
    this.#setSize(at.vector + 8, dataBytes);
    return tryRecvmsg(fd, this.#message);
  }

  /** The sender of what was received, as struct sockaddr; it is overwritten by the next. */
  get sender(): Uint8Array {
    return this.#bytes.subarray(at.peer, at.peer + addressBytes);
  }

  /** The address that was asked for, 4 or 16 bytes; of a broadcast, the one that the kernel would answer from. */
  get asked(): Uint8Array {
    const start = at.control + controlData;
    return familyOf(this.sender) === addressFamily.inet6
      ? this.#bytes.subarray(start, start + 16)
      : this.#bytes.subarray(start + 4, start + 8);
  }

  /** What tells the sender of what was received from others. */
  get key(): string {
    return String.fromCharCode(...this.#bytes.subarray(at.peer + 2, at.peer + this.#senderBytes), ...this.asked);
  }

  /** Whom to answer what was received; undefined if the kernel did not say. */
  get peer(): Peer | undefined {
    const length = Number(this.#view.getBigUint64(at.message + 40, true));
    if (length < controlData) return undefined;
    const control = this.#bytes.slice(at.control, at.control + length);
    if (!isLinkLocal(this.asked)) clearLink(control, familyOf(this.sender));
    return { key: this.key, address: this.#bytes.slice(at.peer, at.peer + this.#senderBytes), control };
  }

  /** From a connected socket. @returns its length, or the errno negated */
  receiveConnected(fd: number): number {
    return tryRecv(fd, this.#data);
  }

  /** Sends as many bytes as were received over a connected socket. */
  sendConnected(fd: number, length: number): number {
    return trySend(fd, this.#data.subarray(0, length));
  }

  /** Sends as many bytes as were received to a peer. */
  send(fd: number, length: number, { address, control }: Peer): number {
    this.#bytes.set(address, at.peer);
    this.#bytes.set(control, at.control);
    this.#view.setUint32(at.message + 8, address.length, true);
    this.#setSize(at.message + 40, control.length);
    this.#setSize(at.vector + 8, length);
    return trySendmsg(fd, this.#message);
  }

  get #senderBytes(): number {
    return this.#view.getUint32(at.message + 8, true);
  }

  #setPointer(offset: number, to: number): void {
    this.#view.setBigUint64(offset, this.#start + BigInt(to), true);
  }

  #setSize(offset: number, size: number): void {
    this.#view.setBigUint64(offset, BigInt(size), true);
  }
}

const isLinkLocal = (address: Uint8Array): boolean =>
  address.length === 16 && address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80;

/** The link that it came in by must not decide where the answer leaves: ipi_ifindex, ipi6_ifindex. */
function clearLink(control: Uint8Array, family: number): void {
  const offset = controlData + (family === addressFamily.inet6 ? 16 : 0);
  control.fill(0, offset, offset + 4);
}
