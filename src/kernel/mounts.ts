/** man 2 mount, man 2 umount2. */
import { hasErrno } from "../errors.ts";
import { checked, process } from "./libc.ts";

const raw = {
  umount: process.func("int umount2(const char *target, int flags)"),
  mount: process.func(
    "int mount(const char *source, const char *target, const char *kind, unsigned long flags, const void *data)",
  ),
};

/** MS_… of include/uapi/linux/mount.h; MNT_DETACH of the C library's sys/mount.h. */
const flag = { remount: 32, bind: 4096, recursive: 16384, shared: 1 << 20 } as const;
const mntDetach = 2;

const mount = (words: string, source: string, target: string, flags: number): void => {
  checked(`mount ${words}`, raw.mount(source, target, "none", flags, null));
};

/** Equivalent to: `mount --bind SOURCE TARGET`. */
export const bindMount = (source: string, target: string): void =>
  mount(`--bind ${source} ${target}`, source, target, flag.bind);

/**
 * Makes a directory a mount of its own that is shared with other mount namespaces, as ip-netns(8) does with its: who does that
 * later, when something is mounted in it, hides those mounts, and their files cannot be removed any more.
 */
export function shareDirectory(path: string): void {
  const share = (): void => mount(`--make-rshared ${path}`, "none", path, flag.shared | flag.recursive);
  try {
    share();
  } catch (error) {
    // it is no mount yet
    if (!hasErrno(error, "EINVAL")) throw error;
    mount(`--rbind ${path} ${path}`, path, path, flag.bind | flag.recursive);
    share();
  }
}

/** Equivalent to: `umount -l TARGET`. */
export const detachMount = (target: string): void => {
  checked(`umount ${target}`, raw.umount(target, mntDetach));
};

/** Makes a read-only mount writable, for the mount namespace of this process. */
export const remountWritable = (path: string): void =>
  mount(`-o remount,bind,rw ${path}`, "none", path, flag.remount | flag.bind);
