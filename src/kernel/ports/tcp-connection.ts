import { Socket } from "node:net";
import { close } from "../libc.ts";
import { epollEvents, setReset, socketError } from "../libc-sockets.ts";
import type { Poller } from "./poller.ts";

/** The descriptors of a connection, which it owns, and what else it needs. */
export interface ConnectionOptions {
  readonly client: number;
  /** It is still being connected. */
  readonly target: number;
  readonly poller: Poller;
  readonly connectTimeoutMs: number;
  /** Called once, when both ends are closed. */
  readonly onClose: (connection: TcpConnection) => void;
}

/**
 * A client's connection, passed on. Until the target has answered, both ends are mere descriptors; then they are streams, and each
 * one's end (FIN) is passed on by itself. If one end breaks, the other is reset, so that nobody takes half an answer for a whole one.
 */
export class TcpConnection {
  readonly #options: ConnectionOptions;
  #connecting: { readonly id: number; readonly timer: NodeJS.Timeout } | undefined;
  #client: Socket | undefined;
  #target: Socket | undefined;
  /** Ends that are open. */
  #open = 2;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const id = options.poller.add(options.target, epollEvents.out, () => this.#connected());
    this.#connecting = { id, timer: setTimeout(() => this.abort(), options.connectTimeoutMs) };
  }

  /** Payload of both directions so far. */
  get bytes(): number {
    return (this.#client?.bytesRead ?? 0) + (this.#target?.bytesRead ?? 0);
  }

  /** Resets both ends at once: their ports are free when it returns. */
  abort(): void {
    const { client, target, onClose } = this.#options;
    if (this.#connecting) {
      this.#stopConnecting();
      for (const fd of [client, target]) {
        setReset(fd);
        close(fd);
      }
      onClose(this);
    } else {
      if (this.#client) reset(this.#client, client);
      if (this.#target) reset(this.#target, target);
    }
  }

  #connected(): void {
    if (socketError(this.#options.target) !== 0) {
      this.abort();
      return;
    }
    this.#stopConnecting();
    const { client, target } = this.#options;
    this.#client = streamOf(client);
    this.#target = streamOf(target);
    this.#pass(this.#client, this.#target, target);
    this.#pass(this.#target, this.#client, client);
  }

  #stopConnecting(): void {
    if (!this.#connecting) return;
    clearTimeout(this.#connecting.timer);
    this.#options.poller.remove(this.#options.target, this.#connecting.id);
    this.#connecting = undefined;
  }

  /** @param fd the descriptor of `to` */
  #pass(from: Socket, to: Socket, fd: number): void {
    from.pipe(to);
    from.on("error", () => {}); // it closes, too
    from.on("close", () => {
      if (!(from.readableEnded && from.writableFinished)) reset(to, fd);
      if (--this.#open === 0) this.#options.onClose(this);
    });
  }
}

const streamOf = (fd: number): Socket => new Socket({ fd, allowHalfOpen: true, readable: true, writable: true });

/** @param fd the stream's: it is closed at once when the stream is destroyed, and may then be another's */
function reset(stream: Socket, fd: number): void {
  if (stream.destroyed) return;
  setReset(fd);
  stream.destroy();
}
