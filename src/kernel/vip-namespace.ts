/** What virtual IPs need in a namespace of ours: the table, and what watches over it. */
import { diffElements } from "../plan/elements.ts";
import type { Elements } from "../plan/observed.ts";
import type { ForgetVirtualFlows } from "../plan/op.ts";
import type { SetTable } from "../plan/op-overlay.ts";
import { Conntrack } from "./conntrack.ts";
import { InnerTable } from "./inner-table.ts";
import { inNamespace } from "./netlink/in-namespace.ts";
import { NftEvents } from "./nft-events.ts";
import { skeletonOf } from "./table-skeleton.ts";

export class VipNamespace {
  readonly #path: string;
  readonly #onEvents: (fd: number) => void;
  readonly #table: InnerTable;
  #wanted: Elements = {};
  #events: NftEvents | undefined;
  #conntrack: Conntrack | undefined;

  /**
   * @param path the namespace's file
   * @param onEvents is told of a descriptor that is readable when something in the table changes; it lives as long as this
   */
  constructor(path: string, onEvents: (fd: number) => void) {
    this.#path = path;
    this.#onEvents = onEvents;
    this.#table = new InnerTable({ path, name: "ip tsnet-vip", skeletonOf, onOpen: () => this.#watch() });
  }

  /** Whether there are any. */
  get isUsed(): boolean {
    return Object.keys(this.#wanted).length > 0;
  }

  setTable({ table, elements }: SetTable): void {
    const change = diffElements(elements, this.#wanted);
    this.#wanted = elements;
    this.#table.put(table, this.isUsed ? elements : null, change);
    this.#ignoreOwn();
  }

  /** @returns what was wrong, in words */
  repair(): string[] {
    const reasons = this.#table.repair(false);
    this.#ignoreOwn();
    return reasons;
  }

  /** Reads what is queued. @returns whether somebody else has changed the table, or that is not known */
  readEvents(): boolean {
    const changes = this.#events?.read();
    return changes !== undefined && (changes.firewall || changes.everything);
  }

  forgetFlows(op: ForgetVirtualFlows): Promise<void> {
    this.#conntrack ??= new Conntrack(this.#path);
    return this.#conntrack.forgetVirtualFlows(op);
  }

  close(): void {
    this.#events?.close();
    this.#table.close();
    void this.#conntrack?.close();
  }

  #watch(): void {
    if (this.#events !== undefined) return;
    const events = inNamespace(this.#path, () => new NftEvents());
    this.#events = events;
    this.#onEvents(events.fd);
  }

  #ignoreOwn(): void {
    if (this.#table.portId !== undefined) this.#events?.ignore(this.#table.portId);
  }
}
