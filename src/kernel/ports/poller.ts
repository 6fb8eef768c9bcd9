import { setImmediate as nextTurn } from "node:timers/promises";
import { close, eventfd, pollAsync, pollIn, write } from "../libc.ts";
import { Epoll } from "../libc-sockets.ts";

/** EFD_CLOEXEC | EFD_NONBLOCK of the C library's sys/eventfd.h. */
const eventfdFlags = 0x80800;

/** How long a thread of Node's pool may go on waiting after this thread has died, which the end of the process waits for. */
const beatMs = 250;

/** Calls back when descriptors are ready, on this thread, which it never blocks. */
export class Poller {
  readonly #epoll = new Epoll<() => void>();
  readonly #wake = eventfd(eventfdFlags);
  #isClosed = false;
  /** Ends when there is nothing to wait for any more. */
  #loop: Promise<void> | undefined;

  /**
   * Calls back again and again, as long as the descriptor is ready. What `onReady` throws ends the thread.
   * @param events epollEvents
   * @returns the ID to remove it by
   */
  add(fd: number, events: number, onReady: () => void): number {
    const id = this.#epoll.add(fd, events, onReady);
    this.#loop ??= this.#run();
    return id;
  }

  /** To be called before the descriptor is closed. */
  remove(fd: number, id: number): void {
    this.#epoll.remove(fd, id);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    write(this.#wake, new Uint8Array(BigUint64Array.of(1n).buffer));
    await this.#loop;
    close(this.#wake);
    close(this.#epoll.fd);
  }

  async #run(): Promise<void> {
    const entries = [this.#epoll.fd, this.#wake].map((fd) => ({ fd, events: pollIn }));
    await nextTurn();
    while (!this.#isClosed && this.#epoll.size > 0) {
      const ready = this.#epoll.ready();
      for (const id of ready) this.#epoll.get(id)?.();
      // under load a thread of the pool is not asked at all
      if (ready.length > 0) await nextTurn();
      else await pollAsync(entries, beatMs);
    }
    this.#loop = undefined;
  }
}
