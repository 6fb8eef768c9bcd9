/**
 * What others change in nf_tables, as the kernel tells it (NFNLGRP_NFTABLES): every object that a transaction made or
 * removed, with the netlink port ID of the socket that it came through. iptables-nft, firewalld and ufw are seen as well.
 */
import { hasErrno } from "../errors.ts";
import { dockerTable } from "../plan/forward.ts";
import { addressFamily, bindBytes, close, recv, socket } from "./libc.ts";
import { setReceiveBuffer } from "./netlink/socket.ts";

/** SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER, and NFNLGRP_NFTABLES as a bit of sockaddr_nl's groups. */
const rawSocket = 3 | 0o4000 | 0o2000000;
const netlinkNetfilter = 12;
const groupNftables = 1 << (7 - 1);

/** MSG_TRUNC, with which recv returns the full length. */
const msgTrunc = 0x20;

/** Room for some thousand notifications; beyond it the kernel says ENOBUFS. */
const queueBytes = 1 << 20;

/** The kernel joins the notifications of a transaction up to NLMSG_GOODSIZE, a page or two. */
const datagramBytes = 1 << 16;

/** struct nlmsghdr and struct nfgenmsg; struct nlattr. include/uapi/linux/netlink.h, …/netfilter/nfnetlink.h. */
const headerBytes = 16 + 4;
const attributeBytes = 4;

/** NFNL_SUBSYS_NFTABLES, and NFPROTO_… of include/uapi/linux/netfilter.h. */
const subsystemNftables = 10;
const family = { inet: 1, ipv4: 2, arp: 3, ipv6: 10 } as const;

/** NFT_MSG_… of include/uapi/linux/netfilter/nf_tables.h. */
const message = { newTable: 0, delTable: 2, newChain: 3, delChain: 5, newRule: 6, delRule: 8, newGen: 15 } as const;

/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE and so on; NFTA_CHAIN_NAME; NFTA_RULE_CHAIN. */
const attribute = { table: 1, chainName: 3, ruleChain: 2 } as const;

/** Where our rule stands, and where Docker names its bridges: plan/forward.ts. */
const watchedChains = new Set([
  "FORWARD",
  "DOCKER-USER",
  "DOCKER-BRIDGE",
  "DOCKER-INTERNAL",
  "DOCKER-ISOLATION-STAGE-1",
]);

/** What changed since the last read, and not by us. */
export interface NftChanges {
  /** Our tables inet tsnet and arp tsnet; in a namespace of ours, ip tsnet-vip. */
  readonly firewall: boolean;
  /**
   * iptables-nft's table filter, or its chains FORWARD, DOCKER-USER and those that name Docker's bridges, IPv4 or IPv6; Docker's
   * own tables or their chains.
   */
  readonly forward: boolean;
  /** Notifications were lost. */
  readonly everything: boolean;
}

export class NftEvents {
  /** Readable when there is something. */
  readonly fd: number;
  readonly #ignored = new Set<number>();
  readonly #buffer = new Uint8Array(datagramBytes);

  /** Of this thread's network namespace. @throws TsnetError "kernel" */
  constructor() {
    this.fd = socket(addressFamily.netlink, rawSocket, netlinkNetfilter);
    try {
      setReceiveBuffer(this.fd, queueBytes);
      bindBytes(this.fd, new Uint8Array(Uint32Array.of(addressFamily.netlink, 0, groupNftables).buffer));
    } catch (error) {
      close(this.fd);
      throw error;
    }
  }

  /** Changes through the socket with this netlink port ID are ours: `Nft.portId`. */
  ignore(portId: number): void {
    this.#ignored.add(portId);
  }

  /** Everything that is queued; does not block. */
  read(): NftChanges {
    let changes: NftChanges = { firewall: false, forward: false, everything: false };
    for (;;) {
      const datagram = this.#receive();
      if (datagram === "nothing") return changes;
      changes = datagram === "lost" ? { ...changes, everything: true } : this.#decode(datagram, changes);
    }
  }

  close(): void {
    close(this.fd);
  }

  #receive(): DataView | "nothing" | "lost" {
    try {
      const length = recv(this.fd, this.#buffer, msgTrunc);
      return length > datagramBytes ? "lost" : new DataView(this.#buffer.buffer, 0, length);
    } catch (error) {
      if (hasErrno(error, "EAGAIN")) return "nothing";
      if (hasErrno(error, "ENOBUFS")) return "lost";
      throw error;
    }
  }

  #decode(datagram: DataView, changes: NftChanges): NftChanges {
    let { firewall, forward } = changes;
    for (const one of messagesOf(datagram)) {
      if (this.#ignored.has(one.sender)) continue;
      if (one.family === family.inet || one.family === family.arp)
        firewall ||= nameIn(one.attributes, attribute.table) === "tsnet";
      else if (one.family === family.ipv4 || one.family === family.ipv6) {
        forward ||= concernsForward(one);
        firewall ||= one.family === family.ipv4 && nameIn(one.attributes, attribute.table) === "tsnet-vip";
      }
    }
    return { ...changes, firewall, forward };
  }
}

interface Message {
  /** NFT_MSG_…. */
  readonly type: number;
  readonly sender: number;
  readonly family: number;
  readonly attributes: DataView;
}

/** The messages of nf_tables in a datagram, without the one that ends each transaction and names no table. */
function* messagesOf(datagram: DataView): Generator<Message> {
  for (let at = 0; at + headerBytes <= datagram.byteLength; ) {
    const length = datagram.getUint32(at, true);
    if (length < headerBytes || at + length > datagram.byteLength) return;
    const type = datagram.getUint16(at + 4, true);
    if (type >> 8 === subsystemNftables && (type & 0xff) !== message.newGen) {
      yield {
        type: type & 0xff,
        sender: datagram.getUint32(at + 12, true),
        family: datagram.getUint8(at + 16),
        attributes: new DataView(datagram.buffer, datagram.byteOffset + at + headerBytes, length - headerBytes),
      };
    }
    at += align(length);
  }
}

function concernsForward({ type, attributes }: Message): boolean {
  const table = nameIn(attributes, attribute.table);
  if (table !== "filter" && table !== dockerTable) return false;
  switch (type) {
    case message.newTable:
    case message.delTable:
      return true;
    case message.newChain:
    case message.delChain:
      return table === dockerTable || watchedChains.has(nameIn(attributes, attribute.chainName));
    case message.newRule:
    case message.delRule:
      return table !== dockerTable && watchedChains.has(nameIn(attributes, attribute.ruleChain));
    default:
      return false;
  }
}

/** The text of an attribute, without its closing zero; "" if it is not there. */
function nameIn(attributes: DataView, wanted: number): string {
  for (let at = 0; at + attributeBytes <= attributes.byteLength; ) {
    const length = attributes.getUint16(at, true);
    if (length < attributeBytes) break;
    if ((attributes.getUint16(at + 2, true) & 0x3fff) === wanted) {
      const start = attributes.byteOffset + at + attributeBytes;
      return Buffer.from(attributes.buffer, start, length - attributeBytes - 1).toString();
    }
    at += align(length);
  }
  return "";
}

/** NLMSG_ALIGN and NLA_ALIGN. */
const align = (length: number): number => (length + 3) & ~3;
