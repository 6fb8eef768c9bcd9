/** A netlink socket: requests with their answers, one after another, and multicast messages. man 7 netlink. */
import { hasErrno, TsnetError } from "../../errors.ts";
import {
  addressFamily,
  bindBytes,
  close,
  msgDontwait,
  recv,
  recvAsync,
  send,
  sendAsync,
  setsockoptInt,
  socket,
} from "../libc.ts";
import { portIdOf } from "../libc-sockets.ts";
import { changing, Dump, errorOf, nameOf, throwError } from "./answers.ts";
import { decodeMessages, encodeMessage, encodeMessages, type Message, type Request } from "./codec.ts";
import { netlinkOption, nlm, nlmsg } from "./constants.ts";
import { inNamespace } from "./in-namespace.ts";

/** SOCK_RAW | SOCK_CLOEXEC, MSG_TRUNC of the C library's headers. */
const sockRaw = 0x80003;
const msgTrunc = 0x20;

/** SOL_SOCKET, SO_RCVBUF, SO_RCVBUFFORCE of include/uapi/asm-generic/socket.h. */
const socketLevel = 1;
const receiveBuffer = 8;
const receiveBufferForce = 33;

/** The kernel never makes a part of a dump larger than 32 KiB (netlink_dump() in net/netlink/af_netlink.c). */
const datagramBytes = 64 * 1024;

/** How often a dump is begun anew because what it lists has changed meanwhile. */
const maxDumps = 100;

/** So many requests go in a datagram: if all fail, their errors, each less than 1 KiB, have room in a usual receive buffer. */
const requestsAtOnce = 128;

/** struct sockaddr_nl: family, no port ID, no groups. */
const anyAddress = Uint8Array.of(addressFamily.netlink, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

export class NetlinkSocket {
  readonly fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(datagramBytes);
  #sequence = 0;

  /**
   * @param namespacePath the file of a network namespace to open the socket in; this thread's own if it is not given
   * @throws TsnetError "kernel"
   */
  constructor(protocol: number, namespacePath?: string) {
    const openHere = (): number => socket(addressFamily.netlink, sockRaw, protocol);
    this.fd = namespacePath === undefined ? openHere() : inNamespace(namespacePath, openHere);
    try {
      bindBytes(this.fd, anyAddress);
      for (const option of [netlinkOption.capAck, netlinkOption.extAck, netlinkOption.strictCheck])
        this.#prefer(option);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Sends a request and waits for its acknowledgement.
   * @throws TsnetError "kernel" with the errno and the kernel's extended text
   */
  request(request: Request): void {
    this.#exchange({ ...request, flags: request.flags | nlm.request | nlm.ack }, () => false);
  }

  /**
   * As `request` for many, of which a datagram holds several: what one costs by itself is mostly the way there and back. The kernel
   * goes on after one that fails (netlink_rcv_skb() in net/netlink/af_netlink.c).
   * @param onError called for each that failed, in their order
   */
  requestAll<One extends Request>(requests: Iterable<One>, onError: (error: TsnetError, request: One) => void): void {
    const some: One[] = [];
    for (const one of requests) {
      if (some.push(one) === requestsAtOnce) this.#requestSome(some.splice(0), onError);
    }
    if (some.length > 0) this.#requestSome(some, onError);
  }

  /**
   * Asks for one object.
   * @returns the answer, whose payload is valid until the next call
   * @throws TsnetError "kernel" with the errno and the kernel's extended text
   */
  get(request: Request): Message {
    let answer: Message | undefined;
    this.#exchange({ ...request, flags: request.flags | nlm.request }, (message) => {
      answer = message;
      return true;
    });
    if (answer) return answer;
    throw new TsnetError("kernel", `${nameOf(request)}: no answer`);
  }

  /**
   * Sends a dump request and calls back for each message, whose payload is valid during the call. If what is dumped changes
   * meanwhile, everything is dumped again, after a call of `begin`.
   * @throws TsnetError "kernel" with errno EINTR if it changes each time
   */
  dump(request: Request, begin: () => void, visit: (message: Message) => void): void {
    if (this.tryDump(request, begin, visit, maxDumps)) return;
    throw changing(request, maxDumps);
  }

  /**
   * As `dump`, so many times at most.
   * @returns whether the last time nothing changed meanwhile; if not, `visit` was called for what was dumped all the same
   */
  tryDump(request: Request, begin: () => void, visit: (message: Message) => void, attempts: number): boolean {
    for (let n = 0; n < attempts; n++) {
      begin();
      if (!this.#dumpOnce(request, visit)) return true;
    }
    return false;
  }

  /**
   * As `dump`, but what the kernel does for it is done on a thread of Node's pool: this thread does other things meanwhile. No other
   * call of this socket may be made until it has ended.
   */
  async dumpAside(request: Request, begin: () => void, visit: (message: Message) => void): Promise<void> {
    for (let n = 0; n < maxDumps; n++) {
      begin();
      if (!(await this.#dumpOnceAside(request, visit))) return;
    }
    throw changing(request, maxDumps);
  }

  /** What messages about changes that this socket makes carry. */
  get portId(): number {
    return portIdOf(this.fd);
  }

  /** Subscribes to a multicast group. */
  join(group: number): void {
    setsockoptInt(this.fd, netlinkOption.level, netlinkOption.addMembership, group);
  }

  leave(group: number): void {
    setsockoptInt(this.fd, netlinkOption.level, netlinkOption.dropMembership, group);
  }

  /**
   * The multicast messages of one datagram; undefined if there is none now. Their payloads are valid until the next call.
   * @throws TsnetError "kernel" with errno ENOBUFS if messages were lost
   */
  receive(): Message[] | undefined {
    try {
      return decodeMessages(this.#receiveDatagram(msgDontwait));
    } catch (error) {
      if (error instanceof TsnetError && error.errno === "EAGAIN") return undefined;
      throw error;
    }
  }

  close(): void {
    close(this.fd);
  }

  /** @returns whether what was dumped has changed meanwhile */
  #dumpOnce(request: Request, visit: (message: Message) => void): boolean {
    const dump = new Dump(visit);
    this.#exchange(dumpOf(request), dump.take);
    return dump.isInterrupted;
  }

  async #dumpOnceAside(request: Request, visit: (message: Message) => void): Promise<boolean> {
    const dump = new Dump(visit);
    this.#sequence = (this.#sequence + 1) >>> 0;
    await sendAsync(this.fd, encodeMessage(dumpOf(request), this.#sequence));
    while (!this.#take(this.#whole(await recvAsync(this.fd, this.#buffer, msgTrunc)), request, dump.take));
    return dump.isInterrupted;
  }

  /** Sends, and calls back for each message until `visit` says that it was the last, or NLMSG_DONE or NLMSG_ERROR. */
  #exchange(request: Request, visit: (message: Message) => boolean): void {
    this.#sequence = (this.#sequence + 1) >>> 0;
    send(this.fd, encodeMessage(request, this.#sequence));
    while (!this.#take(this.#receiveDatagram(0), request, visit));
  }

  /** @returns whether the answer has ended */
  #take(datagram: Buffer, request: Request, visit: (message: Message) => boolean): boolean {
    for (const message of decodeMessages(datagram)) {
      if (message.sequence !== this.#sequence) continue; // the rest of an answer that was given up
      const isEnd = message.type === nlmsg.error || message.type === nlmsg.done;
      if (isEnd) throwError(message, nameOf(request));
      if (visit(message) || isEnd) return true;
    }
    return false;
  }

  /** Only the last is acknowledged, and what fails: the answers are in the order of the requests. */
  #requestSome<One extends Request>(requests: readonly One[], onError: (error: TsnetError, one: One) => void): void {
    const first = this.#sequence + 1;
    const last = requests.length - 1;
    this.#sequence = (this.#sequence + requests.length) >>> 0;
    const flagsOf = (n: number): number => nlm.request | (n === last ? nlm.ack : 0);
    const messages = requests.map((one, n) => ({ ...one, flags: one.flags | flagsOf(n), sequence: (first + n) >>> 0 }));
    send(this.fd, encodeMessages(messages));
    for (let isDone = false; !isDone; ) {
      for (const message of decodeMessages(this.#receiveDatagram(0))) {
        const n = (message.sequence - first) >>> 0;
        const request = requests[n];
        if (request === undefined || message.type !== nlmsg.error) continue; // the rest of an answer that was given up
        const error = errorOf(message, nameOf(request));
        if (error) onError(error, request);
        isDone = n === last;
      }
    }
  }

  #receiveDatagram(flags: number): Buffer {
    return this.#whole(recv(this.fd, this.#buffer, flags | msgTrunc));
  }

  #whole(length: number): Buffer {
    if (length <= this.#buffer.length) return this.#buffer.subarray(0, length);
    throw new TsnetError("kernel", `netlink: a datagram of ${length} bytes, more than ${this.#buffer.length}`);
  }

  /** An option that kernels before 4.20 lack, and without which everything works: with shorter error texts. */
  #prefer(option: number): void {
    try {
      setsockoptInt(this.fd, netlinkOption.level, option, 1);
    } catch (error) {
      if (!(error instanceof TsnetError && error.errno === "ENOPROTOOPT")) throw error;
    }
  }
}

/** Sets the size of a socket's receive buffer in bytes, beyond net.core.rmem_max where this process may: not in a user namespace. */
export function setReceiveBuffer(fd: number, bytes: number): void {
  try {
    setsockoptInt(fd, socketLevel, receiveBufferForce, bytes);
  } catch (error) {
    if (!hasErrno(error, "EPERM")) throw error;
    setsockoptInt(fd, socketLevel, receiveBuffer, bytes);
  }
}

const dumpOf = (request: Request): Request => ({ ...request, flags: request.flags | nlm.request | nlm.dump });
