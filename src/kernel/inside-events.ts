/**
 * What changes in a network namespace of ours, as the kernel tells it: links, ports of the bridge, forwarding entries, neighbors, and
 * what virtual IPs need.
 */
import { hasErrno } from "../errors.ts";
import { withoutLearned } from "./learned-filter.ts";
import { attachFilter } from "./libc-sockets.ts";
import type { Message } from "./netlink/codec.ts";
import { netlinkRoute, rtm, rtnlgrp } from "./netlink/constants.ts";
import { NetlinkSocket, setReceiveBuffer } from "./netlink/socket.ts";

/** Room for some thousand messages; beyond it the kernel says ENOBUFS. */
const queueBytes = 4 << 20;

/** Who knows how things should be. */
export interface Judge {
  /** Says of an entry whether it is as it should be, if it is one of ours: the last message counts. */
  judge(message: Message, isNew: boolean, verdicts: Map<string, boolean>): void;
  /** Whether the link with this index is as we have left it. */
  isAsLeft(link: number): boolean;
  /** Whether somebody has taken something away that virtual IPs need: vip-events.ts. */
  isVipLoss(message: Message): boolean;
}

/**
 * Messages about forwarding entries do not say who brought them about (fdb_notify() in net/bridge/br_fdb.c), so that what counts is
 * not who did something, but whether the result is what it should be.
 */
export class InsideEvents {
  readonly #socket: NetlinkSocket;
  readonly #judge: Judge;

  /** @param path the namespace's file. @throws TsnetError "kernel" */
  constructor(path: string, judge: Judge) {
    this.#socket = new NetlinkSocket(netlinkRoute, path);
    this.#judge = judge;
    try {
      setReceiveBuffer(this.fd, queueBytes);
      const { link, neighbor, ipv4IfAddr, ipv4Route, ipv4Netconf } = rtnlgrp;
      for (const group of [link, neighbor, ipv4IfAddr, ipv4Route, ipv4Netconf]) this.#socket.join(group);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Readable when there is something. */
  get fd(): number {
    return this.#socket.fd;
  }

  /** Where bridges learn, what they learn is not told of: whoever floods them with addresses would keep this thread busy. */
  ignoreLearned(): void {
    attachFilter(this.fd, withoutLearned);
  }

  /** Reads all that is queued; does not block. @returns whether something is not as it should be, or messages were lost */
  read(): boolean {
    const verdicts = new Map<string, boolean>();
    const links = new Set<number>();
    let lost = false;
    for (let messages = this.#receive(); messages; messages = this.#receive()) {
      if (messages === "lost") lost = true;
      else {
        for (const message of messages) {
          this.#take(message, verdicts, links);
          lost ||= this.#judge.isVipLoss(message);
        }
      }
    }
    // each is asked, so that one that is gone is forgotten
    const changed = [...links].filter((link) => !this.#judge.isAsLeft(link));
    return lost || changed.length > 0 || verdicts.values().some((isRight) => !isRight);
  }

  close(): void {
    this.#socket.close();
  }

  #take(message: Message, verdicts: Map<string, boolean>, links: Set<number>): void {
    switch (message.type) {
      case rtm.newNeigh:
      case rtm.delNeigh:
        this.#judge.judge(message, message.type === rtm.newNeigh, verdicts);
        break;
      case rtm.newLink:
      case rtm.delLink:
        // struct ifinfomsg; of a port of a bridge there are messages of AF_BRIDGE as well
        links.add(message.payload.readInt32LE(4));
    }
  }

  /** "lost" comes once, and the kernel goes on losing until the queue is empty: see events.ts. */
  #receive(): Message[] | "lost" | undefined {
    try {
      return this.#socket.receive();
    } catch (error) {
      if (hasErrno(error, "ENOBUFS")) return "lost";
      throw error;
    }
  }
}
