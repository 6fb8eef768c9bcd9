import type { Rtnetlink } from "../netlink/rtnetlink.ts";
import { Poller } from "../ports/poller.ts";
import { Announcer } from "./announcer.ts";
import { Closer } from "./closer.ts";
import { Prober } from "./prober.ts";
import type { AddressAnnouncement, AddressHolder, AddressProbe } from "./requests.ts";

/** Talks to the neighbors on segments, for all probes and announcements together, and never blocks this thread. */
export class Segments {
  readonly #poller = new Poller();
  readonly #closer = new Closer();
  readonly #announcer = new Announcer({ poller: this.#poller, closer: this.#closer });
  readonly #prober: Prober;

  constructor(rtnetlink: Rtnetlink) {
    this.#prober = new Prober({ rtnetlink, poller: this.#poller, closer: this.#closer });
  }

  probe(probe: AddressProbe): Promise<readonly AddressHolder[]> {
    return this.#prober.probe(probe);
  }

  announce(announcement: AddressAnnouncement): Promise<boolean> {
    return this.#announcer.announce(announcement);
  }

  /** To be called when links have left the host's namespace. */
  lookAgain(): void {
    this.#announcer.lookAgain();
  }

  /** Ends what is under way: probes fail, announcements are not made. */
  stop(): void {
    this.#prober.stop();
    this.#announcer.stop();
  }

  /** To be called when all that was under way has ended. */
  async close(): Promise<void> {
    await this.#poller.close();
    await this.#closer.closed();
  }
}
