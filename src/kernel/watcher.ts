import { setTimeout as delay } from "node:timers/promises";
import { explain } from "../errors.ts";
import type { KernelChange } from "./change.ts";
import type { LinkEvents } from "./events.ts";
import type { LegacyIptablesPoll } from "./legacy-poll.ts";
import { close, eventfd, pollAsync, pollIn, write } from "./libc.ts";
import type { Namespaces } from "./namespaces.ts";
import type { NftEvents } from "./nft-events.ts";

/** EFD_CLOEXEC | EFD_NONBLOCK of the C library's sys/eventfd.h. */
const eventfdFlags = 0x80800;

/**
 * How often iptables-legacy is looked at. It is also how long a thread of Node's pool may go on waiting after this thread has
 * died, which the end of the process waits for.
 */
const beatMs = 250;

/**
 * One change of ours or of dockerd's makes a dozen messages over some milliseconds. They are read together, when the call that
 * causes them is over, and of each link only the last state is told.
 */
const gatherMs = 25;

/** Where changes are learned from. */
export interface Sources {
  readonly links: LinkEvents;
  readonly namespaces: Namespaces;
  readonly nft: NftEvents;
  readonly legacy: LegacyIptablesPoll;
}

/** Waits for events without blocking this thread, and passes them on in batches. */
export class Watcher {
  readonly #sources: Sources;
  readonly #wake = eventfd(eventfdFlags);
  readonly #done: Promise<void>;
  #isClosed = false;

  /** Takes over the sources: they are closed with it. */
  constructor(sources: Sources, onChanges: (changes: readonly KernelChange[]) => void) {
    this.#sources = sources;
    this.#done = this.#run(onChanges);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    write(this.#wake, new Uint8Array(BigUint64Array.of(1n).buffer));
    await this.#done;
    close(this.#wake);
    for (const source of Object.values(this.#sources)) source.close();
  }

  async #run(onChanges: (changes: readonly KernelChange[]) => void): Promise<void> {
    const { links, namespaces, nft } = this.#sources;
    const entries = [links.fd, namespaces.fd, nft.fd, this.#wake].map((fd) => ({ fd, events: pollIn }));
    while (!this.#isClosed) {
      const [linkEvents = 0, innerEvents = 0, nftEvents = 0] = await pollAsync(entries, beatMs);
      if (linkEvents || innerEvents || nftEvents) await delay(gatherMs);
      if (this.#isClosed) return;
      const changes = [
        ...(linkEvents ? guarded(() => links.read()) : []),
        ...(innerEvents ? guarded(() => namespaces.read()) : []),
        ...guarded(() => this.#firewallChanges(nftEvents !== 0)),
      ];
      if (changes.length > 0) onChanges(changes);
      // what fails again and again is not to keep everybody busy
      if (changes.some((change) => "error" in change)) await delay(beatMs);
    }
  }

  #firewallChanges(isReadable: boolean): KernelChange[] {
    const nft = isReadable ? this.#sources.nft.read() : { everything: false, firewall: false, forward: false };
    if (nft.everything) return [{ what: "everything" }];
    const forward = this.#sources.legacy.changed() || nft.forward;
    return [
      ...(nft.firewall ? [{ what: "firewall" } as const] : []),
      ...(forward ? [{ what: "forward" } as const] : []),
    ];
  }
}

/** Who cannot be read may have told of anything; the others go on. */
function guarded(read: () => KernelChange[]): KernelChange[] {
  try {
    return read();
  } catch (error) {
    return [{ what: "everything", error: explain(error) }];
  }
}
