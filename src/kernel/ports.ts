/**
 * Published ports are held by sockets, so that nobody else binds them and the kernel never picks them: a bound socket is not
 * enough for TCP (SO_REUSEADDR gets past it, and it answers RST), so it listens, and its mark makes the table inet
 * tsnet-hold drop what arrives before the translation is there.
 */

import { TsnetError } from "../errors.ts";
import type { HostPort } from "./host-port.ts";
import { addressFamily, bindBytes, close, inetNtop, inetPton, listen, setsockoptInt, socket } from "./libc.ts";

/** include/linux/net.h, include/uapi/asm-generic/socket.h, include/uapi/linux/in.h and in6.h. */
const sockStream = 1;
const sockDgram = 2;
const sockCloexec = 0o2000000;
const socketLevel = 1;
const reuseAddress = 2;
const markOption = 36;
const ipv6Level = 41;
const ipv6Only = 26;
const protocolNumber = { tcp: 6, udp: 17, sctp: 132 } as const;

/** All addresses of IPv4, and all of IPv6. */
const anyAddress = "0.0.0.0";
const anyIpv6 = "::";

/** What bind refuses because of the port or address that was asked for. */
const refusals = new Set(["EADDRINUSE", "EADDRNOTAVAIL", "EACCES"]);
const noFamily = new Set(["EAFNOSUPPORT"]);
const noProtocol = new Set(["EPROTONOSUPPORT", "ESOCKTNOSUPPORT"]);

/** Descriptors by address, of one protocol and port; "recorded" where the kernel has no sockets for the protocol. */
type Held = Map<string, number | "recorded">;

/** Holds ports against everybody else on this host, for as long as the process lives. */
export class PortHolder {
  readonly #mark: number;
  readonly #held = new Map<string, Held>();

  /** @param mark what the chain `reserved` of inet tsnet-hold drops */
  constructor(mark: number) {
    this.#mark = mark;
  }

  /**
   * All of these, or none.
   * @throws TsnetError "conflict" whose message is the index of the port in the way, with errno EALREADY if it is held
   *   here, or the kernel's EADDRINUSE, EADDRNOTAVAIL or EACCES; "kernel" for any other refusal; "invalid" for no address
   */
  reserve(ports: readonly HostPort[]): void {
    const done: HostPort[] = [];
    try {
      for (const [index, port] of ports.entries()) {
        this.#reserveOne(index, port);
        done.push(port);
      }
    } catch (error) {
      this.release(done);
      throw error;
    }
  }

  /** Lets go of these; those that are not held are ignored. */
  release(ports: readonly HostPort[]): void {
    for (const port of ports) {
      const address = canonical(port.address);
      const held = this.#held.get(keyOf(port));
      const socket = held?.get(address);
      held?.delete(address);
      if (held?.size === 0) this.#held.delete(keyOf(port));
      if (typeof socket === "number") close(socket);
    }
  }

  /** Lets go of all. */
  close(): void {
    const sockets = [...this.#held.values()].flatMap((held) => [...held.values()]);
    this.#held.clear();
    for (const socket of sockets) if (socket !== "recorded") close(socket);
  }

  #reserveOne(index: number, port: HostPort): void {
    const address = canonical(port.address);
    const held: Held = this.#held.get(keyOf(port)) ?? new Map();
    if ([...held.keys()].some((other) => overlaps(address, other))) {
      throw new TsnetError("conflict", String(index), { errno: "EALREADY" });
    }
    try {
      held.set(address, openHolder({ ...port, address }, this.#mark));
    } catch (error) {
      throw refusal(index, port, error);
    }
    this.#held.set(keyOf(port), held);
  }
}

const keyOf = (port: HostPort): string => `${port.protocol} ${port.port}`;

const canonical = (address: string): string => inetNtop(inetPton(address));

/** Whether a packet could be for both. "0.0.0.0" is every address of IPv4, "::" every one of IPv6. */
function overlaps(one: string, other: string): boolean {
  const covers = (wide: string, address: string): boolean =>
    wide === address || wide === (address.includes(":") ? anyIpv6 : anyAddress);
  return covers(one, other) || covers(other, one);
}

function refusal(index: number, port: HostPort, error: unknown): TsnetError {
  const errno = error instanceof TsnetError ? error.errno : undefined;
  if (errno !== undefined && refusals.has(errno))
    return new TsnetError("conflict", String(index), { errno, cause: error });
  return new TsnetError("kernel", `reserve ${port.protocol} port ${port.port} of ${port.address}`, { cause: error });
}

function openHolder(port: HostPort, mark: number): number | "recorded" {
  try {
    return hold(port, mark, port.address);
  } catch (error) {
    if (port.protocol === "sctp" && hasErrnoOf(noProtocol, error)) return "recorded";
    if (hasErrnoOf(noFamily, error))
      throw new TsnetError("kernel", "no IPv6", { errno: "EADDRNOTAVAIL", cause: error });
    throw error;
  }
}

/** A socket of the address's family, bound, and listening where the protocol has that. */
function hold(port: HostPort, mark: number, address: string): number {
  const bytes = inetPton(address);
  const isIpv6 = bytes.length === 16;
  const type = port.protocol === "udp" ? sockDgram : sockStream;
  const domain = isIpv6 ? addressFamily.inet6 : addressFamily.inet;
  const fd = socket(domain, type | sockCloexec, protocolNumber[port.protocol]);
  try {
    // what a former listener left behind (TIME_WAIT) must not refuse us; for UDP it would let others in
    if (type === sockStream) setsockoptInt(fd, socketLevel, reuseAddress, 1);
    if (isIpv6) setsockoptInt(fd, ipv6Level, ipv6Only, 1);
    setsockoptInt(fd, socketLevel, markOption, mark);
    bindBytes(fd, encodeAddress(bytes, port.port));
    if (type === sockStream) listen(fd, 1);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** struct sockaddr_in or sockaddr_in6 (man 7 ip, man 7 ipv6). */
function encodeAddress(address: Uint8Array, port: number): Uint8Array {
  const isIpv6 = address.length === 16;
  const bytes = new Uint8Array(isIpv6 ? 28 : 16);
  new Uint16Array(bytes.buffer, 0, 1)[0] = isIpv6 ? addressFamily.inet6 : addressFamily.inet;
  new DataView(bytes.buffer).setUint16(2, port);
  bytes.set(address, isIpv6 ? 8 : 4);
  return bytes;
}

const hasErrnoOf = (errnos: ReadonlySet<string>, error: unknown): boolean =>
  error instanceof TsnetError && error.errno !== undefined && errnos.has(error.errno);
