import { fstatSync, readdirSync } from "node:fs";
import { TsnetError } from "../errors.ts";
import { addressFamily, isClosedOnExec, setClosedOnExec } from "./libc.ts";
import { isSocketOf, portIdOf } from "./libc-sockets.ts";
import { netlinkNetfilter } from "./netlink/constants.ts";

/**
 * The netlink socket of an nft context, which libnftables does not show, and would leave to each child process: as long as one has it,
 * the tables live that it owns. All other descriptors of this process are closed when a child begins, so that it is the one that is not.
 */
export class NftSocket {
  #fd = -1;
  #inode = 0;

  /** To be called before it is opened: what a parent process has left to this one is none of ours. */
  static prepare(): void {
    for (const fd of inheritable()) setClosedOnExec(fd);
  }

  /** To be called when it has just been opened. @throws TsnetError "kernel" if there is none, or more than one */
  constructor() {
    const found = inheritable();
    if (found.length !== 1)
      throw new TsnetError("kernel", `nft: ${found.length} new sockets of netfilter where one was expected`);
    this.#take(found);
  }

  /** The port ID that the kernel gave it with its first message. */
  get portId(): number {
    return portIdOf(this.#fd);
  }

  /** To be called after each script: libnftables opens its socket anew after some errors. */
  follow(): void {
    if (!this.#isSame()) this.#take(inheritable());
  }

  #take([fd]: readonly number[]): void {
    if (fd === undefined) return;
    setClosedOnExec(fd);
    this.#fd = fd;
    this.#inode = fstatSync(fd).ino;
  }

  #isSame(): boolean {
    try {
      return fstatSync(this.#fd).ino === this.#inode;
    } catch {
      return false; // closed
    }
  }
}

/** Netlink sockets of netfilter that a child process would get. */
const inheritable = (): number[] =>
  readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => !isClosedOnExec(fd) && isSocketOf(fd, addressFamily.netlink, netlinkNetfilter));
