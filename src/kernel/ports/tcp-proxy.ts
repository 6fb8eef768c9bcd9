import { close } from "../libc.ts";
import {
  addressBytes,
  decodeSocketAddress,
  EAGAIN,
  Epoll,
  epollEvents,
  getsockname,
  setReset,
  socketType,
  tryAccept,
} from "../libc-sockets.ts";
import { connectTo } from "./connect.ts";
import type { Poller } from "./poller.ts";
import type { Destination, ProxiedPort } from "./proxied-port.ts";
import { TcpConnection } from "./tcp-connection.ts";

/** The most connections that one port's turn takes, so that others have theirs. */
const acceptsPerTurn = 32;

/** How long nothing is accepted after the kernel has refused to, for want of descriptors or memory. */
const pauseMs = 100;

const acceptFlags = socketType.nonblock | socketType.cloexec;

export interface TcpOptions {
  readonly poller: Poller;
  readonly connectTimeoutMs: number;
  /** Of all ports together. Who comes beyond it waits in the kernel's queue. */
  readonly maxConnections: number;
}

/** Accepts connections at any number of ports, and passes them on. */
export class TcpProxy {
  readonly #options: TcpOptions;
  /** All listeners are one descriptor to the poller, so that they pause together. */
  readonly #listeners = new Epoll<TcpPort>();
  readonly #peer = new Uint8Array(addressBytes);
  /** The poller's ID; undefined while nothing is accepted. */
  #accepting: number | undefined;
  #connections = 0;
  #isClosed = false;

  constructor(options: TcpOptions) {
    this.#options = options;
  }

  /** @param fd a socket that listens and does not block; it is closed with the port */
  open(fd: number, destination: Destination): ProxiedPort {
    const port = new TcpPort(fd, destination, () => {
      this.#listeners.remove(fd, id);
      if (this.#listeners.size === 0) this.#pause();
    });
    const id = this.#listeners.add(fd, epollEvents.in, port);
    this.#resume();
    return port;
  }

  /** The ports are to be closed before. */
  close(): void {
    this.#isClosed = true;
    this.#pause();
    close(this.#listeners.fd);
  }

  #pause(): void {
    if (this.#accepting !== undefined) this.#options.poller.remove(this.#listeners.fd, this.#accepting);
    this.#accepting = undefined;
  }

  /** Does nothing while there is nothing to accept, or no room for it. */
  #resume(): void {
    if (this.#accepting !== undefined || this.#isClosed || this.#listeners.size === 0) return;
    if (this.#connections >= this.#options.maxConnections) return;
    this.#accepting = this.#options.poller.add(this.#listeners.fd, epollEvents.in, () => this.#accept());
  }

  #accept(): void {
    for (const id of this.#listeners.ready()) {
      for (let count = 0; count < acceptsPerTurn; count++) {
        const port = this.#listeners.get(id);
        if (!port || this.#accepting === undefined || !this.#acceptOne(port)) break;
      }
    }
  }

  /** Whether there may be more. */
  #acceptOne(port: TcpPort): boolean {
    const client = tryAccept(port.fd, this.#peer, acceptFlags);
    if (client >= 0) {
      this.#pass(port, client);
      return true;
    }
    if (client !== -EAGAIN) {
      this.#pause();
      setTimeout(() => this.#resume(), pauseMs);
    }
    return false;
  }

  #pass(port: TcpPort, client: number): void {
    const { sources, target: address } = port.destination;
    const local = (): Uint8Array => decodeSocketAddress(getsockname(client));
    const target = sources.admit(decodeSocketAddress(this.#peer), local) ? connectTo(address, "tcp") : undefined;
    if (target === undefined) {
      setReset(client);
      close(client);
      return;
    }
    const { poller, connectTimeoutMs } = this.#options;
    const onClose = (connection: TcpConnection): void => {
      port.closed(connection);
      this.#connections--;
      this.#resume();
    };
    port.opened(new TcpConnection({ client, target, poller, connectTimeoutMs, onClose }));
    if (++this.#connections >= this.#options.maxConnections) this.#pause();
  }
}

/** One port's listener and its connections. */
class TcpPort implements ProxiedPort {
  readonly fd: number;
  readonly destination: Destination;
  readonly #stopListening: () => void;
  readonly #open = new Set<TcpConnection>();
  #connections = 0;
  /** Of connections that are closed. */
  #bytes = 0;

  constructor(fd: number, destination: Destination, stopListening: () => void) {
    this.fd = fd;
    this.destination = destination;
    this.#stopListening = stopListening;
  }

  get connections(): number {
    return this.#connections;
  }

  get bytes(): number {
    return [...this.#open].reduce((sum, { bytes }) => sum + bytes, this.#bytes);
  }

  opened(connection: TcpConnection): void {
    this.#connections++;
    this.#open.add(connection);
  }

  closed(connection: TcpConnection): void {
    this.#bytes += connection.bytes;
    this.#open.delete(connection);
  }

  close(): void {
    this.#stopListening();
    close(this.fd);
    for (const connection of this.#open) connection.abort();
  }
}
