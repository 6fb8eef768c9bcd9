/** What the kernel says of overlay networks and of the ways to other hosts. */
import { hasErrno } from "../errors.ts";
import type { ObservedNamespace, ObservedPath } from "../plan/observed.ts";
import type { Inside } from "./inside.ts";
import type { Namespaces } from "./namespaces.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";

/** undefined where there is no way. */
export function observePath(rtnetlink: Rtnetlink, address: string): ObservedPath | undefined {
  try {
    const { link, mtuBytes, ...path } = rtnetlink.getPath(address);
    const out = rtnetlink.getLink({ index: link });
    return out && { ...path, link: out.name, mtuBytes: mtuBytes || out.mtuBytes };
  } catch (error) {
    if (["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL"].some((errno) => hasErrno(error, errno))) return undefined;
    throw error;
  }
}

/** null for one that is gone. */
export const observeNamespace = (namespaces: Namespaces, name: string): ObservedNamespace | null =>
  ifThere(namespaces, name, ({ rtnetlink }) => ({
    links: rtnetlink.listPorts(),
    isPinned: namespaces.isPinned(name),
  })) ?? null;

/** @returns what was wrong, in words; nothing of one that is gone */
export const repairEntries = async (
  namespaces: Namespaces,
  name: string,
  isComplete: boolean,
): Promise<readonly string[]> => (await ifThere(namespaces, name, (inside) => inside.repairEntries(isComplete))) ?? [];

/** The same of the table of what goes the short way: plan/direct.ts. */
export const repairDirectTable = (namespaces: Namespaces, name: string, isComplete: boolean): readonly string[] =>
  ifThere(namespaces, name, (inside) => inside.repairDirect(isComplete)) ?? [];

function ifThere<T>(namespaces: Namespaces, name: string, work: (inside: Inside) => T): T | undefined {
  try {
    return work(namespaces.open(name));
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
