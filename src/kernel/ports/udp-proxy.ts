import { close } from "../libc.ts";
import { decodeSocketAddress, EAGAIN, epollEvents } from "../libc-sockets.ts";
import { connectTo } from "./connect.ts";
import { Datagrams, type Peer } from "./datagrams.ts";
import type { Poller } from "./poller.ts";
import type { Destination, ProxiedPort } from "./proxied-port.ts";

/** The most datagrams that one socket's turn takes, so that others have theirs. */
const datagramsPerTurn = 64;

export interface UdpOptions {
  readonly poller: Poller;
  /** How long a client without a datagram in either direction is remembered. */
  readonly idleMs: number;
  /** Of one port, and of all together. The one that was idle longest gives way to a new one. */
  readonly maxClientsPerPort: number;
  readonly maxClients: number;
}

/** Receives datagrams at any number of ports, and passes them and the answers on: each client has a socket of its own. */
export class UdpProxy {
  readonly #options: UdpOptions;
  readonly #datagrams = new Datagrams();
  /** The one that was idle longest comes first. */
  readonly #clients = new Set<UdpClient>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: UdpOptions) {
    this.#options = options;
  }

  /** @param fd a socket with packet information that does not block; it is closed with the port */
  open(fd: number, destination: Destination): ProxiedPort {
    const { poller } = this.#options;
    const port = new UdpPort(fd, destination, () => {
      poller.remove(fd, id);
      for (const client of port.clients.values()) this.#forget(client);
    });
    const id = poller.add(fd, epollEvents.in, () => this.#receive(port));
    return port;
  }

  /** The ports are to be closed before. */
  close(): void {
    clearTimeout(this.#timer);
    this.#datagrams.close();
  }

  #receive(port: UdpPort): void {
    for (let count = 0; count < datagramsPerTurn; count++) {
      const length = this.#datagrams.receive(port.fd);
      if (length < 0) return; // nothing there, or an error of an earlier answer
      if (port.destination.sources.admit(decodeSocketAddress(this.#datagrams.sender), () => this.#datagrams.asked))
        this.#pass(port, length);
    }
  }

  /** Passes on what was received. */
  #pass(port: UdpPort, length: number): void {
    const client = port.clients.get(this.#datagrams.key) ?? this.#open(port);
    if (!client) return;
    this.#use(client);
    if (this.#datagrams.sendConnected(client.fd, length) > 0) port.bytes += length;
  }

  /** undefined if the sender of what was received cannot be served, for want of descriptors or of a route. */
  #open(port: UdpPort): UdpClient | undefined {
    const { peer } = this.#datagrams;
    if (peer === undefined) return undefined;
    this.#makeRoom(port);
    const fd = connectTo(port.destination.target, "udp");
    if (fd === undefined) return undefined;
    const id = this.#options.poller.add(fd, epollEvents.in, () => this.#answer(client));
    const client: UdpClient = { fd, id, peer, port, usedAt: Number.NEGATIVE_INFINITY };
    port.clients.set(peer.key, client);
    port.connections++;
    return client;
  }

  #makeRoom({ clients }: UdpPort): void {
    const { maxClientsPerPort, maxClients } = this.#options;
    const isFull = this.#clients.size >= maxClients;
    const [idlest] = clients.size >= maxClientsPerPort ? clients.values() : isFull ? this.#clients : [];
    if (idlest) this.#forget(idlest);
  }

  #answer(client: UdpClient): void {
    for (let count = 0; count < datagramsPerTurn; count++) {
      const length = this.#datagrams.receiveConnected(client.fd);
      if (length === -EAGAIN) return;
      if (length < 0) continue; // nobody has listened to what was sent before
      this.#use(client);
      this.#datagrams.send(client.port.fd, length, client.peer);
      client.port.bytes += length;
    }
  }

  /** Puts off the client's end; the order is exact to a hundredth of the time. */
  #use(client: UdpClient): void {
    const now = performance.now();
    const { idleMs } = this.#options;
    if (now - client.usedAt < idleMs / 100) return;
    client.usedAt = now;
    const { clients } = client.port;
    clients.delete(client.peer.key);
    clients.set(client.peer.key, client);
    this.#clients.delete(client);
    this.#clients.add(client);
    this.#timer ??= setTimeout(() => this.#expire(), idleMs);
  }

  /** Forgets who was idle for too long, and comes again when the next one may be. */
  #expire(): void {
    const end = performance.now() - this.#options.idleMs;
    this.#timer = undefined;
    for (const client of this.#clients) {
      if (client.usedAt > end) {
        this.#timer = setTimeout(() => this.#expire(), client.usedAt - end);
        return;
      }
      this.#forget(client);
    }
  }

  #forget(client: UdpClient): void {
    this.#options.poller.remove(client.fd, client.id);
    close(client.fd);
    this.#clients.delete(client);
    client.port.clients.delete(client.peer.key);
  }
}

/** Who has sent something, and the socket that stands for it at the target. */
interface UdpClient {
  readonly fd: number;
  /** The poller's. */
  readonly id: number;
  readonly peer: Peer;
  readonly port: UdpPort;
  /** Milliseconds of performance.now. */
  usedAt: number;
}

/** One port's socket and its clients. */
class UdpPort implements ProxiedPort {
  readonly fd: number;
  readonly destination: Destination;
  /** By the key of the peer; the one that was idle longest comes first. */
  readonly clients = new Map<string, UdpClient>();
  connections = 0;
  bytes = 0;
  readonly #end: () => void;

  /** @param end ends what was received at it */
  constructor(fd: number, destination: Destination, end: () => void) {
    this.fd = fd;
    this.destination = destination;
    this.#end = end;
  }

  close(): void {
    this.#end();
    close(this.fd);
  }
}
