/** Numbers of link layer frames and packet sockets, by the names that headers and RFCs give them. */

/** AF_PACKET of include/linux/socket.h. */
export const packetFamily = 17;

/** SOL_PACKET of include/linux/socket.h; PACKET_…_MEMBERSHIP and PACKET_MR_MULTICAST of include/uapi/linux/if_packet.h. */
export const packetOption = { addMembership: [263, 1], dropMembership: [263, 2] } as const;
export const multicastMembership = 0;

/** BPF_… of include/uapi/linux/bpf_common.h: load from the frame, compare with a constant, return. */
export const bpf = {
  ...{ loadWord: 0x20, loadByte: 0x30 },
  ...{ jumpEqual: 0x15, jumpGreater: 0x25, jumpSet: 0x45 },
  return: 0x06,
} as const;

/** SKF_AD_OFF + SKF_AD_PKTTYPE of include/uapi/linux/filter.h, as an unsigned number: where the kind of a packet is read. */
export const bpfPacketType = (-0x1000 + 4) >>> 0;

/**
 * PACKET_MULTICAST of include/uapi/linux/if_packet.h. Kinds up to it are for this link; above are others' packets, those of a VLAN
 * that has no link here (__netif_receive_skb_core() in net/core/dev.c), and our own.
 */
export const lastOwnPacketType = 2;

/** ETH_P_… of include/uapi/linux/if_ether.h. */
export const etherType = { arp: 0x0806, ipv4: 0x0800, ipv6: 0x86dd } as const;

/** Bytes of a MAC address, and of an Ethernet header (RFC 894). */
export const macBytes = 6;
export const ethernetBytes = 14;

/** ARPHRD_ETHER and ARPOP_… of include/uapi/linux/if_arp.h. */
export const arpHardware = 1;
export const arpOperation = { request: 1, reply: 2 } as const;

/** IPPROTO_ICMPV6 of include/uapi/linux/in6.h. */
export const icmp6Protocol = 58;

/** NDISC_NEIGHBOUR_… and ND_OPT_…_LL_ADDR of include/net/ndisc.h (RFC 4861, 4.3, 4.4 and 4.6.1). */
export const neighbor = { solicitation: 135, advertisement: 136, sourceOption: 1, targetOption: 2 } as const;

/** The flag Override of a neighbor advertisement (RFC 4861, 4.4). */
export const overrideFlag = 0x20;

/** What every packet of neighbor discovery has: it did not come through a router (RFC 4861, 7.1). */
export const neighborHopLimit = 255;

/** When an address is asked for, in ms from one to the next: at 0, 250 and 500 ms. RFC 5227 would wait some seconds longer. */
export const probePausesMs = [250, 250, 400] as const;

/** How long a link may take to come up in its sandbox. */
export const announceWithinMs = 5000;

/** So many frames are looked at before other work has its turn. */
export const framesAtOnce = 32;
