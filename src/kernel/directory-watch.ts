import { checked, close, process, read } from "./libc.ts";

const raw = {
  init: process.func("int inotify_init1(int flags)"),
  add: process.func("int inotify_add_watch(int fd, const char *path, uint32_t mask)"),
};

/** IN_NONBLOCK | IN_CLOEXEC; IN_MOVED_FROM | IN_DELETE of include/uapi/linux/inotify.h. */
const flags = 0o4000 | 0o2000000;
const goes = 0x40 | 0x200;

/** Room for some events, each a struct inotify_event with a name of at most 255 bytes. */
const bufferBytes = 16 << 10;

/** Tells that files of a directory go: man 7 inotify. */
export class DirectoryWatch {
  /** Readable when some have gone. */
  readonly fd: number;
  readonly #buffer = new Uint8Array(bufferBytes);

  /** @throws TsnetError "kernel" with errno ENOENT, or ENOSPC or EMFILE where too many are watched already */
  constructor(path: string) {
    this.fd = checked("inotify_init1", raw.init(flags));
    try {
      checked(`inotify_add_watch ${path}`, raw.add(this.fd, path, goes));
    } catch (error) {
      close(this.fd);
      throw error;
    }
  }

  /** To be called when it is readable: takes some of the events. */
  take(): void {
    read(this.fd, this.#buffer);
  }

  close(): void {
    close(this.fd);
  }
}
