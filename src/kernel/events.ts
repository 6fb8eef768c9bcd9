/**
 * What changes in links, addresses and routes, as the kernel tells it. Containers that come and go make dozens of messages
 * each; what gets through here is what somebody could have to repair, and of each link only its last state.
 */
import { isDeepStrictEqual } from "node:util";
import { hasErrno } from "../errors.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { KernelChange } from "./change.ts";
import { addressFamily } from "./libc.ts";
import { aliasPrefix, removalGroup } from "./links.ts";
import type { Message } from "./netlink/codec.ts";
import { netlinkRoute, route, rtm, rtnlgrp } from "./netlink/constants.ts";
import { decodeAddress, decodeLink, decodeRoute, familyOf } from "./netlink/messages.ts";
import { NetlinkSocket, setReceiveBuffer } from "./netlink/socket.ts";

/** Room for some thousand messages; beyond it the kernel says ENOBUFS. */
const queueBytes = 4 << 20;

/** How the names of our bridges and host ends begin, in case somebody takes the alias away. */
const ownName = /^ts[bv]-/;

export class LinkEvents {
  readonly #socket = new NetlinkSocket(netlinkRoute);
  /** Links that were told of, by index, as they were then. */
  readonly #told = new Map<number, ObservedLink>();

  /** @throws TsnetError "kernel" */
  constructor() {
    try {
      setReceiveBuffer(this.fd, queueBytes);
      for (const group of Object.values(rtnlgrp)) this.#socket.join(group);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Readable when there is something. */
  get fd(): number {
    return this.#socket.fd;
  }

  /** Links that were there before the first event: addresses and routes of bridges among them count from now on. */
  know(links: readonly ObservedLink[]): void {
    for (const link of links) if (concerns(link)) this.#told.set(link.index, link);
  }

  /** Everything that is queued, summed up; does not block. */
  read(): KernelChange[] {
    const last = new Map<number, KernelChange & { what: "link" }>();
    let addresses = false;
    let lost = false;
    for (let messages = this.#receive(); messages; messages = this.#receive()) {
      lost ||= messages === "lost";
      for (const message of messages === "lost" ? [] : messages) {
        const change = this.#decodeLink(message);
        if (change) last.set(change.link.index, change);
        addresses ||= this.#isLoss(message);
      }
    }
    if (lost) {
      this.#forget();
      return [{ what: "everything" }];
    }
    return [...last.values(), ...(addresses ? [{ what: "addresses" } as const] : [])];
  }

  /**
   * "lost" comes once. The kernel then goes on losing messages, silently, until the queue is empty (NETLINK_S_CONGESTED in
   * net/netlink/af_netlink.c): whoever is told has to be told after that.
   */
  #receive(): Message[] | "lost" | undefined {
    try {
      return this.#socket.receive();
    } catch (error) {
      if (hasErrno(error, "ENOBUFS")) return "lost";
      throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }

  /** How the links are is not known any more: the next message of each is told of, whether it is new or not. */
  #forget(): void {
    for (const link of this.#told.values()) this.#told.set(link.index, { ...link, name: "" });
  }

  /** undefined for what is none of our concern, and for a link that is as it was told of. */
  #decodeLink({ type, payload }: Message): (KernelChange & { what: "link" }) | undefined {
    if ((type !== rtm.newLink && type !== rtm.delLink) || familyOf(payload) !== addressFamily.unspec) return undefined;
    const link = decodeLink(payload);
    const before = this.#told.get(link.index);
    if (link.group === removalGroup || (!concerns(link) && !before)) {
      this.#told.delete(link.index);
      return undefined;
    }
    const removed = type === rtm.delLink;
    if (removed || !concerns(link)) this.#told.delete(link.index);
    else this.#told.set(link.index, link);
    return !removed && isDeepStrictEqual(before, link) ? undefined : { what: "link", removed, link };
  }

  /** Whether a bridge lost an address, or its route of the main table that the kernel made with an address. */
  #isLoss({ type, payload }: Message): boolean {
    if (type === rtm.delAddr) return this.#isBridge(decodeAddress(payload)?.link);
    if (type !== rtm.delRoute) return false;
    const lost = decodeRoute(payload);
    if (lost?.table !== route.tableMain || lost.protocol !== route.protocolKernel) return false;
    return this.#isBridge(lost.link);
  }

  #isBridge(index: number | undefined): boolean {
    return index !== undefined && this.#told.get(index)?.kind === "bridge";
  }
}

const concerns = (link: ObservedLink): boolean =>
  link.group !== removalGroup &&
  (link.kind === "bridge" || link.alias.startsWith(aliasPrefix) || ownName.test(link.name));
