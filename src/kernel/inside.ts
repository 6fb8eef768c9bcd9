import { TsnetError } from "../errors.ts";
import type { ForgetVirtualFlows, InnerOp } from "../plan/op.ts";
import type { SetBridgeFilter, SetHairpin } from "../plan/op-overlay.ts";
import { Addresses } from "./addresses.ts";
import { hasBridgeFilter } from "./bridge-filter.ts";
import { DirectTable } from "./direct/direct-table.ts";
import { Entries } from "./entries.ts";
import { setTxChecksum } from "./ethtool.ts";
import { InsideEvents } from "./inside-events.ts";
import { LeftLinks } from "./left-links.ts";
import { close, open } from "./libc.ts";
import { filterIpv4Of, hairpinOf } from "./link-attributes.ts";
import { Links } from "./links.ts";
import { inNamespace } from "./netlink/in-namespace.ts";
import { Rtnetlink } from "./netlink/rtnetlink.ts";
import { ignoring, OwnLinks, removalGroup, unfinishedGroup } from "./own-links.ts";
import { setSysctl } from "./sysctl.ts";
import { isVipLoss } from "./vip-events.ts";
import { VipNamespace } from "./vip-namespace.ts";

/** O_RDONLY | O_CLOEXEC of the C library's fcntl.h. */
const readOnly = 0x80000;

/** What acts in one of our network namespaces: a socket, and what is known of the network there. */
export class Inside {
  /** The namespace lives as long as this is open, whoever removes its file. */
  readonly fd: number;
  /** A file of the namespace that is there as long. */
  readonly path: string;
  readonly rtnetlink: Rtnetlink;
  readonly own: OwnLinks;
  readonly events: InsideEvents;
  readonly #links: Links;
  readonly #left = new LeftLinks();
  readonly #addresses: Addresses;
  readonly #entries: Entries;
  readonly #direct: DirectTable;
  readonly #vips: VipNamespace;
  /** What closes what is open. */
  readonly #closers: (() => void)[] = [];

  /**
   * Removes what a crash has left half made, or half removed.
   * @param path the namespace's file
   * @param onEvents is told of a descriptor that is readable when there are events besides `events`
   */
  constructor(path: string, onEvents: (fd: number) => void = () => {}) {
    this.fd = open(path, readOnly);
    this.path = `/proc/self/fd/${this.fd}`;
    this.#closers.push(() => close(this.fd));
    try {
      this.rtnetlink = new Rtnetlink(this.path);
      this.#closers.push(() => this.rtnetlink.close());
      this.own = new OwnLinks(this.rtnetlink);
      this.#links = new Links(this.own);
      this.#addresses = new Addresses(this.own);
      const entries = new Entries(this.rtnetlink, this.path);
      this.#entries = entries;
      this.#closers.push(() => entries.close());
      this.#direct = new DirectTable(this.path);
      this.#closers.push(() => this.#direct.close());
      const vips = new VipNamespace(this.path, onEvents);
      this.#vips = vips;
      this.#closers.push(() => vips.close());
      this.events = new InsideEvents(this.path, {
        judge: (message, isNew, verdicts) => entries.judge(message, isNew, verdicts),
        isVipLoss: (message) => vips.isUsed && isVipLoss(message, this.rtnetlink),
        isAsLeft: (index) => this.#left.isAsLeft(index, this.rtnetlink.getPort({ index })),
      });
      this.#closers.push(() => this.events.close());
      this.flush();
      ignoring(["ENODEV"], () => this.rtnetlink.deleteGroup(unfinishedGroup));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @throws TsnetError whose message names the operation's object */
  apply(op: InnerOp): void {
    const run = this.#executors[op.op] as (op: InnerOp) => void;
    run(op);
  }

  readonly #executors: { readonly [Name in InnerOp["op"]]: (op: Extract<InnerOp, { op: Name }>) => void } = {
    "ensure-bridge": (op) => {
      this.#links.ensureBridge(op);
      this.noteLink(op.name);
    },
    "ensure-address": (op) => this.#addresses.ensureAddress(op),
    "remove-address": (op) => this.#addresses.removeAddress(op),
    "ensure-route": (op) => this.#addresses.ensureRoute(op),
    "remove-route": (op) => this.#addresses.removeRoute(op),
    "set-tx-checksum": ({ name, on }) => setTxChecksum(this.path, name, on),
    "remove-links": (op) => {
      for (const link of op.links) {
        this.forgetLink(link.name);
        this.#links.removeLink(link);
      }
    },
    // what /proc/sys/net shows is of the network namespace of the thread that looks
    "set-sysctl": (op) => inNamespace(this.path, () => setSysctl(op)),
    "ensure-places": (op) => this.#entries.ensure(op),
    "remove-places": (op) => this.#entries.remove(op),
    "set-flood-list": (op) => this.#entries.flood(op),
    "change-direct": (op) => this.#direct.change(op),
    "set-table": (op) => this.#vips.setTable(op),
    "set-hairpin": (op) => this.#setHairpin(op),
    "set-bridge-filter": (op) => this.#setBridgeFilter(op),
  };

  #setHairpin({ name, on }: SetHairpin): void {
    const link = this.rtnetlink.getLink({ name });
    if (link === undefined || link.master === 0) return;
    ignoring(["ENODEV"], () => this.rtnetlink.changeLink({ index: link.index }, { attributes: [hairpinOf(on)] }));
    this.noteLink(name);
  }

  #setBridgeFilter({ name, on }: SetBridgeFilter): void {
    if (on && !hasBridgeFilter()) {
      const what = "virtual IPs of services need the kernel module br_netfilter";
      throw new TsnetError("kernel", `${what}, which is not loaded: modprobe br_netfilter`, { errno: "EOPNOTSUPP" });
    }
    this.rtnetlink.changeLink({ index: this.own.existing(name).index }, { attributes: [filterIpv4Of(on)] });
    this.noteLink(name);
  }

  /** The link is as it should be now: what somebody changes in it is told of. */
  noteLink(name: string): void {
    this.#left.note(this.rtnetlink.getPort({ name }));
  }

  /** What happens to the link from now on is our own work. */
  forgetLink(name: string): void {
    this.#left.forget(name);
  }

  /**
   * Compares the forwarding entries and neighbors with what was asked for, and mends them.
   * @param isComplete whether all was asked for that there is to be
   * @returns what was wrong, in words
   */
  repairEntries(isComplete: boolean): Promise<readonly string[]> {
    return this.#entries.repair(isComplete);
  }

  /** The same of the table of what goes the short way. */
  repairDirect(isComplete: boolean): readonly string[] {
    return this.#direct.repair(isComplete);
  }

  /** The same of the table of virtual IPs. */
  repairTable(): readonly string[] {
    return this.#vips.repair();
  }

  forgetVirtualFlows(op: ForgetVirtualFlows): Promise<void> {
    return this.#vips.forgetFlows(op);
  }

  /** Reads the events that are queued; does not block. @returns whether something is not as it should be, or events were lost */
  readEvents(): boolean {
    const isTableChanged = this.#vips.readEvents();
    return this.events.read() || isTableChanged;
  }

  /** Deletes what was taken out of use. */
  flush(): void {
    this.own.flush();
  }

  /** Deletes all links but the loopback, in one request. */
  clear(): void {
    const doomed = this.rtnetlink.listLinks().filter(({ name }) => name !== "lo");
    for (const link of doomed) ignoring(["ENODEV"], () => this.own.takeOut(link));
    if (doomed.length > 0) ignoring(["ENODEV"], () => this.rtnetlink.deleteGroup(removalGroup));
  }

  close(): void {
    for (const one of this.#closers.reverse()) one();
  }
}
