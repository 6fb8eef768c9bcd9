/** Forwarding entries and neighbors as requests of rtnetlink: man 8 bridge, man 8 ip-neighbour. */
import { hasErrno, TsnetError } from "../errors.ts";
import { describeEntry } from "../plan/places.ts";
import { bytes, decodeEntry, nobody, type Wanted, type Where } from "./entry-index.ts";
import { addressFamily } from "./libc.ts";
import type { Attribute, Request } from "./netlink/codec.ts";
import { nda, nlm, ntf, nud, rtm } from "./netlink/constants.ts";
import { encodeNeighbor } from "./netlink/requests.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { existing } from "./own-links.ts";

/** What is to be done about one entry. */
export interface EntryRequest extends Request {
  /** undefined for a deletion. */
  readonly put?: Wanted;
}

const { create, replace, append } = nlm;

/**
 * Equivalent to, by table: `bridge fdb replace MAC dev PORT master static sticky`; `bridge fdb replace MAC dev VXLAN dst VTEP self
 * permanent`; `bridge fdb append 00:00:00:00:00:00 dev VXLAN dst VTEP self permanent`; `ip neigh replace IP lladdr MAC dev BRIDGE nud
 * permanent`.
 * @throws TsnetError "kernel" with errno ENODEV for a link that is not there
 */
export function putRequest(put: Wanted, where: Where): EntryRequest {
  const { table, key, value } = put;
  const link = linkOf(put, where);
  const { noarp, permanent } = nud;
  const type = { put, type: rtm.newNeigh, flags: create | (table === "flood" ? append : replace) };
  switch (table) {
    case "bridge": {
      const header = encodeNeighbor(addressFamily.bridge, link, noarp, ntf.master | ntf.sticky);
      return { ...type, header, attributes: [[nda.lladdr, bytes(key)]] };
    }
    case "neighbor": {
      const header = encodeNeighbor(familyOf(key), link, permanent);
      return { ...type, header, attributes: [[nda.dst, bytes(key)] as const, [nda.lladdr, bytes(value)] as const] };
    }
    default: {
      const header = encodeNeighbor(addressFamily.bridge, link, permanent, ntf.self);
      return { ...type, header, attributes: table === "flood" ? tunnel(nobody, key) : tunnel(key, value) };
    }
  }
}

function linkOf({ table, value }: Wanted, { bridge, vxlan, port }: Where): number {
  if (table === "bridge") return existing(value, port(value));
  if (table === "neighbor") return existing("the bridge", bridge || undefined);
  return existing("the VXLAN link", vxlan || undefined);
}

/** Equivalent to: `bridge fdb get`, `ip neigh get`. Of the flood list the kernel tells one host only. @param link as of deletionRequest */
export function question(one: Wanted, link: number): EntryRequest {
  return { ...deletionRequest(one, link), type: rtm.getNeigh };
}

/** The reverse; of a tunnel entry, wherever it leads to. @param link the port, the VXLAN link, or the bridge of a neighbor */
export function deletionRequest({ table, key }: Wanted, link: number): EntryRequest {
  const type = { type: rtm.delNeigh, flags: 0 };
  if (table === "neighbor") {
    return { ...type, header: encodeNeighbor(familyOf(key), link), attributes: [[nda.dst, bytes(key)]] };
  }
  const header = encodeNeighbor(addressFamily.bridge, link, 0, table === "bridge" ? ntf.master : ntf.self);
  return { ...type, header, attributes: table === "flood" ? tunnel(nobody, key) : [[nda.lladdr, bytes(key)]] };
}

/**
 * Sends them in their order. What is gone already is success, and a host that is in the flood list.
 * @throws TsnetError "kernel" with the errno of the first that failed, when all was done that could be
 */
export function sendEntries(rtnetlink: Rtnetlink, requests: Iterable<EntryRequest>): void {
  let first: TsnetError | undefined;
  rtnetlink.requestAll(requests, (error, { put }) => {
    const ignored = put ? (put.table === "flood" ? ["EEXIST"] : []) : ["ENOENT", "ENODEV", "EINVAL"];
    if (!ignored.some((errno) => hasErrno(error, errno))) first ??= put ? about(put, error) : error;
  });
  if (first) throw first;
}

const about = (put: Wanted, cause: TsnetError): TsnetError =>
  new TsnetError("kernel", describeEntry(decodeEntry(put)), { cause });

const tunnel = (mac: string, vtep: string): Attribute[] => [
  [nda.lladdr, bytes(mac)],
  [nda.dst, bytes(vtep)],
];

const familyOf = (address: string): number => (address.length === 4 ? addressFamily.inet : addressFamily.inet6);
