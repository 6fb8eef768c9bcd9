/** Requests of rtnetlink, typed: man 7 rtnetlink, include/uapi/linux/rtnetlink.h. */
import { hasErrno, type TsnetError } from "../../errors.ts";
import type {
  ObservedAddress,
  ObservedLink,
  ObservedNeighbor,
  ObservedPort,
  ObservedRoute,
} from "../../plan/observed.ts";
import { addressFamily, inetPton } from "../libc.ts";
import { type Attribute, type Request, text, u32 } from "./codec.ts";
import { iffUp, ifla, nda, netlinkRoute, nlm, route, rta, rtm, skipStats } from "./constants.ts";
import {
  decodeAddress,
  decodeLink,
  decodeNeighbor,
  decodePath,
  decodePeer,
  decodePort,
  decodeRoute,
  type Peer,
} from "./messages.ts";
import { addressRequest, encodeNeighbor, neighborRequest, routeRequest } from "./requests.ts";
import { NetlinkSocket } from "./socket.ts";

/** Which link is meant. */
export type LinkKey = { readonly index: number } | { readonly name: string };

/** What a link is to be: `up` is left alone if it is not given. */
export interface LinkChange {
  readonly up?: boolean;
  readonly attributes: readonly Attribute[];
}

const byName = (name: string): Attribute => [ifla.ifname, text(name)];
const withoutStats: Attribute = [ifla.extMask, u32(skipStats)];

/** A socket of one network namespace. Each call is one request; all throw TsnetError "kernel" with the errno. */
export class Rtnetlink {
  readonly #socket: NetlinkSocket;

  /** @param namespacePath the file of a network namespace; this thread's own if it is not given */
  constructor(namespacePath?: string) {
    this.#socket = new NetlinkSocket(netlinkRoute, namespacePath);
  }

  /** What messages about changes that this socket makes carry. */
  get portId(): number {
    return this.#socket.portId;
  }

  /** Equivalent to: `ip link show`. undefined if there is no such link. */
  getLink(key: LinkKey): ObservedLink | undefined {
    return this.#find(key, decodeLink);
  }

  /** The link with what it does as a port of a bridge. */
  getPort(key: LinkKey): ObservedPort | undefined {
    return this.#find(key, decodePort);
  }

  /** The link and where the other end of its pair is, in one request. */
  getVeth(key: LinkKey): { readonly link: ObservedLink; readonly peer: Peer } | undefined {
    return this.#find(key, (payload) => ({ link: decodeLink(payload), peer: decodePeer(payload) }));
  }

  /** Equivalent to: `ip link add`. */
  createLink(name: string, { up, attributes }: LinkChange): void {
    this.#socket.request({
      type: rtm.newLink,
      flags: nlm.create | nlm.exclusive,
      header: encodeIfinfo({ ...(up === undefined ? {} : { up }) }),
      attributes: [byName(name), ...attributes],
    });
  }

  /** Equivalent to: `ip link set`. */
  changeLink(key: LinkKey, { up, attributes }: LinkChange): void {
    const header = encodeIfinfo({ ...indexOf(key), ...(up === undefined ? {} : { up }) });
    this.#socket.request({ type: rtm.newLink, flags: 0, header, attributes: [...nameOf(key), ...attributes] });
  }

  /** Equivalent to: `ip link del`. */
  deleteLink(key: LinkKey): void {
    this.#socket.request({ type: rtm.delLink, flags: 0, header: encodeIfinfo(indexOf(key)), attributes: nameOf(key) });
  }

  /** Equivalent to: `ip link del group GROUP`. @throws TsnetError with errno ENODEV if the group is empty */
  deleteGroup(group: number): void {
    const attributes: Attribute[] = [[ifla.group, u32(group)]];
    this.#socket.request({ type: rtm.delLink, flags: 0, header: encodeIfinfo({}), attributes });
  }

  /** Equivalent to: `ip address replace`, with `nodad` for IPv6; `broadcast +` for IPv4 where it is asked for. */
  replaceAddress(link: number, address: string, { broadcast = false, scope = 0 } = {}): void {
    const type = { type: rtm.newAddr, flags: nlm.create | nlm.replace };
    this.#socket.request({ ...type, ...addressRequest({ link, address, broadcast, scope }) });
  }

  /** Equivalent to: `ip address del`. */
  deleteAddress(link: number, address: string): void {
    this.#socket.request({ type: rtm.delAddr, flags: 0, ...addressRequest({ link, address, broadcast: false }) });
  }

  /**
   * The route that the kernel makes with an address. Equivalent to: `ip route replace DESTINATION dev LINK proto kernel scope
   * link src SOURCE`; for IPv6, where the kernel's own has no source: `ip -6 route replace DESTINATION dev LINK proto kernel
   * metric 256` (IP6_RT_PRIO_ADDRCONF of include/uapi/linux/ipv6_route.h).
   * @param source null leaves the choice to the kernel
   */
  replaceRoute(link: number, destination: string, source: string | null): void {
    const isIpv6 = destination.includes(":");
    const preferred: Attribute[] = source === null ? [] : [[rta.prefSrc, inetPton(source)]];
    const attributes: Attribute[] = isIpv6 ? [[rta.priority, u32(256)]] : preferred;
    const { protocolKernel: protocol, scopeLink: scope } = route;
    const type = { type: rtm.newRoute, flags: nlm.create | nlm.replace };
    this.#socket.request({ ...type, ...routeRequest({ link, destination, protocol, scope, attributes }) });
  }

  /** A route of `replaceRoute`. Equivalent to: `ip route del DESTINATION dev LINK`. @throws TsnetError with errno ESRCH if there is none */
  deleteRoute(link: number, destination: string): void {
    const any = { protocol: 0, scope: route.scopeNowhere, attributes: [] };
    this.#socket.request({ type: rtm.delRoute, flags: 0, ...routeRequest({ link, destination, ...any }) });
  }

  /** Equivalent to: `ip route add DESTINATION dev LINK [via GATEWAY]`. @param gateway null for none */
  addRoute(link: number, destination: string, gateway: string | null): void {
    const { protocolBoot: protocol, scopeLink, scopeUniverse } = route;
    const scope = gateway === null ? scopeLink : scopeUniverse;
    const attributes: Attribute[] = gateway === null ? [] : [[rta.gateway, inetPton(gateway)]];
    const type = { type: rtm.newRoute, flags: nlm.create | nlm.exclusive };
    this.#socket.request({ ...type, ...routeRequest({ link, destination, protocol, scope, attributes }) });
  }

  /** Equivalent to: `ip neigh replace ADDRESS lladdr MAC dev LINK nud permanent`. */
  replaceNeighbor(link: number, address: string, mac: Uint8Array): void {
    const type = { type: rtm.newNeigh, flags: nlm.create | nlm.replace };
    this.#socket.request({ ...type, ...neighborRequest(link, address, [[nda.lladdr, mac]]) });
  }

  /** Equivalent to: `ip neigh del ADDRESS dev LINK`. @throws TsnetError with errno ENOENT if there is none */
  deleteNeighbor(link: number, address: string): void {
    this.#socket.request({ type: rtm.delNeigh, flags: 0, ...neighborRequest(link, address, []) });
  }

  /**
   * Many requests in one go: each costs a fraction of what one by itself does. The kernel goes on after one that fails.
   * @param onError called with each that failed, in their order
   */
  requestAll<One extends Request>(requests: Iterable<One>, onError: (error: TsnetError, request: One) => void): void {
    this.#socket.requestAll(requests, onError);
  }

  /** Asks for one object. @returns its struct and attributes, valid until the next call */
  ask(request: Request): Buffer {
    return this.#socket.get(request).payload;
  }

  listPorts(): ObservedPort[] {
    return this.#dump(rtm.getLink, encodeIfinfo({}), [withoutStats], decodePort);
  }

  listLinks(): ObservedLink[] {
    return this.#dump(rtm.getLink, encodeIfinfo({}), [withoutStats], decodeLink);
  }

  listAddresses(): ObservedAddress[] {
    return this.#dump(rtm.getAddr, new Uint8Array(8), [], decodeAddress);
  }

  /**
   * Unicast routes of all tables but the local one.
   * @param isWanted of the index of a route's output link, 0 where there is none or several
   */
  listRoutes(isWanted: (link: number) => boolean): ObservedRoute[] {
    return this.#dump(rtm.getRoute, new Uint8Array(12), [], (payload) => decodeRoute(payload, isWanted));
  }

  /** Equivalent to: `ip route get ADDRESS`. @throws TsnetError with errno ENETUNREACH, EHOSTUNREACH, … where there is no way */
  getPath(address: string): ReturnType<typeof decodePath> {
    const bytes = inetPton(address);
    const header = Buffer.alloc(12);
    header.writeUInt8(bytes.length === 4 ? addressFamily.inet : addressFamily.inet6, 0);
    header.writeUInt8(bytes.length * 8, 1);
    const { payload } = this.#socket.get({ type: rtm.getRoute, flags: 0, header, attributes: [[rta.dst, bytes]] });
    return decodePath(payload);
  }

  /** The permanent neighbors of a link, of IPv4 and IPv6. */
  listNeighbors(link: number): ObservedNeighbor[] {
    return this.#dump(rtm.getNeigh, encodeNeighbor(), [[nda.ifindex, u32(link)]], decodeNeighbor);
  }

  /**
   * Calls back with the struct rtmsg of each route, of all families and tables, valid during the call. Of routes that come or go
   * meanwhile it may see some twice, and some not: where many do, a whole dump would never come about.
   */
  visitRoutes(visit: (payload: Buffer) => void): void {
    const request = { type: rtm.getRoute, flags: 0, header: new Uint8Array(12), attributes: [] };
    this.#socket.tryDump(
      request,
      () => {},
      ({ payload }) => visit(payload),
      2,
    );
  }

  close(): void {
    this.#socket.close();
  }

  #find<T>(key: LinkKey, decode: (payload: Buffer) => T): T | undefined {
    const request = { type: rtm.getLink, flags: 0, header: encodeIfinfo(indexOf(key)) };
    try {
      return decode(this.#socket.get({ ...request, attributes: [...nameOf(key), withoutStats] }).payload);
    } catch (error) {
      if (hasErrno(error, "ENODEV")) return undefined;
      throw error;
    }
  }

  #dump<T>(
    type: number,
    header: Uint8Array,
    attributes: readonly Attribute[],
    decode: (payload: Buffer) => T | undefined,
  ): T[] {
    const found: T[] = [];
    const begin = (): void => void found.splice(0);
    this.#socket.dump({ type, flags: 0, header, attributes }, begin, ({ payload }) => {
      const value = decode(payload);
      if (value !== undefined) found.push(value);
    });
    return found;
  }
}

const indexOf = (key: LinkKey): { index?: number } => ("index" in key ? { index: key.index } : {});
const nameOf = (key: LinkKey): Attribute[] => ("name" in key ? [byName(key.name)] : []);

/** struct ifinfomsg: family, type, index, flags, which of the flags are meant. */
export function encodeIfinfo({ index = 0, up }: { index?: number; up?: boolean }): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  if (up !== undefined) {
    header.writeUInt32LE(up ? iffUp : 0, 8);
    header.writeUInt32LE(iffUp, 12);
  }
  return header;
}
