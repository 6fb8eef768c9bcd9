/** Blocking TCP sockets of the C library: programs that use them spend their time in the kernel. */
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int domain, int type, int protocol)");
const setsockopt = libc.func("int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)");
const bind = libc.func("int bind(int fd, const uint8_t *address, uint32_t length)");
const listen = libc.func("int listen(int fd, int backlog)");
const accept = libc.func("int accept(int fd, void *address, void *length)");
const connect = libc.func("int connect(int fd, const uint8_t *address, uint32_t length)");

/** `close(fd)`; `send` and `recv` as in send(2) and recv(2), with a Uint8Array. */
export const close = libc.func("int close(int fd)");
export const send = libc.func("intptr_t send(int fd, const uint8_t *bytes, size_t length, int flags)");
export const recv = libc.func("intptr_t recv(int fd, uint8_t *bytes, size_t length, int flags)");

/** AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, SO_LINGER; struct linger { on, seconds }. */
const inet = 2;
const stream = 1;
const socketLevel = 1;
const reuseAddress = 2;
const lingerOption = 13;
const resetOnClose = new Uint8Array(new Int32Array([1, 0]).buffer);

const checked = (result, what) => {
  if (result < 0) throw new Error(`${what}: errno ${koffi.errno()}`);
  return result;
};

const sockaddr = (address, port) =>
  Uint8Array.of(inet, 0, port >> 8, port & 255, ...address.split(".").map(Number), 0, 0, 0, 0, 0, 0, 0, 0);

/** Hands each connection to `handle`, one after another, for ever; a line on standard output says that it listens. */
export function serveEach(port, handle) {
  const fd = checked(socket(inet, stream, 0), "socket");
  setsockopt(fd, socketLevel, reuseAddress, new Uint8Array(new Int32Array([1]).buffer), 4);
  checked(bind(fd, sockaddr("0.0.0.0", port), 16), "bind");
  checked(listen(fd, 4096), "listen");
  console.log("listening");
  for (;;) {
    const connection = accept(fd, null, null);
    if (connection >= 0) handle(connection);
  }
}

/** @returns a connection that is reset when it is closed */
export function connected(address, port) {
  const fd = checked(socket(inet, stream, 0), "socket");
  setsockopt(fd, socketLevel, lingerOption, resetOnClose, 8);
  checked(connect(fd, sockaddr(address, port), 16), `connect to ${address} port ${port}`);
  return fd;
}
