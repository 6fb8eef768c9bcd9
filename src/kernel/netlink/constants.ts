/** Numbers of the kernel's, by the names that its headers give them. */

/** include/uapi/linux/netlink.h */
export const nlm = {
  request: 0x1,
  ack: 0x4,
  /** On a part of a dump: what was dumped has changed meanwhile. */
  dumpInterrupted: 0x10,
  /** NLM_F_ROOT | NLM_F_MATCH. */
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
  /** On an error: the request is not repeated. */
  capped: 0x100,
  /** On an error: attributes follow. */
  ackTlvs: 0x200,
} as const;

/** NLMSG_…: message types of every family. */
export const nlmsg = { noop: 1, error: 2, done: 3, overrun: 4 } as const;

/** NLMSGERR_ATTR_… */
export const nlmsgerrAttr = { message: 1 } as const;

/** NETLINK_… socket options, at level SOL_NETLINK. */
export const netlinkOption = {
  level: 270,
  addMembership: 1,
  dropMembership: 2,
  capAck: 10,
  extAck: 11,
  strictCheck: 12,
} as const;

/** NETLINK_ROUTE */
export const netlinkRoute = 0;

/** RTM_… of include/uapi/linux/rtnetlink.h */
export const rtm = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  newAddr: 20,
  delAddr: 21,
  getAddr: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeigh: 28,
  delNeigh: 29,
  getNeigh: 30,
  newNetconf: 80,
} as const;

/** The header's names, for messages. */
export const rtmNames: Readonly<Record<number, string>> = {
  [rtm.newLink]: "RTM_NEWLINK",
  [rtm.delLink]: "RTM_DELLINK",
  [rtm.getLink]: "RTM_GETLINK",
  [rtm.newAddr]: "RTM_NEWADDR",
  [rtm.delAddr]: "RTM_DELADDR",
  [rtm.getAddr]: "RTM_GETADDR",
  [rtm.newRoute]: "RTM_NEWROUTE",
  [rtm.delRoute]: "RTM_DELROUTE",
  [rtm.getRoute]: "RTM_GETROUTE",
  [rtm.newNeigh]: "RTM_NEWNEIGH",
  [rtm.delNeigh]: "RTM_DELNEIGH",
  [rtm.getNeigh]: "RTM_GETNEIGH",
};

/** RTNLGRP_…: multicast groups. */
export const rtnlgrp = {
  link: 1,
  neighbor: 3,
  ipv4IfAddr: 5,
  ipv4Route: 7,
  ipv6IfAddr: 9,
  ipv6Route: 11,
  ipv4Netconf: 24,
} as const;

/** NETCONFA_… of include/uapi/linux/netconf.h, and the index that stands for all links. */
export const netconf = { index: 1, forwarding: 2, rpFilter: 3, all: -1 } as const;

/** IFLA_… of include/uapi/linux/if_link.h */
export const ifla = {
  address: 1,
  ifname: 3,
  mtu: 4,
  link: 5,
  master: 10,
  linkInfo: 18,
  ifAlias: 20,
  afSpec: 26,
  group: 27,
  netNsFd: 28,
  extMask: 29,
  numTxQueues: 31,
  numRxQueues: 32,
  linkNetnsId: 37,
} as const;

/** IFLA_INFO_…, inside IFLA_LINKINFO. */
export const iflaInfo = { kind: 1, data: 2, slaveKind: 4, slaveData: 5 } as const;

/** IFLA_BR_…, inside IFLA_INFO_DATA of a bridge. */
export const iflaBr = { nfCallIptables: 36, nfCallIp6tables: 37, vlanDefaultPvid: 39 } as const;

/** IFLA_BRPORT_…, inside IFLA_INFO_SLAVE_DATA of a bridge port. `mode` is the hairpin flag. */
export const iflaBrport = {
  mode: 4,
  learning: 8,
  unicastFlood: 9,
  multicastFlood: 27,
  broadcastFlood: 30,
  neighSuppress: 32,
} as const;

/** IFLA_VXLAN_…, inside IFLA_INFO_DATA of a vxlan link; the port is in the network's byte order. VXLAN_DF_SET of the same header. */
export const iflaVxlan = { id: 1, local: 4, learning: 7, port: 15, local6: 17, df: 29 } as const;
export const vxlanDfSet = 1;

/** IFLA_VLAN_…, inside IFLA_INFO_DATA of a vlan. */
export const iflaVlan = { id: 1 } as const;

/** IFLA_MACVLAN_…, inside IFLA_INFO_DATA of a macvlan link, and MACVLAN_MODE_… by the words of ip-link(8). */
export const iflaMacvlan = { mode: 1 } as const;
export const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;

/** IFLA_IPVLAN_…, inside IFLA_INFO_DATA of an ipvlan link, IPVLAN_MODE_… and IPVLAN_F_… by the words of ip-link(8). */
export const iflaIpvlan = { mode: 1, flags: 2 } as const;
export const ipvlanModes = { l2: 0, l3: 1, l3s: 2 } as const;
export const ipvlanFlags = { bridge: 0, private: 1, vepa: 2 } as const;

/** VETH_INFO_PEER of include/uapi/linux/veth.h: a struct ifinfomsg and attributes. */
export const vethInfoPeer = 1;

/** IFLA_INET6_ADDR_GEN_MODE, inside AF_INET6 of IFLA_AF_SPEC, and its value "none". */
export const iflaInet6 = { addrGenMode: 8, none: 1 } as const;

/** RTEXT_FILTER_SKIP_STATS */
export const skipStats = 1 << 3;

/** IFF_UP and IFF_LOWER_UP of include/uapi/linux/if.h */
export const iffUp = 1;
export const iffLowerUp = 1 << 16;

/** IFA_… of include/uapi/linux/if_addr.h */
export const ifa = { address: 1, local: 2, broadcast: 4 } as const;

/** IFA_F_NODAD: no duplicate address detection. */
export const ifaNodad = 2;

/** RTA_… of include/uapi/linux/rtnetlink.h */
export const rta = { dst: 1, oif: 4, gateway: 5, priority: 6, prefSrc: 7, metrics: 8, table: 15 } as const;

/** RTAX_…, inside RTA_METRICS. */
export const rtax = { mtu: 2 } as const;

/** RT_TABLE_…, RTPROT_…, RT_SCOPE_… and RTN_… of the same header. */
export const route = {
  tableMain: 254,
  tableLocal: 255,
  protocolKernel: 2,
  protocolBoot: 3,
  scopeUniverse: 0,
  scopeLink: 253,
  scopeHost: 254,
  scopeNowhere: 255,
  unicast: 1,
  local: 2,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
} as const;

/** NDA_… and NUD_… of include/uapi/linux/neighbour.h */
export const nda = { dst: 1, lladdr: 2, vlan: 5, port: 6, vni: 7, ifindex: 8, master: 9, nhId: 13 } as const;
export const nud = { noarp: 0x40, permanent: 0x80 } as const;

/** NTF_…: flags of struct ndmsg. */
export const ntf = { self: 0x2, master: 0x4, sticky: 0x40 } as const;

/** NETLINK_NETFILTER */
export const netlinkNetfilter = 12;

/** NFPROTO_… of include/uapi/linux/netfilter.h. */
export const nfproto = { inet: 1, ipv4: 2, arp: 3, bridge: 7, ipv6: 10 } as const;

/** NFT_MSG_… of include/uapi/linux/netfilter/nf_tables.h, below NFNL_SUBSYS_NFTABLES. */
export const nftMessage = {
  getTable: 0xa01,
  getChain: 0xa04,
  getRule: 0xa07,
  getSet: 0xa0a,
  getSetElem: 0xa0d,
  getObject: 0xa13,
  getFlowtable: 0xa17,
} as const;

/** The header's names, for messages. */
export const nftMessageNames: Readonly<Record<number, string>> = {
  [nftMessage.getTable]: "NFT_MSG_GETTABLE",
  [nftMessage.getChain]: "NFT_MSG_GETCHAIN",
  [nftMessage.getRule]: "NFT_MSG_GETRULE",
  [nftMessage.getSet]: "NFT_MSG_GETSET",
  [nftMessage.getSetElem]: "NFT_MSG_GETSETELEM",
  [nftMessage.getObject]: "NFT_MSG_GETOBJ",
  [nftMessage.getFlowtable]: "NFT_MSG_GETFLOWTABLE",
};

/** NFTA_CHAIN_… of the same header. */
export const nftaChain = { table: 1, name: 3 } as const;

/** NFTA_SET_…: attributes of a set or map. */
export const nftaSet = {
  table: 1,
  name: 2,
  flags: 3,
  keyType: 4,
  dataType: 6,
  expression: 17,
  expressions: 18,
} as const;

/** NFT_SET_…: bits of NFTA_SET_FLAGS. */
export const nftSet = { anonymous: 0x1, interval: 0x4, map: 0x8, object: 0x40 } as const;

/** NFT_DATA_VERDICT, as NFTA_SET_DATA_TYPE. */
export const nftDataVerdict = 0xffffff00;

/** NFTA_SET_ELEM_LIST_…, and NFTA_LIST_ELEM in the last of them. */
export const nftaElemList = { table: 1, set: 2, elements: 3 } as const;

/** NFTA_SET_ELEM_…: attributes of an element. */
export const nftaElem = { key: 1, data: 2, flags: 3, expression: 7, keyEnd: 10 } as const;

/** NFT_SET_ELEM_…: bits of NFTA_SET_ELEM_FLAGS. */
export const nftElem = { intervalEnd: 0x1 } as const;

/** NFTA_DATA_…, inside a key or data; NFTA_VERDICT_… inside the second. */
export const nftaData = { value: 1, verdict: 2 } as const;
export const nftaVerdict = { code: 1, chain: 2 } as const;

/** NFTA_EXPR_…, and NFTA_COUNTER_… inside the data of an expression "counter". */
export const nftaExpr = { name: 1, data: 2 } as const;
export const nftaCounter = { bytes: 1, packets: 2 } as const;

/** IPCTNL_MSG_CT_… of include/uapi/linux/netfilter/nfnetlink_conntrack.h, below NFNL_SUBSYS_CTNETLINK. */
export const ctMessage = { new: 0x100, get: 0x101, delete: 0x102 } as const;

/** CTA_… of the same header: attributes of a flow. */
export const cta = { tupleOrig: 1, tupleReply: 2, status: 3, protoinfo: 4, id: 12, zone: 18, filter: 25 } as const;

/** CTA_TUPLE_…, CTA_IP_… and CTA_PROTO_…, inside a tuple. Ports are in the network's byte order. */
export const ctaTuple = { ip: 1, proto: 2 } as const;
export const ctaIp = { v4Src: 1, v4Dst: 2, v6Src: 3 } as const;
export const ctaProto = { num: 1, dstPort: 3 } as const;

/** CTA_FILTER_…_FLAGS, inside CTA_FILTER. */
export const ctaFilter = { origFlags: 1, replyFlags: 2 } as const;
