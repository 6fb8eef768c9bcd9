/** What is in network namespaces of containers. */
import { hasErrno } from "../errors.ts";
import type { ObservedLink } from "../plan/observed.ts";
import { Rtnetlink } from "./netlink/rtnetlink.ts";
import { aliasPrefix } from "./own-links.ts";

/** What a path that is no network namespace gives, or none any more: what is left of one after its unmount is an ordinary file. */
const noNamespace = ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP", "EINVAL"];

/** Whether what failed is that a path is no network namespace. */
export const isNoNamespace = (error: unknown): boolean => noNamespace.some((errno) => hasErrno(error, errno));

/** The links of ours in the network namespace with this file; null if it is none. @throws TsnetError "kernel" */
export const observeSandboxLinks = (path: string): ObservedLink[] | null =>
  withSandbox(path, (inside) => inside.listLinks().filter(({ alias }) => alias.startsWith(aliasPrefix)));

/** Runs `work` with a socket in the network namespace with this file; null if it is none. @throws TsnetError "kernel" */
export function withSandbox<T>(path: string, work: (inside: Rtnetlink) => T): T | null {
  let inside: Rtnetlink;
  try {
    inside = new Rtnetlink(path);
  } catch (error) {
    if (isNoNamespace(error)) return null;
    throw error;
  }
  try {
    return work(inside);
  } finally {
    inside.close();
  }
}
