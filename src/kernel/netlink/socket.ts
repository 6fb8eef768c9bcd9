/** A netlink socket: requests with their answers, one after another, and multicast messages. man 7 netlink. */
import { TsnetError } from "../../errors.ts";
import {
  addressFamily,
  bindBytes,
  close,
  describeErrno,
  errnoName,
  open,
  recv,
  send,
  setNetworkNamespace,
  setsockoptInt,
  socket,
} from "../libc.ts";
import { decodeAttributes, decodeMessages, encodeMessage, type Message, type Request, readText } from "./codec.ts";
import { netlinkOption, nlm, nlmsg, nlmsgerrAttr, rtmNames } from "./constants.ts";

/** SOCK_RAW | SOCK_CLOEXEC, SOCK_NONBLOCK, MSG_DONTWAIT, MSG_TRUNC, O_RDONLY | O_CLOEXEC of the C library's headers. */
const sockRaw = 0x80003;
const msgDontwait = 0x40;
const msgTrunc = 0x20;
const readOnly = 0x80000;

/** SOL_SOCKET, SO_RCVBUF, SO_RCVBUFFORCE of include/uapi/asm-generic/socket.h. */
const socketLevel = 1;
const receiveBuffer = 8;
const receiveBufferForce = 33;

/** The kernel never makes a part of a dump larger than 32 KiB (netlink_dump() in net/netlink/af_netlink.c). */
const datagramBytes = 64 * 1024;

/** How often a dump is begun anew because what it lists has changed meanwhile. */
const maxDumps = 100;

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
   */
  dump(request: Request, begin: () => void, visit: (message: Message) => void): void {
    for (let n = 0; n < maxDumps; n++) {
      begin();
      if (!this.#dumpOnce(request, visit)) return;
    }
    throw new TsnetError("kernel", `${nameOf(request)}: changed during each of ${maxDumps} dumps`, { errno: "EINTR" });
  }

  /** Subscribes to a multicast group. */
  join(group: number): void {
    setsockoptInt(this.fd, netlinkOption.level, netlinkOption.addMembership, group);
  }

  /** Sets the size of the receive buffer in bytes, beyond net.core.rmem_max where this process may. */
  setReceiveBuffer(bytes: number): void {
    try {
      setsockoptInt(this.fd, socketLevel, receiveBufferForce, bytes);
    } catch (error) {
      if (!(error instanceof TsnetError && error.errno === "EPERM")) throw error;
      setsockoptInt(this.fd, socketLevel, receiveBuffer, bytes);
    }
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
    let interrupted = false;
    this.#exchange({ ...request, flags: request.flags | nlm.request | nlm.dump }, (message) => {
      if ((message.flags & nlm.dumpInterrupted) !== 0) interrupted = true;
      if (message.type !== nlmsg.done) visit(message);
      return false;
    });
    return interrupted;
  }

  /** Sends, and calls back for each message until `visit` says that it was the last, or NLMSG_DONE or NLMSG_ERROR. */
  #exchange(request: Request, visit: (message: Message) => boolean): void {
    this.#sequence = (this.#sequence + 1) >>> 0;
    send(this.fd, encodeMessage(request, this.#sequence));
    for (;;) {
      for (const message of decodeMessages(this.#receiveDatagram(0))) {
        if (message.sequence !== this.#sequence) continue; // the rest of an answer that was given up
        const isEnd = message.type === nlmsg.error || message.type === nlmsg.done;
        if (isEnd) throwError(message, nameOf(request));
        if (visit(message) || isEnd) return;
      }
    }
  }

  #receiveDatagram(flags: number): Buffer {
    const length = recv(this.fd, this.#buffer, flags | msgTrunc);
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

const nameOf = (request: Request): string => rtmNames[request.type] ?? `message ${request.type}`;

/** struct nlmsgerr, and the errno at the head of NLMSG_DONE: 0 or a negative errno. */
function throwError({ type, flags, payload }: Message, request: string): void {
  const errno = payload.length < 4 ? 0 : -payload.readInt32LE();
  if (errno === 0) return;
  const extended = extendedText(type, flags, payload);
  const message = `${request}: ${describeErrno(errno)}${extended && `: ${extended}`}`;
  throw new TsnetError("kernel", message, { errno: errnoName(errno) });
}

/** NLMSGERR_ATTR_MSG, behind the errno of NLMSG_DONE or the errno and the repeated request of NLMSG_ERROR. */
function extendedText(type: number, flags: number, payload: Buffer): string {
  if ((flags & nlm.ackTlvs) === 0) return "";
  const repeated = (flags & nlm.capped) !== 0 ? 16 : payload.length >= 8 ? (payload.readUInt32LE(4) + 3) & ~3 : 0;
  return readText(decodeAttributes(payload, type === nlmsg.done ? 4 : 4 + repeated), nlmsgerrAttr.message);
}

/** Runs `work` with this thread in another network namespace. */
function inNamespace<T>(path: string, work: () => T): T {
  const own = open("/proc/thread-self/ns/net", readOnly);
  try {
    const other = open(path, readOnly);
    try {
      setNetworkNamespace(other);
      try {
        return work();
      } finally {
        setNetworkNamespace(own);
      }
    } finally {
      close(other);
    }
  } finally {
    close(own);
  }
}
