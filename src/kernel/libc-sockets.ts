/**
 * The C library's calls on sockets that do not block. Where an errno is part of the ordinary, such as EAGAIN, a call returns it
 * negated instead of throwing: `try…`.
 */
import { constants } from "node:os";
import koffi from "koffi";
import { addressFamily, checked, process } from "./libc.ts";

const raw = {
  accept4: process.func("int accept4(int fd, void *address, void *length, int flags)"),
  connect: process.func("int connect(int fd, const void *address, uint32_t length)"),
  getsockname: process.func("int getsockname(int fd, void *address, void *length)"),
  getsockopt: process.func("int getsockopt(int fd, int level, int name, void *value, void *length)"),
  setsockopt: process.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t length)"),
  recv: process.func("intptr_t recv(int fd, void *buffer, size_t length, int flags)"),
  send: process.func("intptr_t send(int fd, const void *data, size_t length, int flags)"),
  recvfrom: process.func(
    "intptr_t recvfrom(int fd, void *buffer, size_t length, int flags, void *address, void *addressLength)",
  ),
  sendto: process.func(
    "intptr_t sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t addressLength)",
  ),
  recvmsg: process.func("intptr_t recvmsg(int fd, void *message, int flags)"),
  sendmsg: process.func("intptr_t sendmsg(int fd, const void *message, int flags)"),
  epollCreate: process.func("int epoll_create1(int flags)"),
  epollCtl: process.func("int epoll_ctl(int epoll, int operation, int fd, void *event)"),
  epollWait: process.func("int epoll_wait(int epoll, void *events, int count, int timeout)"),
};

/** SOCK_… of include/linux/net.h. */
export const socketType = { stream: 1, dgram: 2, raw: 3, nonblock: 0o4000, cloexec: 0o2000000 } as const;

/** IPPROTO_… of include/uapi/linux/in.h. */
export const protocolNumber = { tcp: 6, udp: 17, sctp: 132 } as const;

/** Level and name of options: include/uapi/asm-generic/socket.h, include/uapi/linux/in.h, in6.h and tcp.h. */
export const socketOption = {
  reuseAddress: [1, 2],
  error: [1, 4],
  keepAlive: [1, 9],
  linger: [1, 13],
  attachFilter: [1, 26],
  /** Whatever the host's limit is; the kernel counts some more for each datagram than its length. */
  forceReceiveBuffer: [1, 33],
  mark: [1, 36],
  protocol: [1, 38],
  domain: [1, 39],
  packetInfo: [0, 8],
  ipv6Only: [41, 26],
  receivePacketInfo6: [41, 49],
  noDelay: [6, 1],
  keepAliveIdleSeconds: [6, 4],
  keepAliveIntervalSeconds: [6, 5],
} as const satisfies Record<string, readonly [level: number, name: number]>;

/** EPOLLIN, EPOLLOUT of include/uapi/linux/eventpoll.h. */
export const epollEvents = { in: 1, out: 4 } as const;

/** EPOLL_CTL_ADD, EPOLL_CTL_DEL; EPOLL_CLOEXEC. */
const epollAdd = 1;
const epollDelete = 2;
const epollCloexec = 0o2000000;

/** struct epoll_event is packed on x86-64 only (EPOLL_PACKED). */
const epollEvent = globalThis.process.arch === "x64" ? { bytes: 12, data: 4 } : { bytes: 16, data: 8 };

/** The most events that one look at an epoll returns. */
const eventsAtOnce = 64;

/** A call's result, or its errno negated. */
const attempted = (result: number): number => (result >= 0 ? result : -koffi.errno());

export const { EAGAIN, EINPROGRESS } = constants.errno;

/** Room for any peer: struct sockaddr_in6. */
export const addressBytes = 28;

/** struct sockaddr_in or sockaddr_in6 (man 7 ip, man 7 ipv6), of an address of 4 or 16 bytes. */
export function encodeSocketAddress(address: Uint8Array, port: number): Uint8Array {
  const isIpv6 = address.length === 16;
  const bytes = new Uint8Array(isIpv6 ? 28 : 16);
  new Uint16Array(bytes.buffer, 0, 1)[0] = isIpv6 ? addressFamily.inet6 : addressFamily.inet;
  new DataView(bytes.buffer).setUint16(2, port);
  bytes.set(address, isIpv6 ? 8 : 4);
  return bytes;
}

/** The address in a struct sockaddr, 4 or 16 bytes of it. */
export const decodeSocketAddress = (bytes: Uint8Array): Uint8Array =>
  familyOf(bytes) === addressFamily.inet6 ? bytes.subarray(8, 24) : bytes.subarray(4, 8);

/** AF_… of a struct sockaddr. */
export const familyOf = (bytes: Uint8Array): number => bytes[0] ?? addressFamily.unspec;

const optionValue = new Int32Array(1);

/** setsockopt with an int. @throws TsnetError */
export function setOption(fd: number, [level, name]: readonly [level: number, name: number], value: number): void {
  optionValue[0] = value;
  checked("setsockopt", raw.setsockopt(fd, level, name, optionValue, 4));
}

/** setsockopt with the bytes of a struct. @returns 0, or the errno negated */
export const trySetOption = (
  fd: number,
  [level, name]: readonly [level: number, name: number],
  value: Uint8Array,
): number => attempted(raw.setsockopt(fd, level, name, value, value.length));

/** struct sock_fprog of include/uapi/linux/filter.h. */
const filterProgram = koffi.struct({ length: "uint16_t", instructions: "const void *" });

const setFilter = process.func("setsockopt", "int", ["int", "int", "int", koffi.pointer(filterProgram), "uint32_t"]);

/** SO_ATTACH_FILTER: what a program of classic BPF does not accept is dropped. @param program struct sock_filter, one after another */
export function attachFilter(fd: number, program: Uint8Array): void {
  const [level, name] = socketOption.attachFilter;
  const value = { length: program.length / 8, instructions: program };
  checked("setsockopt SO_ATTACH_FILTER", setFilter(fd, level, name, value, koffi.sizeof(filterProgram)));
}

/** From now on close() resets the connection and forgets what was not sent: SO_LINGER with struct linger { 1, 0 }. */
export function setReset(fd: number): void {
  const [level, name] = socketOption.linger;
  checked("setsockopt", raw.setsockopt(fd, level, name, Int32Array.of(1, 0), 8));
}

/** The errno that a connect ended with; 0 for none. */
export function socketError(fd: number): number {
  return checked("getsockopt", tryGetsockopt(fd, socketOption.error));
}

/** Whether a descriptor is a socket of this family, AF_…, and protocol. */
export const isSocketOf = (fd: number, family: number, protocol: number): boolean =>
  tryGetsockopt(fd, socketOption.domain) === family && tryGetsockopt(fd, socketOption.protocol) === protocol;

/** An int; -1 for an error. */
function tryGetsockopt(fd: number, [level, name]: readonly [level: number, name: number]): number {
  const value = new Int32Array(1);
  return raw.getsockopt(fd, level, name, value, Uint32Array.of(4)) < 0 ? -1 : (value[0] ?? 0);
}

/** man 2 accept4. @param peer where the peer's struct sockaddr is written */
export const tryAccept = (fd: number, peer: Uint8Array, flags: number): number =>
  attempted(raw.accept4(fd, peer, Uint32Array.of(peer.length), flags));

/** man 2 connect. */
export const tryConnect = (fd: number, address: Uint8Array): number =>
  attempted(raw.connect(fd, address, address.length));

/** man 2 getsockname. */
export function getsockname(fd: number): Uint8Array {
  const address = new Uint8Array(addressBytes);
  checked("getsockname", raw.getsockname(fd, address, Uint32Array.of(address.length)));
  return address;
}

/** The port ID of a netlink socket, which struct sockaddr_nl has after the family; 0 before the kernel has given it one. */
export const portIdOf = (fd: number): number => Buffer.from(getsockname(fd)).readUInt32LE(4);

export const tryRecv = (fd: number, buffer: Uint8Array): number => attempted(raw.recv(fd, buffer, buffer.length, 0));

export const trySend = (fd: number, data: Uint8Array): number => attempted(raw.send(fd, data, data.length, 0));

/** man 2 recvfrom. @param address where the sender's struct sockaddr is written */
export const tryRecvfrom = (fd: number, buffer: Uint8Array, address: Uint8Array): number =>
  attempted(raw.recvfrom(fd, buffer, buffer.length, 0, address, Uint32Array.of(address.length)));

/** man 2 sendto. @param address the receiver's struct sockaddr */
export const trySendto = (fd: number, data: Uint8Array, address: Uint8Array): number =>
  attempted(raw.sendto(fd, data, data.length, 0, address, address.length));

/** man 2 recvmsg. @param message address of a struct msghdr */
export const tryRecvmsg = (fd: number, message: bigint): number => attempted(raw.recvmsg(fd, message, 0));

/** man 2 sendmsg. @param message as above */
export const trySendmsg = (fd: number, message: bigint): number => attempted(raw.sendmsg(fd, message, 0));

/** A set of descriptors, of which it tells those that are ready (man 7 epoll, level-triggered). Each stands for an item. */
export class Epoll<Item> {
  /** Readable when one of the descriptors is ready. */
  readonly fd = checked("epoll_create1", raw.epollCreate(epollCloexec));
  readonly #items = new Map<number, Item>();
  readonly #events = new Uint8Array(eventsAtOnce * epollEvent.bytes);
  readonly #view = new DataView(this.#events.buffer);
  #lastId = 0;

  /** @returns the ID to remove it by: a number of a descriptor comes again while an event of its predecessor is still waiting */
  add(fd: number, events: number, item: Item): number {
    const id = ++this.#lastId;
    const event = new DataView(new ArrayBuffer(epollEvent.bytes));
    event.setUint32(0, events, true);
    event.setFloat64(epollEvent.data, id, true); // 64 bits that mean nothing to the kernel
    checked("epoll_ctl", raw.epollCtl(this.fd, epollAdd, fd, new Uint8Array(event.buffer)));
    this.#items.set(id, item);
    return id;
  }

  remove(fd: number, id: number): void {
    if (this.#items.delete(id)) checked("epoll_ctl", raw.epollCtl(this.fd, epollDelete, fd, null));
  }

  get size(): number {
    return this.#items.size;
  }

  /** IDs of those that are ready, as many as fit; does not block. What is removed meanwhile has no item any more. */
  ready(): number[] {
    const count = checked("epoll_wait", raw.epollWait(this.fd, this.#events, eventsAtOnce, 0));
    return Array.from({ length: count }, (_, n) => this.#view.getFloat64(n * epollEvent.bytes + epollEvent.data, true));
  }

  get(id: number): Item | undefined {
    return this.#items.get(id);
  }
}
