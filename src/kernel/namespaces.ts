/**
 * Network namespaces of ours. Each is pinned by a file, as ip-netns(8) does it, so that it and the links in it live on without this
 * process, whatever ends it.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, statfsSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { TsnetError } from "../errors.ts";
import type { KernelChange } from "./change.ts";
import { DirectoryWatch } from "./directory-watch.ts";
import { Inside } from "./inside.ts";
import { close } from "./libc.ts";
import { Epoll, epollEvents } from "./libc-sockets.ts";
import { bindMount, detachMount, shareDirectory } from "./mounts.ts";
import { inNamespace, inNewNamespace } from "./netlink/in-namespace.ts";
import { ignoring } from "./own-links.ts";
import { setSysctl } from "./sysctl.ts";

/** NSFS_MAGIC of include/uapi/linux/magic.h: the file system of namespaces. */
const nsfsMagic = 0x6e736673;

/** Those that are ours: net/names.ts. */
const ownName = /^tsnet-[0-9a-z]{11}$/;

/** What a namespace of ours is like: no addresses of its own, and frames are not shown to firewalls. A kernel may lack any of these. */
const sysctls: readonly (readonly [key: readonly string[], value: string])[] = [
  [["net", "ipv6", "conf", "all", "disable_ipv6"], "1"],
  [["net", "ipv6", "conf", "default", "disable_ipv6"], "1"],
  [["net", "bridge", "bridge-nf-call-iptables"], "0"],
  [["net", "bridge", "bridge-nf-call-ip6tables"], "0"],
  [["net", "bridge", "bridge-nf-call-arptables"], "0"],
];

/** A namespace that something was done in. */
interface Opened {
  readonly inside: Inside;
  /** Its events, among those that are waited for. */
  readonly watched: readonly { readonly fd: number; readonly id: number }[];
}

export class Namespaces {
  readonly #directory: string;
  readonly #opened = new Map<string, Opened>();
  /** Names of the namespaces whose sockets are readable; null for the directory. */
  readonly #ready = new Epoll<string | null>();
  #watch: DirectoryWatch | undefined;

  /** @param directory "/run/netns" */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes it, if it is not there, or pins it again, if somebody has removed its file. @throws TsnetError "kernel" */
  ensure(name: string): void {
    if (!this.isPinned(name)) this.#pin(name);
    this.#watchDirectory();
    inNamespace(this.open(name).path, () => {
      for (const [key, value] of sysctls) setSysctl({ op: "set-sysctl", key, value, optional: true });
    });
  }

  /** With all links in it, also if its file is gone. One that is gone is success. @throws TsnetError "kernel" */
  remove(name: string): void {
    const path = this.pathOf(name);
    // what is left to the kernel takes it a while, in which the VNI is taken
    if (this.has(name)) this.open(name).clear();
    this.#forget(name);
    unpin(path);
    removeFile(path);
  }

  /** What acts in it. @throws TsnetError "not-found" with errno ENOENT */
  open(name: string): Inside {
    const opened = this.#opened.get(name)?.inside;
    if (opened) return opened;
    const path = this.pathOf(name);
    if (!isNamespace(path)) throw new TsnetError("not-found", `${path} is no network namespace`, { errno: "ENOENT" });
    const watched: { fd: number; id: number }[] = [];
    const watch = (fd: number): void => void watched.push({ fd, id: this.#ready.add(fd, epollEvents.in, name) });
    const made = new Inside(path, watch);
    try {
      watch(made.events.fd);
      this.#opened.set(name, { inside: made, watched });
    } catch (error) {
      made.close();
      throw error;
    }
    return made;
  }

  /** Whether there is one, pinned or not. */
  has(name: string): boolean {
    return this.#opened.has(name) || isNamespace(this.pathOf(name));
  }

  /**
   * Those that there are, by name; also what a crash has left of one whose making or removal had begun.
   * @throws TsnetError "invalid" if the directory is none
   */
  list(): string[] {
    try {
      return readdirSync(this.#directory).filter((name) => ownName.test(name));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return [];
      if (code !== "ENOTDIR") throw error;
      const what = `TSNET_NETNS_DIR=${this.#directory} is not a directory: remove it, or name another`;
      throw new TsnetError("invalid", what, { cause: error });
    }
  }

  /** Whether its file is there, and is not another namespace's. */
  isPinned(name: string): boolean {
    const path = this.pathOf(name);
    const opened = this.#opened.get(name);
    if (opened === undefined) return isNamespace(path);
    const found = isNamespace(path) ? statSync(path, { throwIfNoEntry: false }) : undefined;
    return found?.ino === fstatSync(opened.inside.fd).ino;
  }

  /** Those that something was done in. */
  opened(): Inside[] {
    return [...this.#opened.values()].map(({ inside }) => inside);
  }

  pathOf(name: string): string {
    return join(this.#directory, name);
  }

  /** Readable when something has changed. */
  get fd(): number {
    return this.#ready.fd;
  }

  /** Which namespaces are not as they should be, of those whose changes are queued; does not block. */
  read(): KernelChange[] {
    const changed = new Set<string>();
    for (const id of this.#ready.ready()) {
      const name = this.#ready.get(id);
      if (name === null) for (const lost of this.#unpinned()) changed.add(lost);
      else if (name !== undefined && this.#opened.get(name)?.inside.readEvents()) changed.add(name);
    }
    return [...changed].map((name) => ({ what: "namespace", name }));
  }

  close(): void {
    for (const name of [...this.#opened.keys()]) this.#forget(name);
    this.#watch?.close();
    close(this.#ready.fd);
  }

  /** One that somebody has unpinned lives on with what is open in it. */
  #pin(name: string): void {
    const path = this.pathOf(name);
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    shareDirectory(this.#directory);
    unpin(path);
    closeSync(openSync(path, "a", 0o444));
    const opened = this.#opened.get(name);
    // from inside: a copy of the mount that was removed leaves one of its own behind in other mount namespaces when it is unmounted
    const pin = (): void => bindMount("/proc/thread-self/ns/net", path);
    if (opened) inNamespace(opened.inside.path, pin);
    else inNewNamespace(pin);
  }

  #forget(name: string): void {
    const opened = this.#opened.get(name);
    if (opened === undefined) return;
    this.#opened.delete(name);
    for (const { fd, id } of opened.watched) this.#ready.remove(fd, id);
    opened.inside.close();
  }

  /** Where the host watches too many directories already, the regular comparison finds a file that was removed. */
  #watchDirectory(): void {
    if (this.#watch !== undefined) return;
    ignoring(["ENOSPC", "EMFILE"], () => {
      this.#watch = new DirectoryWatch(this.#directory);
      this.#ready.add(this.#watch.fd, epollEvents.in, null);
    });
  }

  #unpinned(): string[] {
    this.#watch?.take();
    return [...this.#opened.keys()].filter((name) => !this.isPinned(name));
  }
}

/** Whether the file is a namespace: what is left of one after its unmount is an empty ordinary file. */
function isNamespace(path: string): boolean {
  try {
    return statfsSync(path).type === nsfsMagic;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (["ENOENT", "ENOTDIR", "ESTALE"].includes(code)) return false;
    throw error;
  }
}

/** Of several mounts, one above the other, the next is seen when the last is gone. */
function unpin(path: string): void {
  while (isNamespace(path)) detachMount(path);
}

/** One that is hidden below a mount of the directory, with a mount of its own, cannot be removed; it holds an empty namespace. */
function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!["ENOENT", "EBUSY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
