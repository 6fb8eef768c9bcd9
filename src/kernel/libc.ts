/**
 * The C library's calls that Node does not offer: sockets of any family, poll, network namespaces. Each throws a TsnetError
 * "kernel" that names the call and keeps the errno. All of them but …Async block the calling thread.
 */
import { constants } from "node:os";
import koffi from "koffi";
import { TsnetError } from "../errors.ts";

/** One descriptor to wait for, and the POLL… bits of include/uapi/asm-generic/poll.h. */
export interface PollEntry {
  readonly fd: number;
  readonly events: number;
}

/** POLLIN of include/uapi/asm-generic/poll.h: there is something to read, or an error to fetch. */
export const pollIn = 1;

/** MSG_DONTWAIT of include/linux/socket.h. */
export const msgDontwait = 0x40;

/** AF_… of include/linux/socket.h. */
export const addressFamily = { unspec: 0, inet: 2, bridge: 7, inet6: 10, netlink: 16 } as const;

/** struct pollfd: int fd; short events, revents. */
const pollfdBytes = 8;

/** CLONE_NEWNET of include/uapi/linux/sched.h. */
const cloneNewnet = 0x40000000;

/** The process itself: whichever C library Node was linked with. */
export const process = koffi.load(null);

const raw = {
  socket: process.func("int socket(int domain, int type, int protocol)"),
  bind: process.func("int bind(int fd, const void *address, uint32_t length)"),
  listen: process.func("int listen(int fd, int backlog)"),
  setsockopt: process.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t length)"),
  getsockopt: process.func("int getsockopt(int fd, int level, int name, void *value, void *length)"),
  send: process.func("intptr_t send(int fd, const void *data, size_t length, int flags)"),
  recv: process.func("intptr_t recv(int fd, void *buffer, size_t length, int flags)"),
  poll: process.func("int poll(void *entries, unsigned long count, int timeout)"),
  eventfd: process.func("int eventfd(unsigned int value, int flags)"),
  open: process.func("int open(const char *path, int flags)"),
  read: process.func("intptr_t read(int fd, void *buffer, size_t length)"),
  write: process.func("intptr_t write(int fd, const void *data, size_t length)"),
  close: process.func("int close(int fd)"),
  fcntl: process.func("int fcntl(int fd, int command, ...)"),
  memfdCreate: process.func("int memfd_create(const char *name, unsigned int flags)"),
  setns: process.func("int setns(int fd, int kind)"),
  unshare: process.func("int unshare(int kinds)"),
  inetPton: process.func("int inet_pton(int family, const char *text, void *address)"),
  inetNtop: process.func("const char *inet_ntop(int family, const void *address, void *text, uint32_t length)"),
  strerror: process.func("const char *strerror(int number)"),
};

/** "EPERM" for 1. Of two names for one number, the one that man pages use first. */
const names = new Map<number, string>(
  Object.entries(constants.errno)
    .filter(([name]) => name !== "ENOTSUP" && name !== "EWOULDBLOCK")
    .map(([name, number]) => [number, name]),
);

/** The name of an errno: "ENODEV" for 19; "errno 200" for one that Node does not know. */
export const errnoName = (number: number): string => names.get(number) ?? `errno ${number}`;

/** "ENODEV No such device". */
export const describeErrno = (number: number): string => `${errnoName(number)} ${raw.strerror(number)}`;

/** An error of the kernel's: "socket: EPERM Operation not permitted". */
const kernelError = (doing: string, number: number): TsnetError =>
  new TsnetError("kernel", `${doing}: ${describeErrno(number)}`, { errno: errnoName(number) });

/**
 * man 3 inet_pton: the bytes of an address without prefix length, 4 or 16 of them.
 * @throws TsnetError "invalid"
 */
export function inetPton(text: string): Uint8Array {
  const [family, length] = text.includes(":") ? [addressFamily.inet6, 16] : [addressFamily.inet, 4];
  const address = new Uint8Array(length);
  if (raw.inetPton(family, text, address) === 1) return address;
  throw new TsnetError("invalid", `expected an IP address, got ${JSON.stringify(text)}`);
}

/** man 3 inet_ntop: canonical text of an address of 4 or 16 bytes. */
export function inetNtop(address: Uint8Array): string {
  const family = address.length === 4 ? addressFamily.inet : addressFamily.inet6;
  return raw.inetNtop(family, address, new Uint8Array(46), 46);
}

/** What a call returned, if it is not -1. @throws TsnetError "kernel" */
export function checked(call: string, result: number): number {
  if (result >= 0) return result;
  throw kernelError(call, koffi.errno());
}

/** Length arguments that the kernel writes into. */
const lengthOf = (buffer: Uint8Array): Uint32Array => Uint32Array.of(buffer.length);

/** man 2 socket. The flag SOCK_CLOEXEC is the caller's to give. */
export const socket = (domain: number, type: number, protocol: number): number =>
  checked("socket", raw.socket(domain, type, protocol));

/** man 2 bind, with the bytes of a struct sockaddr. */
export const bindBytes = (fd: number, address: Uint8Array): void => {
  checked("bind", raw.bind(fd, address, address.length));
};

/** man 2 listen. */
export const listen = (fd: number, backlog: number): void => {
  checked("listen", raw.listen(fd, backlog));
};

/** man 2 setsockopt. */
const setsockopt = (fd: number, level: number, name: number, value: Uint8Array): void => {
  checked("setsockopt", raw.setsockopt(fd, level, name, value, value.length));
};

/** setsockopt with an int. */
export const setsockoptInt = (fd: number, level: number, name: number, value: number): void =>
  setsockopt(fd, level, name, new Uint8Array(Int32Array.of(value).buffer));

/** man 2 send: how many bytes were taken. */
export const send = (fd: number, data: Uint8Array, flags = 0): number =>
  checked("send", raw.send(fd, data, data.length, flags));

/** man 2 recv: how many bytes were written to `buffer`; with MSG_TRUNC, how many there were. */
export const recv = (fd: number, buffer: Uint8Array, flags = 0): number =>
  checked("recv", raw.recv(fd, buffer, buffer.length, flags));

/** send on a thread of Node's pool, which it occupies meanwhile. */
export async function sendAsync(fd: number, data: Uint8Array): Promise<number> {
  const sent = await onPool((done) => raw.send.async(fd, data, data.length, 0, done));
  // the errno of another thread is out of reach: the second time says why
  return sent < 0 ? send(fd, data) : sent;
}

/**
 * recv on a thread of Node's pool, which it occupies until something comes.
 * @throws TsnetError "kernel", with errno EAGAIN for an error that the kernel tells of once
 */
export async function recvAsync(fd: number, buffer: Uint8Array, flags = 0): Promise<number> {
  const received = await onPool((done) => raw.recv.async(fd, buffer, buffer.length, flags, done));
  return received < 0 ? recv(fd, buffer, flags | msgDontwait) : received;
}

const onPool = (call: (done: (error: unknown, result: number) => void) => void): Promise<number> =>
  new Promise((resolve, reject) => call((error, result) => (error ? reject(error) : resolve(result))));

/** man 2 eventfd: a descriptor that becomes readable when 8 bytes other than 0 are written to it. */
export const eventfd = (flags: number): number => checked("eventfd", raw.eventfd(0, flags));

/** man 2 open, for what exists. @throws TsnetError whose message names the path */
export const open = (path: string, flags: number): number => checked(`open ${path}`, raw.open(path, flags));

/** man 2 read: how many bytes were written to `buffer`. */
export const read = (fd: number, buffer: Uint8Array): number => checked("read", raw.read(fd, buffer, buffer.length));

/** man 2 write: how many bytes were taken. */
export const write = (fd: number, data: Uint8Array): number => checked("write", raw.write(fd, data, data.length));

/** man 2 close. */
export const close = (fd: number): void => {
  checked("close", raw.close(fd));
};

/** close on a thread of Node's pool, for descriptors whose last close takes long. The descriptor is free in any case: man 2 close. */
export const closeAsync = async (fd: number): Promise<void> => {
  await onPool((done) => raw.close.async(fd, done));
};

/** F_GETFD, F_SETFD, FD_CLOEXEC of include/uapi/asm-generic/fcntl.h. */
const descriptorFlags = { get: 1, set: 2, closeOnExec: 1 } as const;

/** Whether a child process does not get a descriptor; also of one that is closed. */
export const isClosedOnExec = (fd: number): boolean =>
  (raw.fcntl(fd, descriptorFlags.get) & descriptorFlags.closeOnExec) !== 0;

/** From now on no child process gets the descriptor. */
export const setClosedOnExec = (fd: number): void => {
  checked("fcntl", raw.fcntl(fd, descriptorFlags.set, "int", descriptorFlags.closeOnExec));
};

/** man 2 setns: moves the calling thread, and only it, to a network namespace. */
export const setNetworkNamespace = (fd: number): void => {
  checked("setns", raw.setns(fd, cloneNewnet));
};

/**
 * man 2 poll: blocks the thread.
 * @param timeoutMs -1 waits for ever
 * @returns the bits that are set (revents) for each entry
 */
export function poll(entries: readonly PollEntry[], timeoutMs: number): number[] {
  const table = encodePoll(entries);
  checked("poll", raw.poll(table, entries.length, timeoutMs));
  return decodePoll(table);
}

/** poll on a thread of Node's pool, which it occupies until something happens; an interrupted call is begun again. */
export function pollAsync(entries: readonly PollEntry[], timeoutMs: number): Promise<number[]> {
  const table = encodePoll(entries);
  return new Promise((resolve, reject) => {
    const done = (error: unknown, result: number): void => {
      if (error) reject(error);
      else if (result >= 0) resolve(decodePoll(table));
      // the errno of another thread is out of reach; man 2 poll leaves EINTR, as the table and its count are sound
      else resolve(pollAsync(entries, timeoutMs));
    };
    raw.poll.async(table, entries.length, timeoutMs, done);
  });
}

function encodePoll(entries: readonly PollEntry[]): Uint8Array {
  const table = new Uint8Array(entries.length * pollfdBytes);
  const view = new DataView(table.buffer);
  for (const [n, { fd, events }] of entries.entries()) {
    view.setInt32(n * pollfdBytes, fd, true);
    view.setInt16(n * pollfdBytes + 4, events, true);
  }
  return table;
}

function decodePoll(table: Uint8Array): number[] {
  const view = new DataView(table.buffer);
  return Array.from({ length: table.length / pollfdBytes }, (_, n) => view.getInt16(n * pollfdBytes + 6, true));
}

/** getsockopt that also reads from `value`, as iptables' do. The kernel writes its answer into it. */
export const getsockoptInPlace = (fd: number, level: number, name: number, value: Uint8Array): void => {
  checked("getsockopt", raw.getsockopt(fd, level, name, value, lengthOf(value)));
};

/** man 2 memfd_create, with MFD_CLOEXEC: a file without a name, readable as /proc/self/fd/N. */
export const memfdCreate = (name: string): number => checked("memfd_create", raw.memfdCreate(name, 1));

/** man 2 unshare: a new network namespace for the calling thread, and only for it. */
export const unshareNetwork = (): void => {
  checked("unshare", raw.unshare(cloneNewnet));
};
