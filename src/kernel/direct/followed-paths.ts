import { explain } from "../../errors.ts";
import { directRoutingTable } from "../../plan/direct.ts";
import { inetPton } from "../libc.ts";
import { decodeAttributes, type Message, readNumber } from "../netlink/codec.ts";
import { route, rta, rtm } from "../netlink/constants.ts";
import { decodeLink } from "../netlink/messages.ts";
import type { Rtnetlink } from "../netlink/rtnetlink.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

/** RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE; RTM_NEWRULE, RTM_DELRULE, FRA_TABLE (fib_rules.h); struct rtmsg, as struct fib_rule_hdr. */
const ruleGroups = [8, 19];
const ruleTypes: readonly number[] = [32, 33];
const fraTable = 15;
const rtmsgBytes = 12;

export interface FollowedPathsNeeds {
  /** Hears of links and routes already. */
  readonly socket: Pick<NetlinkSocket, "join" | "leave">;
  readonly rtnetlink: Pick<Rtnetlink, "getPath">;
  /** Port IDs of the sockets that we change routes through. */
  readonly ignored: ReadonlySet<number>;
}

/** A host that is followed. */
interface Host {
  /** Its tunnel address. */
  readonly address: string;
  readonly bytes: Uint8Array;
  /** The way there, as the kernel has said it last. */
  path: string;
}

/**
 * Which messages of the kernel's mean that the ways to other hosts are others. Where rules and routes come and go by the second, as with
 * VPNs, few of them are on such a way: the kernel is asked. Without hosts that are followed: none.
 */
export class FollowedPaths {
  readonly #needs: FollowedPathsNeeds;
  /** By tunnel address. */
  #hosts: ReadonlyMap<string, Host> = new Map();
  /** The ways to be asked for. */
  readonly #doubtful = new Set<Host>();
  /** Whether something has changed that no way tells of. */
  #isChanged = false;
  #links: ReadonlySet<string> = new Set();
  /** What is known of the links, by name: the rest of a message about a link is none of our concern. */
  readonly #told = new Map<string, string>();

  constructor(needs: FollowedPathsNeeds) {
    this.#needs = needs;
  }

  follow(hosts: readonly string[], links: readonly string[]): void {
    const [before, now] = [this.#hosts.size > 0, hosts.length > 0];
    for (const group of ruleGroups) {
      if (now && !before) this.#needs.socket.join(group);
      if (before && !now) this.#needs.socket.leave(group);
    }
    this.#hosts = new Map(hosts.map((host) => [host, this.#hosts.get(host) ?? this.#hostOf(host)]));
    this.#links = new Set(links);
    for (const name of this.#told.keys()) if (!this.#links.has(name)) this.#told.delete(name);
  }

  take({ type, payload, portId }: Message): void {
    if (this.#hosts.size === 0) return;
    if (type === rtm.newLink || type === rtm.delLink) this.#takeLink(payload, type === rtm.delLink);
    else if (this.#needs.ignored.has(portId)) return;
    else if (ruleTypes.includes(type)) this.#takeRule(payload);
    else if (type === rtm.newRoute || type === rtm.delRoute) this.#takeRoute(payload);
  }

  /**
   * Whether ways are others than before, as far as messages were taken.
   * @param isLost whether some messages were not
   */
  changed(isLost: boolean): boolean {
    if (isLost || this.#isChanged) this.#doubt(() => true);
    let isChanged = this.#isChanged;
    this.#isChanged = false;
    for (const host of this.#doubtful) {
      const path = this.#pathTo(host.address);
      isChanged ||= path !== host.path;
      host.path = path;
    }
    this.#doubtful.clear();
    return isChanged;
  }

  #hostOf(address: string): Host {
    return { address, bytes: inetPton(address), path: this.#pathTo(address) };
  }

  #pathTo(address: string): string {
    try {
      return JSON.stringify(this.#needs.rtnetlink.getPath(address));
    } catch (error) {
      return explain(error); // as unreachable: that is an answer as well
    }
  }

  #doubt(isMeant: (address: Uint8Array) => boolean): void {
    for (const host of this.#hosts.values()) if (isMeant(host.bytes)) this.#doubtful.add(host);
  }

  #takeLink(payload: Buffer, isGone: boolean): void {
    const { name, up, carrier, mac } = decodeLink(payload);
    if (!this.#links.has(name)) return;
    const now = isGone ? "" : `${up} ${carrier} ${mac}`;
    this.#isChanged ||= now !== this.#told.get(name);
    this.#told.set(name, now);
  }

  /** A rule that may lead to any of the hosts, or one that leads to our table. */
  #takeRule(payload: Buffer): void {
    const table = readNumber(decodeAttributes(payload, rtmsgBytes), fraTable);
    this.#isChanged ||= table === directRoutingTable;
    this.#doubt(() => true);
  }

  /** A route that may lead to one of the hosts, in any table, or one of our table. */
  #takeRoute(payload: Buffer): void {
    if (payload.readUInt8(4) === route.tableLocal) return;
    const attributes = decodeAttributes(payload, rtmsgBytes);
    this.#isChanged ||= readNumber(attributes, rta.table) === directRoutingTable;
    const prefix = payload.readUInt8(1);
    const bytes = payload.readUInt8(0) === 2 ? 4 : 16;
    const destination = attributes.get(rta.dst) ?? new Uint8Array(bytes);
    this.#doubt((host) => host.length === bytes && isWithin(host, destination, prefix));
  }
}

/** Whether an address begins with as many bits of another. */
export function isWithin(address: Uint8Array, subnet: Uint8Array, prefix: number): boolean {
  for (let at = 0, left = prefix; left > 0; at++, left -= 8) {
    const differing = (address[at] ?? 0) ^ (subnet[at] ?? 0);
    if (left >= 8 ? differing !== 0 : differing >> (8 - left) !== 0) return false;
  }
  return true;
}
