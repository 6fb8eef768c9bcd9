/** What requests of rtnetlink about addresses, routes and neighbors are made of: structs of the kernel's headers, and attributes. */
import { addressFamily, inetPton } from "../libc.ts";
import { type Attribute, type Request, u32 } from "./codec.ts";
import { ifa, ifaNodad, nda, nud, route, rta } from "./constants.ts";

type Body = Pick<Request, "header" | "attributes">;

/** An address of a link, "172.18.0.1/16". */
interface Address {
  readonly link: number;
  readonly address: string;
  /** Whether it has the broadcast address of its subnet, if it is one of IPv4. */
  readonly broadcast: boolean;
  /** RT_SCOPE_…; that of the world if it is not given. */
  readonly scope?: number;
}

/** A unicast route of the main table. */
interface Route {
  /** Index of the output link. */
  readonly link: number;
  /** "172.18.0.0/16" */
  readonly destination: string;
  /** RTPROT_… */
  readonly protocol: number;
  /** RT_SCOPE_…, only of IPv4. */
  readonly scope: number;
  readonly attributes: readonly Attribute[];
}

/** struct ifaddrmsg and attributes. IPv6 addresses are not looked for on the link first. */
export function addressRequest({ link, address: text, broadcast, scope = route.scopeUniverse }: Address): Body {
  const [address, prefix] = parsePrefix(text);
  const isIpv6 = address.length === 16;
  const header = Buffer.alloc(8);
  header.set([familyOf(address), prefix, isIpv6 ? ifaNodad : 0, scope]);
  header.writeUInt32LE(link, 4);
  const more = broadcast && !isIpv6 ? broadcastOf(address, prefix) : [];
  return { header, attributes: [[ifa.local, address], [ifa.address, address], ...more] };
}

/** None where a subnet has no such address: RFC 3021. */
function broadcastOf(bytes: Uint8Array, prefix: number): Attribute[] {
  if (prefix > 30) return [];
  const broadcast = Buffer.alloc(4);
  broadcast.writeUInt32BE((Buffer.from(bytes).readUInt32BE() | (0xffffffff >>> prefix)) >>> 0);
  return [[ifa.broadcast, broadcast]];
}

/** struct rtmsg and attributes. */
export function routeRequest({ link, destination, protocol, scope, attributes }: Route): Body {
  const [address, prefix] = parsePrefix(destination);
  const { tableMain, unicast } = route;
  const ownScope = address.length === 16 ? 0 : scope;
  const header = Uint8Array.of(familyOf(address), prefix, 0, 0, tableMain, protocol, ownScope, unicast, 0, 0, 0, 0);
  return { header, attributes: [[rta.dst, address], [rta.oif, u32(link)], ...attributes] };
}

/** struct ndmsg and attributes, of a permanent neighbor. */
export function neighborRequest(link: number, address: string, more: readonly Attribute[]): Body {
  const bytes = inetPton(address);
  return { header: encodeNeighbor(familyOf(bytes), link, nud.permanent), attributes: [[nda.dst, bytes], ...more] };
}

/** struct ndmsg: family, index, state, flags. */
export const encodeNeighbor = (family = 0, link = 0, state = 0, flags = 0): Uint8Array =>
  // such a small array is no memory of its own, as a Buffer is
  Uint8Array.of(family, 0, 0, 0, link, link >> 8, link >> 16, link >> 24, state, state >> 8, flags, 0);

const familyOf = (address: Uint8Array): number => (address.length === 16 ? addressFamily.inet6 : addressFamily.inet);

/** "172.18.0.1/16" as bytes and bits. */
function parsePrefix(text: string): [address: Uint8Array, prefix: number] {
  const [address = "", prefix = ""] = text.split("/");
  const bytes = inetPton(address);
  return [bytes, prefix === "" ? bytes.length * 8 : Number(prefix)];
}
