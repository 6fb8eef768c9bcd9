import { setImmediate } from "node:timers/promises";
import type { TableName } from "../plan/nft-script.ts";
import type {
  Observed,
  ObservedAddress,
  ObservedFirewall,
  ObservedForward,
  ObservedLink,
  ObservedRoutes,
} from "../plan/observed.ts";
import type { Op } from "../plan/op.ts";
import { Addresses } from "./addresses.ts";
import { apply, type Targets } from "./apply.ts";
import type { KernelChange } from "./change.ts";
import { Conntrack } from "./conntrack.ts";
import { LinkEvents } from "./events.ts";
import * as forward from "./forward.ts";
import { Hold } from "./hold.ts";
import { LanLinks } from "./lan-links.ts";
import { LegacyIptablesPoll } from "./legacy-poll.ts";
import { Links } from "./links.ts";
import { Rtnetlink } from "./netlink/rtnetlink.ts";
import { Nft } from "./nft.ts";
import { NftEvents } from "./nft-events.ts";
import { NftTable } from "./nft-table.ts";
import { observe, observeEphemeralPorts, observeReservedPorts, observeSandboxes } from "./observe.ts";
import { OwnLinks } from "./own-links.ts";
import { observeRouted } from "./routed.ts";
import { observeSandboxLinks } from "./sandbox-links.ts";
import type { AddressAnnouncement, AddressHolder, AddressProbe } from "./segment/requests.ts";
import type { Segments } from "./segment/segments.ts";
import { Watcher } from "./watcher.ts";

/** What the thread is started with. */
export interface KernelSettings {
  /** The mark bit, as in 0x01000000. */
  readonly mark: number;
  /** Who this is, in words for another tsnet on the same host. */
  readonly holder?: string;
}

/** What the kernel thread does for the main thread: see driver/kernel.ts, which says it in full. */
export class KernelCalls {
  readonly #rtnetlink = new Rtnetlink();
  readonly #own = new OwnLinks(this.#rtnetlink);
  readonly #nft = new Nft();
  readonly #table = new NftTable();
  readonly #conntrack = new Conntrack();
  readonly #targets: Targets = {
    own: this.#own,
    links: new Links(this.#own),
    lan: new LanLinks(this.#own),
    addresses: new Addresses(this.#own),
    ...{ nft: this.#nft, conntrack: this.#conntrack, forward },
  };
  /** Loaded when it is first asked for something: a host without networks on a parent does without its modules. */
  #segments: Promise<Segments> | undefined;
  readonly #linkEvents = new LinkEvents();
  readonly #hold: Hold;
  readonly #watcher: Watcher;

  /**
   * Opens all sockets. What fails leaves the rest open: the thread, and then the process, is to end.
   * @throws TsnetError
   */
  constructor({ mark, holder }: KernelSettings, onChanges: (changes: readonly KernelChange[]) => void) {
    this.#hold = new Hold(mark, holder);
    const sources = { links: this.#linkEvents, nft: new NftEvents(), legacy: new LegacyIptablesPoll() };
    sources.nft.ignore(this.#nft.portId);
    sources.links.ignore(this.#rtnetlink.portId);
    sources.links.know(this.#rtnetlink.listLinks());
    this.#watcher = new Watcher(sources, (changes) => {
      if (changes.some(({ what }) => what === "everything")) this.#linkEvents.know(this.#rtnetlink.listLinks());
      const isLinks = changes.some(({ what }) => what === "link" || what === "everything");
      if (isLinks) void this.#segments?.then((segments) => segments.lookAgain());
      onChanges(changes);
    });
  }

  apply(ops: readonly Op[]): Promise<void> {
    return apply(ops, this.#targets);
  }

  observe(routes: ObservedRoutes): Observed {
    return observe(this.#rtnetlink, routes);
  }

  observeRouted(): string {
    return observeRouted(this.#rtnetlink);
  }

  observeAddresses(): ObservedAddress[] {
    return this.#rtnetlink.listAddresses();
  }

  observeLink(name: string): ObservedLink | undefined {
    return this.#rtnetlink.getLink({ name });
  }

  observeFirewall(table: TableName): ObservedFirewall | undefined {
    return this.#table.observe(table);
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

  follow(names: readonly string[]): void {
    this.#linkEvents.follow(names);
    this.#linkEvents.know(this.#rtnetlink.listLinks());
  }

  /** In turns, since each namespace takes a socket of its own. */
  async observeSandboxLinks(paths: readonly string[]): Promise<(ObservedLink[] | null)[]> {
    const found: (ObservedLink[] | null)[] = [];
    for (const path of paths) {
      found.push(observeSandboxLinks(path));
      await setImmediate();
    }
    return found;
  }

  flushRemovedLinks(): void {
    this.#own.flush();
  }

  async probeAddresses(probe: AddressProbe): Promise<readonly AddressHolder[]> {
    return (await this.#openSegments()).probe(probe);
  }

  async announceAddresses(announcement: AddressAnnouncement): Promise<boolean> {
    return (await this.#openSegments()).announce(announcement);
  }

  /** Ends calls that wait for others. */
  stop(): void {
    void this.#segments?.then((segments) => segments.stop());
  }

  /** Closes all sockets, and with them the table tsnet-hold goes. */
  async close(): Promise<void> {
    await this.#watcher.close();
    await (await this.#segments)?.close();
    this.#hold.close();
    this.#nft.close();
    this.#table.close();
    this.#conntrack.close();
    this.#rtnetlink.close();
  }

  #openSegments(): Promise<Segments> {
    this.#segments ??= import("./segment/segments.ts").then(({ Segments }) => new Segments(this.#rtnetlink));
    return this.#segments;
  }
}
