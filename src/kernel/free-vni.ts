import { randomBytes } from "node:crypto";
import { hasErrno } from "../errors.ts";
import { vxlanInfo } from "./link-attributes.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { ignoring, unfinished } from "./own-links.ts";

/** What is asked about: a VNI is one link's for each UDP port and family of addresses. */
export interface VniQuestion {
  readonly vni: number;
  readonly port: number;
  /** This host's tunnel address. */
  readonly local: string;
}

/**
 * Whether a VXLAN link with this VNI can be made. Links that were made here and moved to another network namespace count as well, and
 * are seen nowhere (vxlan_vni_in_use() in drivers/net/vxlan/vxlan_core.c): so one is made, and deleted again.
 * @throws TsnetError "kernel"
 */
export function isVniFree(rtnetlink: Rtnetlink, question: VniQuestion): boolean {
  const name = `tsx-${randomBytes(5).toString("hex")}`;
  const flags = { learning: false, suppress: false, flood: false };
  try {
    rtnetlink.createLink(name, { attributes: [vxlanInfo({ ...question, flags }), unfinished] });
  } catch (error) {
    if (hasErrno(error, "EEXIST")) return false;
    throw error;
  }
  ignoring(["ENODEV"], () => rtnetlink.deleteLink({ name }));
  return true;
}
