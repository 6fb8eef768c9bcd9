/** How links of ours are made, found again, and taken out of use. */
import { hasErrno, TsnetError } from "../errors.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { RemoveLinks } from "../plan/op-links.ts";
import { aliasOf, quiet } from "./link-attributes.ts";
import { type Attribute, text, u32 } from "./netlink/codec.ts";
import { ifla } from "./netlink/constants.ts";
import type { LinkChange, LinkKey, Rtnetlink } from "./netlink/rtnetlink.ts";

/** The group of links that wait for deletion: "tsne". Groups belong to everybody; nobody takes this one by chance. */
export const removalGroup = 0x74736e65;

/**
 * The group of a link that is being made and has no alias yet, since the kernel takes none with RTM_NEWLINK's creation. Who
 * finds a link in it after a crash knows that it is ours.
 */
export const unfinishedGroup = 0x74736e66;

export const unfinished: Attribute = [ifla.group, u32(unfinishedGroup)];

/** What marks every alias of ours. */
export const aliasPrefix = "tsnet:";

/** What marks the alias of the host's own link on a parent. */
export const shimPrefix = "tsnet:shim:";

/** What marks the alias of the link that has the gateways of an overlay network. */
export const gatewayPrefix = "tsnet:gateway:";

/** Links of ours in one network namespace. */
export class OwnLinks {
  readonly rtnetlink: Rtnetlink;
  /** Kernels before 6.2 refuse to rename a link that is up, with EBUSY. */
  #canRenameUp = true;

  constructor(rtnetlink: Rtnetlink) {
    this.rtnetlink = rtnetlink;
  }

  /** @returns false if there is a link of that name */
  create(name: string, change: LinkChange, ...others: string[]): boolean {
    try {
      this.rtnetlink.createLink(name, change);
      return true;
    } catch (error) {
      if (!hasErrno(error, "EEXIST")) throw error;
      if (this.rtnetlink.getLink({ name })) return false;
      throw this.inTheWay(...others, name);
    }
  }

  /** What follows a creation: if it fails, the link goes again. */
  finish(name: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      ignoring(["ENODEV"], () => this.rtnetlink.deleteLink({ name }));
      throw error;
    }
  }

  /**
   * Gives a link its alias, and has it make no IPv6 address for itself. It must not be taken up by the same request, which would do
   * that first, unless it has no carrier yet (do_setlink() in net/core/rtnetlink.c).
   *
   * With an MTU below 1280 bytes a link has no IPv6, and none has on a kernel that was started with ipv6.disable=1: then the kernel
   * knows no such setting (inet6_validate_link_af() in net/ipv6/addrconf.c), and does not need it.
   */
  nameQuietly(key: LinkKey, alias: string, { attributes, ...change }: LinkChange = { attributes: [] }): void {
    const named = [...aliasOf(alias), ...attributes];
    try {
      this.rtnetlink.changeLink(key, { ...change, attributes: [...named, quiet] });
    } catch (error) {
      if (!hasErrno(error, "EAFNOSUPPORT")) throw error;
      this.rtnetlink.changeLink(key, { ...change, attributes: named });
    }
  }

  /** @throws TsnetError "kernel" with errno ENODEV */
  existing(name: string): ObservedLink {
    return existing(name, this.rtnetlink.getLink({ name }));
  }

  /** The error that names the first of these links that exists. */
  inTheWay(...names: string[]): TsnetError {
    for (const name of names) {
      const link = this.rtnetlink.getLink({ name });
      if (link) return conflict(link, "is in the way");
    }
    return new TsnetError("kernel", `RTM_NEWLINK: EEXIST: ${names.join(" or ")} existed, and is gone`, {
      errno: "EEXIST",
    });
  }

  /** One link of RemoveLinks. @returns whether it was there */
  remove({ name, alias }: RemoveLinks["links"][number]): boolean {
    const link = this.rtnetlink.getLink({ name });
    // A link of somebody else's has the name now: ours is gone, and this one is none of our business.
    if (!link || !isOurs(link, alias)) return false;
    ignoring(["ENODEV"], () => this.takeOut(link));
    return true;
  }

  /** Frees the name of a link, and whatever it is a port of, and leaves the rest to `flush`. */
  takeOut({ index, up, master }: ObservedLink): void {
    const doomed: Attribute[] = [
      [ifla.ifname, text(`tsd-${index.toString(16)}`)],
      [ifla.group, u32(removalGroup)],
    ];
    const free: Attribute[] = master === 0 ? [] : [[ifla.master, u32(0)]];
    if (this.#canRenameUp || !up) {
      try {
        this.rtnetlink.changeLink({ index }, { up: false, attributes: [...doomed, ...free] });
        return;
      } catch (error) {
        if (!hasErrno(error, "EBUSY") || !up) throw error;
        this.#canRenameUp = false;
      }
    }
    this.rtnetlink.changeLink({ index }, { up: false, attributes: free });
    this.rtnetlink.changeLink({ index }, { attributes: doomed });
  }

  /** Deletes all links that were taken out of use. */
  flush(): void {
    ignoring(["ENODEV"], () => this.rtnetlink.deleteGroup(removalGroup));
  }
}

/** What was found under a link's name, which is to be there. @throws TsnetError "kernel" with errno ENODEV */
export function existing<Link>(name: string, found: Link | undefined): Link {
  if (found !== undefined) return found;
  throw new TsnetError("kernel", `RTM_GETLINK: ENODEV No such device: ${name}`, { errno: "ENODEV" });
}

/** Whether a link carries the alias, or was left by a crash before it could get one. */
export const isOurs = (link: ObservedLink, alias: string): boolean => link.alias === alias || isUnfinished(link);

/** Whether a crash has left a link before it could get its alias. */
export const isUnfinished = ({ alias, group }: ObservedLink): boolean => alias === "" && group === unfinishedGroup;

export function conflict(link: ObservedLink, problem: string): TsnetError {
  const kind = link.kind === "" ? "link" : link.kind;
  const alias = link.alias === "" ? "without an alias" : `with the alias ${JSON.stringify(link.alias)}`;
  return new TsnetError("conflict", `the ${kind} ${link.name} ${alias} ${problem}: rename or delete it`);
}

/** Runs `work`; an error with one of these errnos is success. */
export function ignoring(errnos: readonly string[], work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!errnos.some((errno) => hasErrno(error, errno))) throw error;
  }
}
