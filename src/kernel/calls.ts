import type { Observed, ObservedFirewall, ObservedForward, ObservedLink, ObservedRoutes } from "../plan/observed.ts";
import type { Op } from "../plan/op.ts";
import { apply } from "./apply.ts";
import type { KernelChange } from "./change.ts";
import { Conntrack } from "./conntrack.ts";
import { LinkEvents } from "./events.ts";
import * as forward from "./forward.ts";
import { Hold } from "./hold.ts";
import { LegacyIptablesPoll } from "./legacy-poll.ts";
import { Links } from "./links.ts";
import { Rtnetlink } from "./netlink/rtnetlink.ts";
import { Nft } from "./nft.ts";
import { NftEvents } from "./nft-events.ts";
import { NftTable } from "./nft-table.ts";
import { observe, observeEphemeralPorts, observeReservedPorts, observeSandboxes } from "./observe.ts";
import { observeRouted } from "./routed.ts";
import { Watcher } from "./watcher.ts";

/** What the thread is started with. */
export interface KernelSettings {
  /** The mark bit, as in 0x01000000. */
  readonly mark: number;
}

/** What the kernel thread does for the main thread: see driver/kernel.ts, which says it in full. */
export class KernelCalls {
  readonly #rtnetlink = new Rtnetlink();
  readonly #links = new Links(this.#rtnetlink);
  readonly #nft = new Nft();
  readonly #table = new NftTable();
  readonly #conntrack = new Conntrack();
  readonly #hold: Hold;
  readonly #watcher: Watcher;

  /**
   * Opens all sockets. What fails leaves the rest open: the thread, and then the process, is to end.
   * @throws TsnetError
   */
  constructor({ mark }: KernelSettings, onChanges: (changes: readonly KernelChange[]) => void) {
    this.#hold = new Hold(mark);
    const sources = { links: new LinkEvents(), nft: new NftEvents(), legacy: new LegacyIptablesPoll() };
    sources.nft.ignore(this.#nft.portId);
    sources.links.know(this.#rtnetlink.listLinks());
    this.#watcher = new Watcher(sources, onChanges);
  }

  apply(ops: readonly Op[]): Promise<void> {
    return apply(ops, { links: this.#links, nft: this.#nft, conntrack: this.#conntrack, forward });
  }

  observe(routes: ObservedRoutes): Observed {
    return observe(this.#rtnetlink, routes);
  }

  observeRouted(): string {
    return observeRouted(this.#rtnetlink);
  }

  observeLink(name: string): ObservedLink | undefined {
    return this.#rtnetlink.getLink({ name });
  }

  observeFirewall(): ObservedFirewall | undefined {
    return this.#table.observe();
  }

  observeForward(): Promise<ObservedForward> {
    return forward.observeForward();
  }

  observeEphemeralPorts(): { readonly first: number; readonly last: number } {
    return observeEphemeralPorts();
  }

  observeReservedPorts(): { readonly first: number; readonly last: number }[] {
    return observeReservedPorts();
  }

  observeSandboxes(paths: readonly string[]): string[] {
    return observeSandboxes(paths);
  }

  flushRemovedLinks(): void {
    this.#links.flushRemoved();
  }

  /** Closes all sockets, and with them the table tsnet-hold goes. */
  async close(): Promise<void> {
    await this.#watcher.close();
    this.#hold.close();
    this.#nft.close();
    this.#table.close();
    this.#conntrack.close();
    this.#rtnetlink.close();
  }
}
