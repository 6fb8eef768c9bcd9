/** Whether this host has what tsnet is made of. Looks, and changes nothing. */
import { readFileSync } from "node:fs";
import { explain, hasErrno, TsnetError } from "../errors.ts";
import { kindOf } from "./link-attributes.ts";
import { ifla, netlinkNetfilter } from "./netlink/constants.ts";
import { Rtnetlink } from "./netlink/rtnetlink.ts";
import { NetlinkSocket } from "./netlink/socket.ts";
import { Nft } from "./nft.ts";

/** CAP_NET_ADMIN of include/uapi/linux/capability.h. */
const netAdmin = 1n << 12n;

/** Each thing that is missing, with what to do about it; none if all is there. */
export function missingPrerequisites(): TsnetError[] {
  if (!hasNetAdmin()) {
    const what = "CAP_NET_ADMIN is missing: run tsnet as root, or give it this capability";
    return [new TsnetError("kernel", what, { errno: "EPERM" })];
  }
  return [...["bridge", "veth"].flatMap(missingLinkKind), ...missingNft()];
}

function hasNetAdmin(): boolean {
  const [, effective = "0"] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return (BigInt(`0x${effective}`) & netAdmin) !== 0n;
}

/**
 * No link can have a name with a slash in it: the kernel says EOPNOTSUPP if it does not know the kind, and EINVAL if it does
 * (rtnl_newlink() in net/core/rtnetlink.c, dev_valid_name() in net/core/dev.c).
 */
export function missingLinkKind(kind: string): TsnetError[] {
  const rtnetlink = new Rtnetlink();
  try {
    rtnetlink.createLink("tsnet/probe", { attributes: [[ifla.linkInfo, [kindOf(kind)]]] });
    return [];
  } catch (error) {
    if (!hasErrno(error, "EOPNOTSUPP")) return [];
    const what = `the kernel knows no links of kind ${kind}: load the module ${kind}, or take a kernel that has it`;
    return [new TsnetError("kernel", what, { cause: error })];
  } finally {
    rtnetlink.close();
  }
}

function missingNft(): TsnetError[] {
  try {
    new NetlinkSocket(netlinkNetfilter).close(); // first: libnftables ends the process if it gets none
    new Nft().close();
    return [];
  } catch (error) {
    if (explain(error).includes("libnftables")) return [error as TsnetError];
    const what =
      "the kernel has no nf_tables that can be used: load the module nf_tables, or take a kernel that has it";
    return [new TsnetError("kernel", what, { cause: error })];
  }
}
