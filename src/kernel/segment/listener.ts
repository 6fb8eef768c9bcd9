import { epollEvents } from "../libc-sockets.ts";
import type { Poller } from "../ports/poller.ts";
import type { Closer } from "./closer.ts";
import { framesAtOnce } from "./constants.ts";
import { PacketSocket } from "./packet-socket.ts";
import type { SegmentProtocol, Statement } from "./protocol.ts";

/** What is listened for. */
export interface Interest {
  readonly addresses: readonly Uint8Array[];
  /** Indexes of links. */
  readonly links: readonly number[];
}

/** What a listener needs, and whom it tells. */
interface ListenerOptions {
  readonly protocol: SegmentProtocol;
  readonly poller: Poller;
  readonly closer: Closer;
  readonly onStatement: (statement: Statement, link: number) => void;
}

/**
 * One packet socket for all that is listened for by one protocol, for as long as something is. One for each link would be simpler,
 * but to close one takes 12 ms: see Closer.
 */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #interests = new Set<Interest>();
  #open: { readonly socket: PacketSocket; readonly pollId: number } | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Listens, until `remove`, also if this throws. */
  add(interest: Interest): void {
    this.#interests.add(interest);
    const { protocol } = this.#options;
    const socket = this.#open?.socket ?? this.#start();
    socket.filter(protocol.filterFor([...this.#interests].flatMap(({ addresses }) => addresses)));
    forEachGroup(protocol, interest, (link, mac) => socket.join(link, mac));
  }

  remove(interest: Interest): void {
    if (!this.#interests.delete(interest)) return;
    const { protocol, poller, closer } = this.#options;
    if (this.#interests.size > 0) {
      forEachGroup(protocol, interest, (link, mac) => this.#open?.socket.leave(link, mac));
    } else if (this.#open) {
      const { socket, pollId } = this.#open;
      this.#open = undefined;
      poller.remove(socket.fd, pollId);
      closer.close(socket.fd);
    }
  }

  /** @throws TsnetError "kernel" */
  send(frame: Buffer, link: number): void {
    this.#open?.socket.send(frame, link);
  }

  /** Tells what has come since; of a flood, the first part. */
  read(): void {
    for (let n = 0; n < framesAtOnce; n++) {
      const received = this.#open?.socket.receive();
      if (!received) return;
      for (const statement of this.#options.protocol.decode(received.frame)) {
        this.#options.onStatement(statement, received.link);
      }
    }
  }

  #start(): PacketSocket {
    const { protocol, poller, closer } = this.#options;
    const socket = new PacketSocket();
    try {
      socket.filter(protocol.filterFor([]));
      socket.listen(protocol.etherType);
      this.#open = { socket, pollId: poller.add(socket.fd, epollEvents.in, () => this.read()) };
      return socket;
    } catch (error) {
      closer.close(socket.fd);
      throw error;
    }
  }
}

function forEachGroup(
  protocol: SegmentProtocol,
  { addresses, links }: Interest,
  work: (link: number, mac: Uint8Array) => void,
): void {
  for (const mac of addresses.flatMap((address) => protocol.groupsOf(address)))
    for (const link of links) work(link, mac);
}
