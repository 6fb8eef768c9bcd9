/** Attributes of links, as ensure and remove need them. */
import type { LanLinkKind } from "../plan/op-links.ts";
import type { EnsureVxlan, PortFlags } from "../plan/op-overlay.ts";
import { addressFamily, inetPton } from "./libc.ts";
import { type Attribute, encodeEmbedded, text, u8, u16, u32 } from "./netlink/codec.ts";
import {
  ifla,
  iflaBr,
  iflaBrport,
  iflaInet6,
  iflaInfo,
  iflaIpvlan,
  iflaMacvlan,
  iflaVlan,
  iflaVxlan,
  ipvlanFlags,
  ipvlanModes,
  macvlanModes,
  vethInfoPeer,
  vxlanDfSet,
} from "./netlink/constants.ts";
import { encodeIfinfo } from "./netlink/rtnetlink.ts";

/** IFLA_INFO_KIND. */
export const kindOf = (kind: string): Attribute => [iflaInfo.kind, text(kind)];

/** null leaves the MTU alone. */
export const mtuOf = (mtuBytes: number | null): Attribute[] => (mtuBytes === null ? [] : [[ifla.mtu, u32(mtuBytes)]]);

/** The alias, which also ends the making of a link. */
export const aliasOf = (alias: string): Attribute[] => [
  [ifla.ifAlias, text(alias)],
  [ifla.group, u32(0)],
];

/** A link that makes no IPv6 address for itself. */
export const quiet: Attribute = [ifla.afSpec, [[addressFamily.inet6, [[iflaInet6.addrGenMode, u8(iflaInet6.none)]]]]];

/** IFLA_LINKINFO of a bridge. @param nfCall null leaves it alone */
export const bridgeOf = (nfCall: boolean | null, withoutVlans = false): Attribute => [
  ifla.linkInfo,
  [
    kindOf("bridge"),
    [iflaInfo.data, [...(nfCall === null ? [] : nfCallOf(nfCall)), ...(withoutVlans ? [noDefaultPvid] : [])]],
  ],
];

/** IFLA_LINKINFO of a bridge: whether it shows bridged packets of IPv4 to tables. */
export const filterIpv4Of = (on: boolean): Attribute => [
  ifla.linkInfo,
  [kindOf("bridge"), [iflaInfo.data, [[iflaBr.nfCallIptables, u8(on ? 1 : 0)]]]],
];

const noDefaultPvid: Attribute = [iflaBr.vlanDefaultPvid, u16(0)];

const nfCallOf = (on: boolean): Attribute[] => [
  [iflaBr.nfCallIptables, u8(on ? 1 : 0)],
  [iflaBr.nfCallIp6tables, u8(on ? 1 : 0)],
];

/** IFLA_LINKINFO of a link that is a port of a bridge. */
export const hairpinOf = (on: boolean): Attribute => [
  ifla.linkInfo,
  [
    [iflaInfo.slaveKind, text("bridge")],
    [iflaInfo.slaveData, [[iflaBrport.mode, u8(on ? 1 : 0)]]],
  ],
];

/** IFLA_LINKINFO of a port of a bridge of an overlay network. */
export const portFlagsOf = ({ learning, suppress, flood }: PortFlags): Attribute => [
  ifla.linkInfo,
  [
    [iflaInfo.slaveKind, text("bridge")],
    [
      iflaInfo.slaveData,
      [
        [iflaBrport.learning, u8(learning ? 1 : 0)],
        [iflaBrport.neighSuppress, u8(suppress ? 1 : 0)],
        ...[iflaBrport.unicastFlood, iflaBrport.multicastFlood, iflaBrport.broadcastFlood].map(
          (flag): Attribute => [flag, u8(flood ? 1 : 0)],
        ),
      ],
    ],
  ],
];

/** IFLA_LINKINFO of a VXLAN link; a packet that does not fit the way is refused, not cut into fragments. */
export function vxlanInfo({
  vni,
  port,
  local,
  flags,
}: Pick<EnsureVxlan, "vni" | "port" | "local" | "flags">): Attribute {
  const bigEndianPort = Buffer.allocUnsafe(2);
  bigEndianPort.writeUInt16BE(port);
  const address = inetPton(local);
  const data: Attribute[] = [
    [iflaVxlan.id, u32(vni)],
    [iflaVxlan.port, bigEndianPort],
    [address.length === 4 ? iflaVxlan.local : iflaVxlan.local6, address],
    [iflaVxlan.learning, u8(flags.learning ? 1 : 0)],
    [iflaVxlan.df, u8(vxlanDfSet)],
  ];
  return [ifla.linkInfo, [kindOf("vxlan"), [iflaInfo.data, data]]];
}

/** "02:42:ac:12:00:02" */
export const encodeMac = (mac: string): Uint8Array =>
  Uint8Array.from(mac.split(":"), (part) => Number.parseInt(part, 16));

/** What is to be a veth pair: IFLA_LINKINFO with the other end, and what both ends have. */
export function pairOf(peer: string, both: readonly Attribute[]): Attribute[] {
  const shared: Attribute[] = [...both, ...oneQueue];
  const embedded = encodeEmbedded(encodeIfinfo({}), [[ifla.ifname, text(peer)], ...shared]);
  return [...shared, [ifla.linkInfo, [kindOf("veth"), [iflaInfo.data, [[vethInfoPeer, embedded]]]]]];
}

/**
 * veth uses one queue either way (veth_init_queues() in drivers/net/veth.c), but makes one for each CPU first: a sixth of the
 * time of the creation with two CPUs, more with more.
 */
const oneQueue: readonly Attribute[] = [
  [ifla.numTxQueues, u32(1)],
  [ifla.numRxQueues, u32(1)],
];

/** IFLA_LINKINFO of a link that leads nowhere. */
export const dummyInfo: Attribute = [ifla.linkInfo, [kindOf("dummy")]];

/** IFLA_LINKINFO of an 802.1Q link. */
export const vlanInfo = (vlanId: number): Attribute => [
  ifla.linkInfo,
  [kindOf("vlan"), [iflaInfo.data, [[iflaVlan.id, u16(vlanId)]]]],
];

/** IFLA_LINKINFO of a macvlan or ipvlan link. */
export const lanInfo = (link: LanLinkKind): Attribute => [
  ifla.linkInfo,
  [kindOf(link.kind), [iflaInfo.data, lanDataOf(link)]],
];

const lanDataOf = (link: LanLinkKind): Attribute[] =>
  link.kind === "macvlan"
    ? [[iflaMacvlan.mode, u32(macvlanModes[link.mode])]]
    : [
        [iflaIpvlan.mode, u16(ipvlanModes[link.mode])],
        [iflaIpvlan.flags, u16(ipvlanFlags[link.flag])],
      ];
