import { randomInt } from "node:crypto";
import { constants } from "node:os";
import { hasErrno } from "../../errors.ts";
import type { PathAnswer, PathProbe, PathProbes } from "../../plan/path-probe.ts";
import { addressFamily, bindBytes, close, errnoName, inetPton, socket } from "../libc.ts";
import {
  EAGAIN,
  encodeSocketAddress,
  epollEvents,
  protocolNumber,
  setOption,
  socketType,
  tryConnect,
  tryRecv,
  trySend,
} from "../libc-sockets.ts";
import { inNamespace } from "../netlink/in-namespace.ts";
import type { Poller } from "../ports/poller.ts";
import { encodeEcho, isEchoReply } from "./icmp.ts";

/**
 * IP_MTU_DISCOVER of include/uapi/linux/in.h, IPV6_MTU_DISCOVER of in6.h; IP_PMTUDISC_PROBE: never in fragments, whatever is known
 * of the path.
 */
const mtuDiscover = { 4: [0, 10], 6: [41, 23] } as const;
const pmtudiscProbe = 3;

/** IPPROTO_ICMP and IPPROTO_ICMPV6 of include/uapi/linux/in.h and in6.h. */
const icmpProtocol = { 4: 1, 6: 58 } as const;

/** IP header (IPv4 without options), UDP header. */
const ipBytes = { 4: 20, 6: 40 } as const;
const udpBytes = 8;

/** The head of an answer. */
const headBytes = 128;

/** So many messages are looked at a time: a socket for echoes gets those of others, too. */
const readsAtOnce = 100;

/** A probe whose answer is waited for. */
interface Pending {
  readonly fd: number;
  /** @returns "" as long as no answer has come */
  readonly receive: () => string;
  /** The poller's. */
  readonly id: number;
  readonly result: PromiseWithResolvers<PathAnswer>;
  readonly sentAt: number;
}

/**
 * Asks other hosts by single packets, never in fragments. A datagram to a port where nobody listens is answered by the kernel there,
 * "port unreachable", after it has found its checksum right (__udp4_lib_rcv() in net/ipv4/udp.c): it takes no program there.
 */
export class PathProber {
  readonly #poller: Pick<Poller, "add" | "remove">;
  readonly #pending = new Set<Pending>();
  readonly #head = Buffer.alloc(headBytes);

  constructor(poller: Pick<Poller, "add" | "remove">) {
    this.#poller = poller;
  }

  /**
   * Sends all, and waits.
   * @param path of the namespace; null for this thread's own
   * @returns the answers, in the order of the probes
   * @throws TsnetError "kernel", for want of descriptors or of the namespace
   */
  async probe({ source, probes, waitMs }: PathProbes, path: string | null): Promise<PathAnswer[]> {
    const own: Pending[] = [];
    const end = (): void => {
      for (const one of own) this.#giveUp(one);
    };
    const send = (): Promise<PathAnswer>[] => probes.map((probe) => this.#send(probe, source, own));
    const timer = setTimeout(end, waitMs);
    try {
      return await Promise.all(path === null ? send() : inNamespace(path, send));
    } finally {
      clearTimeout(timer);
      end();
    }
  }

  /** Ends all that wait. */
  stop(): void {
    for (const one of this.#pending) this.#end(one, "silent");
  }

  /** @param own where what is waited for is added to */
  #send(probe: PathProbe, source: string | null, own: Pending[]): Promise<PathAnswer> {
    const fd = openSocket(probe, familyOf(probe));
    try {
      return this.#sendBy(fd, probe, source, own);
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  #sendBy(fd: number, probe: PathProbe, source: string | null, own: Pending[]): Promise<PathAnswer> {
    const family = familyOf(probe);
    const id = randomInt(1, 0xffff);
    const refused = (errno: number): Promise<PathAnswer> => {
      close(fd);
      return Promise.resolve({ outcome: errnoName(-errno), ms: 0 });
    };
    setOption(fd, mtuDiscover[family], pmtudiscProbe);
    if (source !== null && !bound(fd, source)) return refused(-constants.errno.EADDRNOTAVAIL);
    const target = encodeSocketAddress(inetPton(probe.address), probe.kind === "udp" ? probe.port : 0);
    const connected = tryConnect(fd, target);
    if (connected < 0) return refused(connected);
    const sentAt = performance.now();
    const sent = trySend(fd, dataOf(probe, family, id));
    if (sent < 0) return refused(sent);
    const pending = this.#wait(fd, sentAt, () => this.#receive(fd, probe, family, id));
    own.push(pending);
    return pending.result.promise;
  }

  #wait(fd: number, sentAt: number, receive: () => string): Pending {
    const result = Promise.withResolvers<PathAnswer>();
    const id = this.#poller.add(fd, epollEvents.in, () => {
      const outcome = receive();
      if (outcome !== "") this.#end(pending, outcome);
    });
    const pending: Pending = { fd, receive, id, result, sentAt };
    this.#pending.add(pending);
    return pending;
  }

  /** @returns "" if no answer to the probe has come */
  #receive(fd: number, { kind }: PathProbe, family: 4 | 6, id: number): string {
    for (let reads = 0; reads < readsAtOnce; reads++) {
      const length = tryRecv(fd, this.#head);
      if (length === -EAGAIN) return "";
      if (length < 0) return isPortUnreachable(length) && kind === "udp" ? "answered" : errnoName(-length);
      if (kind === "udp" || isEchoReply(family, this.#head.subarray(0, length), id)) return "answered";
    }
    return "";
  }

  /** Where this thread had other things to do for so long, the answer may be there, and nobody has looked. */
  #giveUp(pending: Pending): void {
    if (this.#pending.has(pending)) this.#end(pending, pending.receive() || "silent");
  }

  #end(pending: Pending, outcome: string): void {
    if (!this.#pending.delete(pending)) return;
    this.#poller.remove(pending.fd, pending.id);
    close(pending.fd);
    pending.result.resolve({ outcome, ms: performance.now() - pending.sentAt });
  }
}

const familyOf = ({ address }: PathProbe): 4 | 6 => (address.includes(":") ? 6 : 4);

const isPortUnreachable = (length: number): boolean => errnoName(-length) === "ECONNREFUSED";

function openSocket({ kind }: PathProbe, family: 4 | 6): number {
  const domain = family === 4 ? addressFamily.inet : addressFamily.inet6;
  const flags = socketType.nonblock | socketType.cloexec;
  return kind === "udp"
    ? socket(domain, socketType.dgram | flags, protocolNumber.udp)
    : socket(domain, socketType.raw | flags, icmpProtocol[family]);
}

/** Whether this host has the address. */
function bound(fd: number, source: string): boolean {
  try {
    bindBytes(fd, encodeSocketAddress(inetPton(source), 0));
    return true;
  } catch (error) {
    if (hasErrno(error, "EADDRNOTAVAIL")) return false;
    throw error;
  }
}

function dataOf({ kind, bytes }: PathProbe, family: 4 | 6, id: number): Uint8Array {
  const length = bytes - ipBytes[family];
  return kind === "echo" ? encodeEcho(family, id, length) : new Uint8Array(Math.max(length - udpBytes, 0));
}
