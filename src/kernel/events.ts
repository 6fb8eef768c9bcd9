/**
 * What changes in links, addresses, routes and neighbors, as the kernel tells it. Containers that come and go make dozens of
 * messages each; what gets through here is what somebody could have to repair, and of each link only its last state.
 */
import { hasErrno } from "../errors.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { KernelChange } from "./change.ts";
import { FollowedPaths } from "./direct/followed-paths.ts";
import { addressFamily } from "./libc.ts";
import type { Message } from "./netlink/codec.ts";
import { netlinkRoute, nud, route, rtm, rtnlgrp } from "./netlink/constants.ts";
import { decodeAddress, decodeLink, decodeRoute, familyOf, neighborHeader } from "./netlink/messages.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { NetlinkSocket, setReceiveBuffer } from "./netlink/socket.ts";
import { ToldLinks } from "./told-links.ts";

/** Room for some thousand messages; beyond it the kernel says ENOBUFS. */
const queueBytes = 4 << 20;

const { link, ipv4IfAddr, ipv4Route, ipv6IfAddr, ipv6Route, neighbor } = rtnlgrp;

export class LinkEvents {
  readonly #socket = new NetlinkSocket(netlinkRoute);
  readonly #told = new ToldLinks();
  /** Addresses of links that are followed, as they were told of: routers and leases refresh them again and again. */
  readonly #addresses = new Set<string>();
  readonly #ignored = new Set<number>();
  readonly #paths: FollowedPaths;
  #hasNeighbors = false;

  /** @param rtnetlink is asked for the ways to hosts. @throws TsnetError "kernel" */
  constructor(rtnetlink: Pick<Rtnetlink, "getPath">) {
    this.#paths = new FollowedPaths({ socket: this.#socket, rtnetlink, ignored: this.#ignored });
    try {
      setReceiveBuffer(this.fd, queueBytes);
      for (const group of [link, ipv4IfAddr, ipv4Route, ipv6IfAddr, ipv6Route]) this.#socket.join(group);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Readable when there is something. */
  get fd(): number {
    return this.#socket.fd;
  }

  /** These links are there, and no others: what happens to them counts from now on. */
  know(links: readonly ObservedLink[]): void {
    this.#told.know(links);
    this.#joinNeighbors();
  }

  /** Links with these names are of concern from now on, whoever made them, and no others that were before. */
  follow(names: readonly string[]): void {
    this.#told.follow(names);
  }

  /** See Kernel.followPaths of driver/kernel.ts. */
  followPaths(hosts: readonly string[], links: readonly string[]): void {
    this.#paths.follow(hosts, links);
  }

  /** Addresses, routes and neighbors that are changed through the socket with this netlink port ID are ours. */
  ignore(portId: number): void {
    this.#ignored.add(portId);
  }

  /** Everything that is queued, summed up; does not block. */
  read(): KernelChange[] {
    const last = new Map<string, KernelChange>();
    let addresses = false;
    let lost = false;
    for (let messages = this.#receive(); messages; messages = this.#receive()) {
      lost ||= messages === "lost";
      for (const message of messages === "lost" ? [] : messages) {
        for (const change of this.#linkChanges(message)) last.set(`${change.link.index} ${change.link.name}`, change);
        addresses = this.#isChange(message) || addresses;
        this.#paths.take(message);
      }
    }
    this.#joinNeighbors();
    const paths = this.#paths.changed(lost);
    const others = [addresses ? ("addresses" as const) : [], paths ? ("paths" as const) : []].flat();
    if (!lost) return [...last.values(), ...others.map((what) => ({ what }))];
    this.#told.forget();
    this.#addresses.clear();
    return [{ what: "everything" }];
  }

  close(): void {
    this.#socket.close();
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

  /** A host that talks to many others has a message for each of them every minute: only who has a shim listens to them. */
  #joinNeighbors(): void {
    const wanted = this.#told.hasShims();
    if (wanted === this.#hasNeighbors) return;
    if (wanted) this.#socket.join(neighbor);
    else this.#socket.leave(neighbor);
    this.#hasNeighbors = wanted;
  }

  #linkChanges({ type, payload }: Message): ReturnType<ToldLinks["take"]> {
    if ((type !== rtm.newLink && type !== rtm.delLink) || familyOf(payload) !== addressFamily.unspec) return [];
    return this.#told.take(decodeLink(payload), type === rtm.delLink);
  }

  /** Whether an address, a route or a neighbor that counts has changed, and not by us. */
  #isChange(message: Message): boolean {
    switch (message.type) {
      case rtm.newAddr:
      case rtm.delAddr:
        return this.#isAddressChange(message);
      case rtm.newRoute:
      case rtm.delRoute:
        return this.#isRouteChange(message);
      case rtm.newNeigh:
      case rtm.delNeigh:
        return this.#isNeighborChange(message);
      default:
        return false;
    }
  }

  /** A link that is followed got or lost an address; a bridge or a shim lost one. */
  #isAddressChange({ type, payload, portId }: Message): boolean {
    const found = decodeAddress(payload);
    if (!found || this.#ignored.has(portId)) return false;
    const isNew = type === rtm.newAddr;
    if (!this.#told.isFollowed(found.link)) {
      return !isNew && (this.#told.isBridge(found.link) || this.#told.isShim(found.link));
    }
    const key = `${found.link} ${found.address}`;
    const isKnown = this.#addresses.delete(key);
    if (isNew) this.#addresses.add(key);
    return !isNew || !isKnown;
  }

  /**
   * A bridge or a shim lost a route of the main table that the kernel made with an address, or that we made as it does; or a shim
   * got one, which may have replaced ours.
   */
  #isRouteChange({ type, payload, portId }: Message): boolean {
    if (this.#ignored.has(portId)) return false;
    const isNew = type === rtm.newRoute;
    const found = decodeRoute(payload, (index) => this.#told.isShim(index) || (!isNew && this.#told.isBridge(index)));
    return found?.table === route.tableMain && (isNew || found.protocol === route.protocolKernel);
  }

  /**
   * Somebody changed a neighbor of a shim, or the kernel dropped a permanent one. One that somebody deletes is told as one that has
   * failed, with who it was, and then as deleted, by nobody (neigh_delete() in net/core/neighbour.c). What the kernel finds out
   * by itself is told as nobody's, too.
   */
  #isNeighborChange({ type, payload, portId }: Message): boolean {
    const { family, index, state } = neighborHeader(payload);
    if ((family !== addressFamily.inet && family !== addressFamily.inet6) || !this.#told.isShim(index)) return false;
    if (type === rtm.delNeigh) return (state & nud.permanent) !== 0;
    return portId !== 0 && !this.#ignored.has(portId);
  }
}
