import { closeAsync } from "../libc.ts";

/**
 * Closes packet sockets one after another, aside: each close waits until no CPU is at a packet for it any more (packet_release() in
 * net/packet/af_packet.c), which takes 10 ms and more, and would keep this thread.
 */
export class Closer {
  #last: Promise<void> = Promise.resolve();

  /** The descriptor must not be used any more. */
  close(fd: number): void {
    this.#last = this.#last.then(() => closeAsync(fd));
  }

  /** Resolves when all are closed. */
  closed(): Promise<void> {
    return this.#last;
  }
}
