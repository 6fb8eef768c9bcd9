/** Payloads of rtnetlink's answers and notifications, as values. */
import type {
  ObservedAddress,
  ObservedLink,
  ObservedNeighbor,
  ObservedPort,
  ObservedPortFlags,
  ObservedRoute,
  ObservedVxlan,
} from "../../plan/observed.ts";
import { inetNtop } from "../libc.ts";
import { type Attributes, decodeAttributes, readNested, readNumber, readText } from "./codec.ts";
import {
  ifa,
  iffLowerUp,
  iffUp,
  ifla,
  iflaBr,
  iflaBrport,
  iflaInfo,
  iflaVlan,
  iflaVxlan,
  nda,
  nud,
  route,
  rta,
  rtax,
} from "./constants.ts";

/** The other end of a veth pair. */
export interface Peer {
  /** In its own namespace. */
  readonly index: number;
  /** In another namespace than the end that was asked for. */
  readonly isElsewhere: boolean;
}

/** Sizes of struct ifinfomsg, ifaddrmsg, rtmsg, ndmsg. */
const ifinfoBytes = 16;
const ifaddrBytes = 8;
const rtmsgBytes = 12;
const ndmsgBytes = 12;

/** IFLA_LINK of these is the other end of the pair. */
const pairs: ReadonlySet<string> = new Set(["veth", "netkit", "vxcan"]);

/** AF_… of a message: its first byte in all four structs. */
export const familyOf = (payload: Buffer): number => payload.readUInt8(0);

/** RTM_NEWLINK, RTM_DELLINK. */
export function decodeLink(payload: Buffer): ObservedLink {
  const attributes = decodeAttributes(payload, ifinfoBytes);
  const info = readNested(attributes, ifla.linkInfo);
  const kind = readText(info, iflaInfo.kind);
  const flags = payload.readUInt32LE(8);
  const isOnAnother = !pairs.has(kind) && !attributes.has(ifla.linkNetnsId);
  return {
    index: payload.readInt32LE(4),
    name: readText(attributes, ifla.ifname),
    kind,
    alias: readText(attributes, ifla.ifAlias),
    mac: formatMac(attributes.get(ifla.address)),
    mtuBytes: readNumber(attributes, ifla.mtu),
    up: (flags & iffUp) !== 0,
    master: readNumber(attributes, ifla.master),
    group: readNumber(attributes, ifla.group),
    carrier: (flags & iffLowerUp) !== 0,
    lower: isOnAnother ? readNumber(attributes, ifla.link) : 0,
    ...(kind === "vlan" ? { vlanId: readNumber(readNested(info, iflaInfo.data), iflaVlan.id) } : {}),
    ...(kind === "vxlan" ? { vxlan: decodeVxlan(readNested(info, iflaInfo.data)) } : {}),
    ...(kind === "bridge" ? { nfCall: decodeNfCall(readNested(info, iflaInfo.data)) } : {}),
    ...(readText(info, iflaInfo.slaveKind) === "bridge" ? { hairpin: decodeHairpin(info) } : {}),
  };
}

function decodeVxlan(data: Attributes): ObservedVxlan {
  const local = data.get(iflaVxlan.local) ?? data.get(iflaVxlan.local6);
  return {
    vni: readNumber(data, iflaVxlan.id),
    port: data.get(iflaVxlan.port)?.readUInt16BE() ?? 0,
    local: local === undefined ? "" : inetNtop(local),
    learning: readNumber(data, iflaVxlan.learning) === 1,
  };
}

const decodeNfCall = (bridge: Attributes): boolean =>
  readNumber(bridge, iflaBr.nfCallIptables) === 1 && readNumber(bridge, iflaBr.nfCallIp6tables) === 1;

const decodeHairpin = (info: Attributes): boolean =>
  readNumber(readNested(info, iflaInfo.slaveData), iflaBrport.mode) === 1;

/** A link of ours in a namespace of ours, with what it does as a port of the bridge there. */
export function decodePort(payload: Buffer): ObservedPort {
  const info = readNested(decodeAttributes(payload, ifinfoBytes), ifla.linkInfo);
  const isPort = readText(info, iflaInfo.slaveKind) === "bridge";
  const isBridge = readText(info, iflaInfo.kind) === "bridge";
  return {
    ...decodeLink(payload),
    flags: isPort ? decodePortFlags(readNested(info, iflaInfo.slaveData)) : null,
    ...(isBridge ? { filtersIpv4: readNumber(readNested(info, iflaInfo.data), iflaBr.nfCallIptables) === 1 } : {}),
  };
}

function decodePortFlags(port: Attributes): ObservedPortFlags {
  const isOn = (flag: number): boolean => readNumber(port, flag) === 1;
  const { learning, neighSuppress, unicastFlood, multicastFlood, broadcastFlood } = iflaBrport;
  const floods = new Set([unicastFlood, multicastFlood, broadcastFlood].map(isOn));
  return {
    learning: isOn(learning),
    suppress: isOn(neighSuppress),
    flood: floods.size === 1 ? floods.has(true) : null,
  };
}

/** Of RTM_NEWLINK of a veth link: IFLA_LINK and IFLA_LINK_NETNSID. */
export function decodePeer(payload: Buffer): Peer {
  const attributes = decodeAttributes(payload, ifinfoBytes);
  return { index: readNumber(attributes, ifla.link), isElsewhere: attributes.has(ifla.linkNetnsId) };
}

/** "02:42:ac:12:00:02"; "" for a link without a MAC address. */
export const formatMac = (bytes: Uint8Array | undefined): string =>
  bytes ? Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":") : "";

/** RTM_NEWADDR, RTM_DELADDR. undefined for other families than IPv4 and IPv6. */
export function decodeAddress(payload: Buffer): ObservedAddress | undefined {
  const attributes = decodeAttributes(payload, ifaddrBytes);
  // with a peer address, IFA_ADDRESS is the peer's; IPv6 without a peer has no IFA_LOCAL
  const address = attributes.get(ifa.local) ?? attributes.get(ifa.address);
  if (!address) return undefined;
  return { link: payload.readUInt32LE(4), address: `${inetNtop(address)}/${payload.readUInt8(1)}` };
}

/**
 * RTM_NEWROUTE, RTM_DELROUTE. undefined for what is not unicast, for the local table, and for other families, such as MPLS.
 * @param isWanted of the index of the output link, 0 where there is none or several: undefined for those that are not
 */
export function decodeRoute(
  payload: Buffer,
  isWanted: (link: number) => boolean = () => true,
): ObservedRoute | undefined {
  if (payload.readUInt8(7) !== route.unicast || payload.readUInt8(4) === route.tableLocal) return undefined;
  const length = addressBytes[familyOf(payload)];
  if (length === undefined) return undefined;
  const attributes = decodeAttributes(payload, rtmsgBytes);
  const link = readNumber(attributes, rta.oif);
  if (!isWanted(link)) return undefined;
  const bytes = attributes.get(rta.dst) ?? new Uint8Array(length);
  const source = attributes.get(rta.prefSrc);
  return {
    destination: `${inetNtop(bytes)}/${payload.readUInt8(1)}`,
    link,
    table: readNumber(attributes, rta.table) || payload.readUInt8(4),
    protocol: payload.readUInt8(5),
    source: source === undefined ? "" : inetNtop(source),
  };
}

/** RTM_NEWROUTE in answer to the question which way a packet takes. */
export function decodePath(payload: Buffer): { source: string; link: number; gateway: string; mtuBytes: number } {
  const attributes = decodeAttributes(payload, rtmsgBytes);
  const text = (bytes: Buffer | undefined): string => (bytes === undefined ? "" : inetNtop(bytes));
  return {
    source: text(attributes.get(rta.prefSrc)),
    link: readNumber(attributes, rta.oif),
    gateway: text(attributes.get(rta.gateway)),
    mtuBytes: readNumber(readNested(attributes, rta.metrics), rtax.mtu),
  };
}

/** struct ndmsg of RTM_NEWNEIGH, RTM_DELNEIGH: which link, and NUD_…. */
export const neighborHeader = (payload: Buffer): { family: number; index: number; state: number } => ({
  family: familyOf(payload),
  index: payload.readInt32LE(4),
  state: payload.readUInt16LE(8),
});

/** RTM_NEWNEIGH. undefined for what is not permanent, and for other families, such as the forwarding table of a bridge. */
export function decodeNeighbor(payload: Buffer): ObservedNeighbor | undefined {
  const { family, index, state } = neighborHeader(payload);
  if (addressBytes[family] === undefined || (state & nud.permanent) === 0) return undefined;
  const attributes = decodeAttributes(payload, ndmsgBytes);
  const address = attributes.get(nda.dst);
  if (!address) return undefined;
  return { link: index, address: inetNtop(address), mac: formatMac(attributes.get(nda.lladdr)) };
}

/** Length of an address by AF_…. */
const addressBytes: Readonly<Record<number, number>> = { 2: 4, 10: 16 };
