/** Which forwarding entries and neighbors there are to be, kept so that ten thousands are compared within milliseconds. */
import { type Entry, type Place, placeEntries } from "../plan/places.ts";
import { addressFamily, inetNtop, inetPton } from "./libc.ts";
import { ntf, nud } from "./netlink/constants.ts";
import type { EntryMessage } from "./netlink/entry-message.ts";
import { formatMac } from "./netlink/messages.ts";

export type Table = Entry["table"];

/** The kernel's numbers of the links; 0 for one that is not there. */
export interface Where {
  readonly bridge: number;
  readonly vxlan: number;
  /** Of a port, by name; undefined for one that is not there. */
  readonly port: (name: string) => number | undefined;
  /** The reverse; the number as a text for one without a name. */
  readonly name: (port: number) => string;
}

/** An entry that is to be there. */
export interface Wanted {
  readonly table: Table;
  /** What there can be only one of, as bytes of one character each: the MAC address, or the IP address. */
  readonly key: string;
  /** What it leads to, likewise: a tunnel address, a MAC address; or the name of a port. */
  readonly value: string;
  /** The comparison that has seen it last. */
  seenIn: number;
}

/** The entries of a place have its MAC address in common. */
let lastMac = { text: "", bytes: "" };

/** As bytes of one character each: "02:42:0a:01:00:02", "10.1.0.2". */
const bytesOf = {
  mac: (text: string): string => {
    if (text !== lastMac.text) {
      lastMac = { text, bytes: Buffer.from(text.replaceAll(":", ""), "hex").toString("latin1") };
    }
    return lastMac.bytes;
  },
  ip: (ip: string): string => Buffer.from(inetPton(ip)).toString("latin1"),
};

/** The bytes of a text of one character each. */
export const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** The MAC address under which a VXLAN link has the hosts to which goes what is for all. */
export const nobody = "\0".repeat(6);

export class EntryIndex {
  readonly #tables: Readonly<Record<Table, Map<string, Wanted>>> = {
    bridge: new Map(),
    vxlan: new Map(),
    flood: new Map(),
    neighbor: new Map(),
  };
  /** Keys, with their tables, of what was put or deleted since a comparison began; undefined where there is none. */
  #touched: Set<string> | undefined;

  get(table: Table, key: string): Wanted | undefined {
    return this.#tables[table].get(key);
  }

  /** Replaces what has the same key. */
  put(wanted: Wanted): void {
    this.#tables[wanted.table].set(wanted.key, wanted);
    this.#touched?.add(`${wanted.table} ${wanted.key}`);
  }

  delete({ table, key }: Pick<Wanted, "table" | "key">): void {
    this.#tables[table].delete(key);
    this.#touched?.add(`${table} ${key}`);
  }

  /** From now on, `isTouched` knows what is put and deleted, until `forgetTouched`. */
  noteTouched(): void {
    this.#touched = new Set();
  }

  forgetTouched(): void {
    this.#touched = undefined;
  }

  isTouched({ table, key }: Pick<Wanted, "table" | "key">): boolean {
    return this.#touched?.has(`${table} ${key}`) ?? false;
  }

  all(table: Table): Iterable<Wanted> {
    return this.#tables[table].values();
  }
}

export const wantedOf = (place: Place): Wanted[] => placeEntries(place).map(encodeEntry);

export function encodeEntry(entry: Entry): Wanted {
  const { table } = entry;
  switch (table) {
    case "bridge":
      return { table, key: bytesOf.mac(entry.mac), value: entry.port, seenIn: 0 };
    case "vxlan":
      return { table, key: bytesOf.mac(entry.mac), value: bytesOf.ip(entry.vtep), seenIn: 0 };
    case "flood":
      return { table, key: bytesOf.ip(entry.vtep), value: "", seenIn: 0 };
    case "neighbor":
      return { table, key: bytesOf.ip(entry.ip), value: bytesOf.mac(entry.mac), seenIn: 0 };
  }
}

/** For people: see describeEntry. */
export function decodeEntry({ table, key, value }: Pick<Wanted, "table" | "key" | "value">): Entry {
  const ip = (text: string): string => (text === "" ? "" : inetNtop(bytes(text)));
  switch (table) {
    case "bridge":
      return { table, mac: formatMac(bytes(key)), port: value };
    case "vxlan":
      return { table, mac: formatMac(bytes(key)), vtep: ip(value) };
    case "flood":
      return { table, vtep: ip(key) };
    case "neighbor":
      return { table, ip: ip(key), mac: formatMac(bytes(value)) };
  }
}

/** Which table an entry of the kernel's is in; undefined for none of ours. */
export function tableOf(message: EntryMessage, { bridge, vxlan }: Pick<Where, "bridge" | "vxlan">): Table | undefined {
  const { family, master, link } = message;
  if (family !== addressFamily.bridge) {
    return link === bridge && (family === addressFamily.inet || family === addressFamily.inet6)
      ? "neighbor"
      : undefined;
  }
  if (master !== 0) return master === bridge && message.vlan === 0 ? "bridge" : undefined;
  if (link !== vxlan) return undefined;
  return message.mac === nobody ? "flood" : "vxlan";
}

export const keyOf = (table: Table, { mac, address }: EntryMessage): string =>
  table === "flood" || table === "neighbor" ? address : mac;

/** Whether it is neither learned nor a link's own address. */
export function isSet(table: Table, { state }: EntryMessage): boolean {
  if (table === "bridge") return state === nud.noarp;
  return (state & (table === "neighbor" ? nud.permanent : nud.permanent | nud.noarp)) !== 0;
}

/** Whether an entry with the same key, which is set, is as it should be. */
export function isAsWanted(wanted: Wanted, message: EntryMessage, where: Where): boolean {
  switch (wanted.table) {
    case "bridge":
      return (message.flags & ntf.sticky) !== 0 && message.link === where.port(wanted.value);
    case "vxlan":
      return message.address === wanted.value && !message.isOdd;
    case "flood":
      return !message.isOdd;
    case "neighbor":
      return message.mac === wanted.value;
  }
}
