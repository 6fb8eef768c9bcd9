/** What the kernel says of overlay networks and of the ways to other hosts. */
import { hasErrno } from "../errors.ts";
import type { ObservedNamespace, ObservedPath } from "../plan/observed.ts";
import type { SetSysctl } from "../plan/op.ts";
import type { Inside } from "./inside.ts";
import type { Namespaces } from "./namespaces.ts";
import { inNamespace } from "./netlink/in-namespace.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { readSysctl } from "./sysctl.ts";

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
    addresses: rtnetlink.listAddresses(),
    routes: rtnetlink.listRoutes(() => true),
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

/** The same of the table of virtual IPs: plan/vip-table.ts. */
export const repairVipTable = (namespaces: Namespaces, name: string): readonly string[] =>
  ifThere(namespaces, name, (inside) => inside.repairTable()) ?? [];

/** In their order; null for those that the kernel lacks, as all of a namespace that is gone. */
export function observeSysctls(
  namespaces: Namespaces,
  name: string,
  keys: readonly SetSysctl["key"][],
): readonly (string | null)[] {
  const read = (key: SetSysctl["key"]): string | null => {
    try {
      return readSysctl(key);
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return null;
      throw error;
    }
  };
  return ifThere(namespaces, name, ({ path }) => inNamespace(path, () => keys.map(read))) ?? keys.map(() => null);
}

function ifThere<T>(namespaces: Namespaces, name: string, work: (inside: Inside) => T): T | undefined {
  try {
    return work(namespaces.open(name));
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
