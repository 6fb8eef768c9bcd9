/** How links with a parent, and parents, are created; and in words what the kernel has against it. */
import { hasErrno, TsnetError } from "../errors.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { LanLink } from "../plan/op-links.ts";
import { encodeMac, lanInfo, mtuOf } from "./link-attributes.ts";
import { type Attribute, u32 } from "./netlink/codec.ts";
import { ifla } from "./netlink/constants.ts";
import { type OwnLinks, unfinished } from "./own-links.ts";

const loopbackMac = "00:00:00:00:00:00";

/** A link that does not exist yet. */
export interface NewLink {
  readonly name: string;
  readonly kind: string;
  readonly attributes: readonly Attribute[];
  /** What the kernel refused, in words; undefined if there are no better ones than its own. */
  readonly explain: (error: unknown) => TsnetError | undefined;
}

/** The kernel's module of a kind, where it has another name. */
const modules: Readonly<Record<string, string>> = { vlan: "8021q" };

/**
 * Creates a link, unfinished. What was taken out of use holds its parent, or its VLAN ID, until it is deleted: if that may be what
 * the kernel minds, it is asked again without it.
 * @returns false if there is a link of that name
 * @throws TsnetError "kernel" or "conflict", with the errno
 */
export function makeLink(own: OwnLinks, { name, kind, attributes, explain }: NewLink): boolean {
  const create = (): void => own.rtnetlink.createLink(name, { attributes: [...attributes, unfinished] });
  try {
    try {
      create();
    } catch (error) {
      if (hasErrno(error, "EEXIST") && own.rtnetlink.getLink({ name })) return false;
      if (!["EBUSY", "EEXIST", "EINVAL"].some((errno) => hasErrno(error, errno))) throw error;
      own.flush();
      create();
    }
    return true;
  } catch (error) {
    throw missingKind(error, kind) ?? explain(error) ?? error;
  }
}

/** rtnl_newlink() in net/core/rtnetlink.c, which has tried to load the module "rtnl-link-KIND". */
function missingKind(error: unknown, kind: string): TsnetError | undefined {
  if (!hasErrno(error, "EOPNOTSUPP")) return undefined;
  const module = modules[kind] ?? kind;
  const what = `its module ${module} is not loaded and could not be: modprobe ${module}`;
  return new TsnetError("kernel", `the kernel cannot make a link of type ${kind}: ${what}`, { errno: "EOPNOTSUPP" });
}

/** A macvlan or ipvlan link. @throws TsnetError "invalid" if its MTU is larger than the parent's */
export function newLanLink({ name, link, mac, mtuBytes }: LanLink, parent: ObservedLink): NewLink {
  if (mtuBytes !== null && mtuBytes > parent.mtuBytes) {
    const most = `the MTU of a link cannot be larger than that of its parent, and ${parent.name} has ${parent.mtuBytes}`;
    throw new TsnetError("invalid", `MTU ${mtuBytes}: ${most}: give at most this, or raise the parent's`, {
      errno: "EINVAL",
    });
  }
  const address: Attribute[] = mac === null ? [] : [[ifla.address, encodeMac(mac)]];
  return {
    ...{ name, kind: link.kind },
    attributes: [[ifla.link, u32(parent.index)], lanInfo(link), ...address, ...mtuOf(mtuBytes)],
    explain: (error) => refusedLanLink(error, link.kind, parent),
  };
}

/** macvlan_common_newlink() in drivers/net/macvlan.c, ipvlan_link_new() in drivers/net/ipvlan/ipvlan_main.c. */
function refusedLanLink(error: unknown, kind: LanLink["link"]["kind"], parent: ObservedLink): TsnetError | undefined {
  const look = "ip -d link show tells what is on it";
  if (hasErrno(error, "EBUSY")) {
    const one =
      "a link can be the parent of macvlan links, or of ipvlan links, or a port of a bridge or a bond, but not two of these";
    return new TsnetError("conflict", `${parent.name} is in use otherwise: ${one}: ${look}`, { errno: "EBUSY" });
  }
  if (!hasErrno(error, "EINVAL")) return undefined;
  if (parent.mac === "" || parent.mac === loopbackMac) {
    const what = `${parent.name} is no Ethernet link, which the parent of a link of type ${kind} must be`;
    return new TsnetError("invalid", what, { errno: "EINVAL" });
  }
  if (kind !== "macvlan") return undefined;
  const alone = "one in mode passthru must be the only macvlan link of its parent";
  return new TsnetError("conflict", `the kernel refuses this macvlan link on ${parent.name}: ${alone}: ${look}`, {
    errno: "EINVAL",
  });
}

/** Why a macvlan link does not come up (macvlan_open()); the error itself if that is not why. */
export function refusedUp(error: unknown, { mac, parent }: LanLink): unknown {
  if (!hasErrno(error, "EADDRINUSE")) return error;
  const what = `${parent}, or another macvlan link on it that is up, has the MAC address ${mac ?? "of this link"}`;
  return new TsnetError("conflict", `${what}: give another one, or stop what has it`, { errno: "EADDRINUSE" });
}
