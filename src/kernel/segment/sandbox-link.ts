import { hasErrno } from "../../errors.ts";
import { addressFamily } from "../libc.ts";
import { epollEvents } from "../libc-sockets.ts";
import type { Message } from "../netlink/codec.ts";
import { netlinkRoute, rtm, rtnlgrp } from "../netlink/constants.ts";
import { decodeLink, familyOf } from "../netlink/messages.ts";
import { encodeIfinfo } from "../netlink/rtnetlink.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import type { Poller } from "../ports/poller.ts";
import { framesAtOnce } from "./constants.ts";

/** A link that is up and has a carrier, without which the kernel would drop what is sent. */
export interface UpLink {
  readonly index: number;
  readonly mac: string;
}

/** Which link is waited for, and who is told. */
interface SandboxLinkOptions {
  /** The file of a network namespace. */
  readonly sandbox: string;
  readonly alias: string;
  readonly poller: Poller;
  /** Called each time that it is seen up, until `close`. */
  readonly onUp: (link: UpLink) => void;
  readonly onError: (error: unknown) => void;
}

/** Watches a link in a sandbox, which may not be there yet. */
export class SandboxLink {
  readonly #options: SandboxLinkOptions;
  readonly #events: NetlinkSocket;
  #pollId: number | undefined;
  /** Events were lost, and more may be until the queue is empty: see LinkEvents. */
  #isLost = false;

  /** @throws TsnetError "kernel" */
  constructor(options: SandboxLinkOptions) {
    this.#options = options;
    this.#events = new NetlinkSocket(netlinkRoute, options.sandbox);
  }

  /** Looks how the link is, and then at all that changes. To be closed also if this throws. @throws TsnetError "kernel" */
  start(): void {
    this.#events.join(rtnlgrp.link);
    const onReady = (): void => {
      try {
        this.#read();
      } catch (error) {
        this.#options.onError(error);
      }
    };
    this.#pollId = this.#options.poller.add(this.#events.fd, epollEvents.in, onReady);
    this.#look();
  }

  close(): void {
    if (this.#pollId !== undefined) this.#options.poller.remove(this.#events.fd, this.#pollId);
    this.#events.close();
  }

  /** A socket of its own: what changes meanwhile would be lost among the answers. */
  #look(): void {
    this.#isLost = false;
    const socket = new NetlinkSocket(netlinkRoute, this.#options.sandbox);
    let up: UpLink | undefined;
    const begin = (): void => {
      up = undefined;
    };
    try {
      const request = { type: rtm.getLink, flags: 0, header: encodeIfinfo({}), attributes: [] };
      socket.dump(request, begin, (message) => {
        up ??= this.#decode(message);
      });
    } finally {
      socket.close();
    }
    if (up) this.#options.onUp(up);
  }

  /** Of a flood of events, the first part. */
  #read(): void {
    for (let n = 0; n < framesAtOnce; n++) {
      const messages = this.#receive();
      if (messages === undefined) {
        if (this.#isLost) this.#look();
        return;
      }
      const up = messages.map((message) => this.#decode(message)).find((link) => link !== undefined);
      if (up) {
        this.#options.onUp(up);
        return;
      }
    }
  }

  #receive(): Message[] | undefined {
    try {
      return this.#events.receive();
    } catch (error) {
      if (!hasErrno(error, "ENOBUFS")) throw error;
      this.#isLost = true;
      return [];
    }
  }

  #decode({ type, payload }: Message): UpLink | undefined {
    if (type !== rtm.newLink || familyOf(payload) !== addressFamily.unspec) return undefined;
    const { alias, index, mac, up, carrier } = decodeLink(payload);
    return up && carrier && alias === this.#options.alias ? { index, mac } : undefined;
  }
}
