import { setImmediate } from "node:timers/promises";
import type { FactsAnswering, FactsAsking } from "../plan/facts-message.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import type { NameAnswer, NameQuestions } from "../plan/name-questions.ts";
import type { TableName } from "../plan/nft-script.ts";
import type {
  Observed,
  ObservedAddress,
  ObservedFirewall,
  ObservedForward,
  ObservedLink,
  ObservedNamespace,
  ObservedPath,
  ObservedRoutes,
} from "../plan/observed.ts";
import type { Op, SetSysctl } from "../plan/op.ts";
import type { PathAnswer, PathProbes } from "../plan/path-probe.ts";
import { Addresses } from "./addresses.ts";
import { apply, type Targets } from "./apply.ts";
import { Askers } from "./askers.ts";
import type { KernelChange } from "./change.ts";
import { Conntrack } from "./conntrack.ts";
import { DirectRoutes } from "./direct/direct-routes.ts";
import type { WayProbe } from "./direct/way-prober.ts";
import { LinkEvents } from "./events.ts";
import * as forward from "./forward.ts";
import { isVniFree, type VniQuestion } from "./free-vni.ts";
import { Hold } from "./hold.ts";
import { LanLinks } from "./lan-links.ts";
import { LegacyIptablesPoll } from "./legacy-poll.ts";
import { Links } from "./links.ts";
import { Namespaces } from "./namespaces.ts";
import { Rtnetlink } from "./netlink/rtnetlink.ts";
import { Nft } from "./nft.ts";
import { NftEvents } from "./nft-events.ts";
import { NftTable } from "./nft-table.ts";
import { observe, observeEphemeralPorts, observeReservedPorts, observeSandboxes } from "./observe.ts";
import * as overlay from "./observe-overlay.ts";
import { OverlayLinks } from "./overlay-links.ts";
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
  /** Where network namespaces are pinned: "/run/netns". */
  readonly namespaceDir?: string;
}

/** What the kernel thread does for the main thread: see driver/kernel.ts, which says it in full. */
export class KernelCalls {
  readonly #rtnetlink = new Rtnetlink();
  readonly #own = new OwnLinks(this.#rtnetlink);
  readonly #nft = new Nft();
  readonly #table = new NftTable();
  readonly #conntrack = new Conntrack();
  readonly #namespaces: Namespaces;
  readonly #direct = new DirectRoutes(this.#rtnetlink);
  readonly #targets: Targets;
  /** Loaded when it is first asked for something: a host without networks on a parent does without its modules. */
  #segments: Promise<Segments> | undefined;
  readonly #askers = new Askers((namespace) => this.#namespaces.pathOf(namespace));
  readonly #linkEvents = new LinkEvents(this.#rtnetlink);
  readonly #hold: Hold;
  readonly #watcher: Watcher;

  /**
   * Opens all sockets. What fails leaves the rest open: the thread, and then the process, is to end.
   * @throws TsnetError
   */
  constructor(
    { mark, holder, namespaceDir = "/run/netns" }: KernelSettings,
    onChanges: (changes: readonly KernelChange[]) => void,
  ) {
    const own = this.#own;
    this.#namespaces = new Namespaces(namespaceDir);
    this.#targets = {
      ...{ own, links: new Links(own), lan: new LanLinks(own), addresses: new Addresses(own) },
      ...{ namespaces: this.#namespaces, overlay: new OverlayLinks(own, this.#namespaces), direct: this.#direct },
      ...{ nft: this.#nft, conntrack: this.#conntrack, forward },
    };
    this.#hold = new Hold(mark, holder);
    const sources = {
      ...{ links: this.#linkEvents, namespaces: this.#namespaces },
      ...{ nft: new NftEvents(), legacy: new LegacyIptablesPoll() },
    };
    sources.nft.ignore(this.#nft.portId);
    for (const { portId } of [this.#rtnetlink, this.#direct]) sources.links.ignore(portId);
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
    for (const inside of this.#namespaces.opened()) inside.flush();
  }

  observePath(address: string): ObservedPath | undefined {
    return overlay.observePath(this.#rtnetlink, address);
  }

  isVniFree(question: VniQuestion): boolean {
    return isVniFree(this.#rtnetlink, question);
  }

  observeNamespaces(): string[] {
    return this.#namespaces.list();
  }

  observeNamespace(name: string): ObservedNamespace | null {
    return overlay.observeNamespace(this.#namespaces, name);
  }

  repairEntries(name: string, isComplete: boolean): Promise<readonly string[]> {
    return overlay.repairEntries(this.#namespaces, name, isComplete);
  }

  observeSysctls(name: string, keys: readonly SetSysctl["key"][]): readonly (string | null)[] {
    return overlay.observeSysctls(this.#namespaces, name, keys);
  }

  repairTable(name: string): readonly string[] {
    return overlay.repairVipTable(this.#namespaces, name);
  }

  repairDirect(names: readonly string[], isComplete: boolean, hasAllRoutes = isComplete): string[] {
    const inside = names.flatMap((name) => overlay.repairDirectTable(this.#namespaces, name, isComplete));
    return [...inside, ...this.#direct.repair(hasAllRoutes)];
  }

  followPaths(hosts: readonly string[], links: readonly string[]): void {
    this.#linkEvents.followPaths(hosts, links);
  }

  async probeAddresses(probe: AddressProbe): Promise<readonly AddressHolder[]> {
    return (await this.#openSegments()).probe(probe);
  }

  async announceAddresses(announcement: AddressAnnouncement): Promise<boolean> {
    return (await this.#openSegments()).announce(announcement);
  }

  probePaths(probes: PathProbes): Promise<PathAnswer[]> {
    return this.#askers.probePaths(probes);
  }

  askNames(questions: NameQuestions): Promise<NameAnswer[]> {
    return this.#askers.askNames(questions);
  }

  probeWays(probe: WayProbe): Promise<string[]> {
    return this.#askers.probeWays(probe);
  }

  answerFacts(answering: FactsAnswering | null): Promise<void> {
    return this.#askers.answerFacts(answering);
  }

  askFacts(asking: FactsAsking): Promise<(HostFacts | null)[]> {
    return this.#askers.askFacts(asking);
  }

  /** Ends calls that wait for others. */
  stop(): void {
    this.#askers.stop();
    void this.#segments?.then((segments) => segments.stop());
  }

  /** Closes all sockets, and with them the table tsnet-hold goes. */
  async close(): Promise<void> {
    await this.#watcher.close();
    await (await this.#segments)?.close();
    await this.#askers.close();
    this.#hold.close();
    this.#nft.close();
    this.#table.close();
    await this.#conntrack.close();
    this.#direct.close();
    this.#rtnetlink.close();
  }

  #openSegments(): Promise<Segments> {
    this.#segments ??= import("./segment/segments.ts").then(({ Segments }) => new Segments(this.#rtnetlink));
    return this.#segments;
  }
}
