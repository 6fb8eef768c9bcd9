import { align, attributeEnd, attributeHeaderBytes, attributeType } from "./codec.ts";
import { nda, ntf } from "./constants.ts";

/** Size of struct ndmsg. */
export const ndmsgBytes = 12;
const flagsAt = 10;

/** What a deletion needs to mean exactly the entry that was seen. */
const identifying: ReadonlySet<number> = new Set([
  ...[nda.lladdr, nda.dst, nda.vlan],
  ...[nda.port, nda.vni, nda.ifindex, nda.nhId],
]);

/**
 * RTM_NEWNEIGH and RTM_DELNEIGH, of forwarding entries and of neighbors: include/uapi/linux/neighbour.h. There are ten thousands of
 * them: each is read into the same object, and addresses are texts of one character a byte, which maps are quick with.
 */
export class EntryMessage {
  /** AF_… */
  family = 0;
  /** The port of the bridge, or the link itself. */
  link = 0;
  /** NUD_… */
  state = 0;
  /** NTF_… */
  flags = 0;
  /** Index of the bridge that a forwarding entry is of; 0 for one of a link's own. */
  master = 0;
  vlan = 0;
  mac = "";
  /** The neighbor's address, or the tunnel address; "" for none. */
  address = "";
  /** Whether the tunnel has a UDP port, a VNI, a link or next hops of its own. */
  isOdd = false;

  read(payload: Buffer): void {
    this.family = payload.readUInt8(0);
    this.link = payload.readInt32LE(4);
    this.state = payload.readUInt16LE(8);
    this.flags = payload.readUInt8(flagsAt);
    this.master = 0;
    this.vlan = 0;
    this.mac = "";
    this.address = "";
    this.isOdd = false;
    for (let at = ndmsgBytes, end = 0; at < payload.length; at = align(end)) {
      end = attributeEnd(payload, at, payload.length);
      this.#readAttribute(payload, at, end);
    }
  }

  #readAttribute(payload: Buffer, at: number, end: number): void {
    const value = at + attributeHeaderBytes;
    switch (attributeType(payload, at)) {
      case nda.lladdr:
        this.mac = payload.toString("latin1", value, end);
        break;
      case nda.dst:
        this.address = payload.toString("latin1", value, end);
        break;
      case nda.master:
        this.master = payload.readUInt32LE(value);
        break;
      case nda.vlan:
        this.vlan = payload.readUInt16LE(value);
        break;
      case nda.port:
      case nda.vni:
      case nda.ifindex:
      case nda.nhId:
        this.isOdd = true;
        break;
    }
  }
}

/**
 * Header and attributes of a request that deletes what a message told of, and nothing else. A bridge does not say of its entries that
 * they are of a master, and the kernel has to be told so for those that have other flags: rtnl_fdb_del() in net/core/rtnetlink.c.
 */
export function deletionOf(payload: Buffer): { header: Uint8Array; attributes: [type: number, value: Uint8Array][] } {
  const header = Uint8Array.from(payload.subarray(0, ndmsgBytes));
  const attributes: [number, Uint8Array][] = [];
  for (let at = ndmsgBytes, end = 0; at < payload.length; at = align(end)) {
    end = attributeEnd(payload, at, payload.length);
    const type = attributeType(payload, at);
    if (type === nda.master) header[flagsAt] = ntf.master;
    if (identifying.has(type))
      attributes.push([type, Uint8Array.from(payload.subarray(at + attributeHeaderBytes, end))]);
  }
  return { header, attributes };
}
